"""Names are listed once and kept, and asked for again when somebody says that they may be wrong."""

from __future__ import annotations

from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix
from edgerelay.runtime.archive_names import ArchiveNames
from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import MAX_LISTED
from tests.coroutines import finished
from tests.histories import NOON_US


class CountingObjects(MemoryObjects):
    """Counts its lists, which are what a bucket charges for."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0

    def add(self, folder: Folder, first: int, last: int) -> ObjectName:
        name = ObjectName(folder, NOON_US + first, NOON_US + last)
        self.objects[name.key] = b""
        return name

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        self.lists += 1
        return await super().names(prefix, after, limit)


def pair() -> tuple[CountingObjects, ArchiveNames]:
    objects = CountingObjects()
    return objects, ArchiveNames(objects, Folder.FIREHOSE, Folder.GROUPS)


def test_an_hour_is_listed_once() -> None:
    objects, names = pair()
    group, segment = objects.add(Folder.GROUPS, 10, 20), objects.add(Folder.FIREHOSE, 1, 9)
    for _ in range(3):
        assert finished(names.near(NOON_US + 15)) == [group, segment]
        assert finished(names.segments_near(NOON_US + 5)) == [segment]
    assert objects.lists == 2


def test_what_comes_later_is_listed_on() -> None:
    objects, names = pair()
    first = objects.add(Folder.GROUPS, 10, 20)
    assert finished(names.near(NOON_US + 15)) == [first]
    second = objects.add(Folder.GROUPS, 21, 30)
    assert finished(names.near(NOON_US + 15)) == [first]
    assert finished(names.near(NOON_US + 21)) == [first, second]


def test_the_first_of_a_later_hour_follows() -> None:
    objects, names = pair()
    assert finished(names.near(NOON_US)) == []
    objects.objects[f"{hour_prefix(Folder.GROUPS, NOON_US + HOUR_US)}readme"] = b""
    later = objects.add(Folder.FIREHOSE, 9 * HOUR_US, 9 * HOUR_US + 5)
    assert finished(names.near(NOON_US)) == [later]
    earlier = objects.add(Folder.GROUPS, 5 * HOUR_US, 5 * HOUR_US + 5)
    assert finished(names.near(NOON_US)) == [earlier]
    names.forget()
    segment = objects.add(Folder.FIREHOSE, 5 * HOUR_US, 5 * HOUR_US + 9)
    assert finished(names.near(NOON_US)) == [earlier, segment]


def test_segments_of_the_next_hour_follow_without_asking_for_anything_else() -> None:
    objects, names = pair()
    for hour in range(5):
        objects.add(Folder.FIREHOSE, hour * HOUR_US, hour * HOUR_US + 9)
    for hour in range(4):
        (found,) = finished(names.segments_near(NOON_US + hour * HOUR_US + 10))
        assert found.first_seq == NOON_US + (hour + 1) * HOUR_US
    assert objects.lists == 5, "one for an hour"


def test_what_was_forgotten_is_listed_again() -> None:
    objects, names = pair()
    group = objects.add(Folder.GROUPS, 10, 20)
    assert finished(names.near(NOON_US + 15)) == [group]
    del objects.objects[group.key]
    segment = objects.add(Folder.FIREHOSE, 10, 20)
    assert finished(names.near(NOON_US + 15)) == [group], "it does not know"
    names.forget()
    assert finished(names.near(NOON_US + 15)) == [segment]


def test_more_names_than_one_list_has() -> None:
    objects, names = pair()
    for number in range(MAX_LISTED + 5):
        objects.add(Folder.GROUPS, 10 * number, 10 * number + 5)
    assert len(finished(names.near(NOON_US + 10 * MAX_LISTED))) == MAX_LISTED + 5


def test_lines_have_one_folder() -> None:
    objects = CountingObjects()
    names = ArchiveNames(objects, Folder.JETSTREAM, Folder.JETSTREAM)
    small, whole = objects.add(Folder.JETSTREAM, 1, 5), objects.add(Folder.JETSTREAM, 1, 9)
    assert finished(names.segments_near(NOON_US)) == [small, whole]
    assert finished(names.near(NOON_US)) == [small, whole]
    assert objects.lists == 1
    later = objects.add(Folder.JETSTREAM, HOUR_US, HOUR_US)
    assert finished(names.segments_near(NOON_US + 10)) == [later]
    assert finished(names.near(NOON_US + 10)) == [later]


def test_new_lines_are_found_though_there_seemed_to_be_none() -> None:
    objects = CountingObjects()
    names = ArchiveNames(objects, Folder.JETSTREAM, Folder.JETSTREAM)
    first = objects.add(Folder.JETSTREAM, 1, 9)
    assert finished(names.segments_near(NOON_US + 10)) == []
    second, later = objects.add(Folder.JETSTREAM, 10, 20), objects.add(Folder.JETSTREAM, HOUR_US, HOUR_US)
    assert finished(names.near(NOON_US + 10)) == [first, second]
    assert finished(names.near(NOON_US + HOUR_US)) == [later]
