"""Objects are listed by what they hold, and whatever cannot be read is named with its kind."""

from __future__ import annotations

import pytest

from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.objects import MAX_LISTED
from edgerelay_dev.operator.catalogue import OPENED_AHEAD, ArchivedObject, Problem, newest
from tests.archives import Archive, block_of, history
from tests.coroutines import finished
from tests.packing import GOLDEN, HOUR_US

EVENTS = history(12)
WHOLE = (GOLDEN / "firehose.ers").read_bytes()


def listed(archive: Archive) -> list[ArchivedObject]:
    return finished(archive.catalogue.list())


class TestList:
    def test_objects_come_in_the_order_of_their_numbers_whatever_their_folder(self) -> None:
        archive = Archive()
        later = archive.put(block_of(EVENTS[6:], EVENTS[5].seq), folder=Folder.FIREHOSE)
        sooner = archive.put(block_of(EVENTS[:6], HOUR_US))
        assert [each.key for each in listed(archive)] == [sooner, later]

    def test_whatever_is_called_otherwise_is_asked_itself(self) -> None:
        archive = Archive()
        archive.put(block_of(EVENTS, HOUR_US), key="copy.ers", generation=2)
        archive.objects.objects["lines.ers"] = (GOLDEN / "jetstream.ers").read_bytes()
        first, last = EVENTS[0].seq, EVENTS[-1].seq
        assert listed(archive) == [
            ArchivedObject("copy.ers", ObjectName(Folder.FIREHOSE, first, last, 2)),
            ArchivedObject("lines.ers", ObjectName(Folder.JETSTREAM, HOUR_US + 10, HOUR_US + 20)),
        ]

    def test_other_objects_are_passed_over(self) -> None:
        archive = Archive()
        archive.objects.objects["manifests/2026.json"] = b"{}"
        assert (listed(archive), archive.problems) == ([], [])

    def test_there_may_be_more_than_one_call_lists(self) -> None:
        archive = Archive()
        names = [ObjectName(Folder.GROUPS, HOUR_US + n, HOUR_US + n).key for n in range(MAX_LISTED + 3)]
        archive.objects.objects = dict.fromkeys(names, b"")
        assert [each.key for each in listed(archive)] == names


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "truncated: an empty object"),
        (WHOLE[:-7], "truncated: it begins as a container and does not end as one"),
        (b"PK\x03\x04 something else", "foreign: neither begins nor ends as a container"),
        (WHOLE[:-20] + bytes([WHOLE[-20] ^ 1]) + WHOLE[-19:], "corrupt: the checksum of the footer does not match"),
        (WHOLE[:-14] + b"\x00\x02" + WHOLE[-12:], "newer: a container of version 2; this code knows 1"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_others_are_listed(data: bytes, what: str) -> None:
    archive = Archive()
    archive.objects.objects["a.ers"] = data
    key = archive.put(block_of(EVENTS, HOUR_US))
    assert [each.key for each in listed(archive)] == [key]
    assert archive.problems == [Problem("a.ers", what)]


def test_an_object_that_was_taken_away_is_named() -> None:
    archive = Archive()
    archive.put(block_of(EVENTS, HOUR_US))
    [object_] = listed(archive)
    archive.objects.objects.clear()
    assert finished(archive.catalogue.open(object_)) is None
    assert archive.problems == [Problem(object_.key, "it was taken away while it was read")]


def test_a_few_objects_are_opened_ahead_and_the_others_are_not() -> None:
    archive = Archive()
    archive.put_history(history(60), block_events=5, object_blocks=1)

    async def take(count: int) -> list[int]:
        opening = archive.catalogue.open_all(await archive.catalogue.list())
        found = [await anext(opening) for _ in range(count)]
        await opening.aclose()
        return [each.index.first_seq for each in found if each is not None]

    names = [each.name for each in listed(archive)]
    assert finished(take(1)) == [names[0].first_seq]
    assert archive.objects.reads == 1 + OPENED_AHEAD
    assert finished(take(12)) == [name.first_seq for name in names]


def test_newest_is_the_highest_generation_of_the_same_range_in_the_same_folder() -> None:
    names = [
        ObjectName(Folder.GROUPS, 1, 5),
        ObjectName(Folder.FIREHOSE, 1, 5, 10),
        ObjectName(Folder.FIREHOSE, 1, 5, 9),
        ObjectName(Folder.FIREHOSE, 1, 6, 2),
    ]
    found = newest([ArchivedObject(name.key, name) for name in names])
    assert [each.name for each in found] == [names[0], names[1], names[3]]
