"""The sweep takes away what is too old, the oldest first, and nothing else."""

from __future__ import annotations

import pytest

from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.dead_letter import dead_letter_key
from edgerelay.archive.manifest import manifest_key
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.archive.quarantine import quarantine_key
from edgerelay.runtime.memory import MemoryIndex, MemoryObjects
from edgerelay.runtime.object_index import ObjectIndexError
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.sweep import GRACE_US, SWEEP_OBJECTS, sweep
from tests.coroutines import finished

DAY_US = 24 * HOUR_US
RETENTION_US = 62 * DAY_US
NOW_US = 500_000 * HOUR_US
END = NOW_US - RETENTION_US - GRACE_US
MINUTES = 7


def bucket(*last_seqs: int) -> MemoryObjects:
    objects = MemoryObjects()
    for last_seq in last_seqs:
        objects.objects[ObjectName(Folder.GROUPS, last_seq - 10, last_seq).key] = b""
    return objects


def sweep_all(objects: MemoryObjects, index: MemoryIndex | None = None) -> int:
    """As many minutes as it takes until each folder had its turn."""
    index = index or MemoryIndex()
    return sum(finished(sweep(objects, index, NOW_US + 60_000_000 * minute, RETENTION_US)) for minute in range(MINUTES))


def test_hours_that_ended_before_the_time_is_over_go() -> None:
    objects = bucket(END - DAY_US, END - 1, END + 10, NOW_US)
    assert sweep_all(objects) == 2
    assert [ObjectName.parse(key).last_seq for key in objects.objects] == [END + 10, NOW_US]
    assert sweep_all(objects) == 0


def test_everything_that_has_an_hour_goes_with_it_and_so_do_rows() -> None:
    objects, index = MemoryObjects(), MemoryIndex()
    for at_us, is_kept in ((END - 1, False), (END + 1, True)):
        group = ObjectName(Folder.GROUPS, at_us, at_us)
        keys = [group._replace(folder=folder).key for folder in Folder]
        keys += [manifest_key(at_us // HOUR_US), quarantine_key(group), dead_letter_key("id", at_us)]
        for key in keys:
            objects.objects[key] = b"kept" if is_kept else b""
            finished(index.put(key, {}, 1))
    assert sweep_all(objects, index) == MINUTES
    assert set(objects.objects.values()) == {b"kept"}
    assert index.entries.keys() == objects.objects.keys()


def test_one_sweep_is_bounded_and_the_next_goes_on() -> None:
    objects = bucket(*range(END - 80 * (SWEEP_OBJECTS + 10), END, 80))
    assert sweep_all(objects) == SWEEP_OBJECTS
    assert sweep_all(objects) == 10
    assert objects.objects == {}


def test_what_has_no_hour_stays_and_hides_nothing() -> None:
    objects = bucket(END - 1)
    objects.objects |= {f"groups/000{index:03}": b"" for index in range(2 * SWEEP_OBJECTS)}
    objects.objects |= {"groups/2001/13/01/00/x.ers": b"", "other/2001/01/01/00/x": b"", "catalog.json": b""}
    assert sweep_all(objects) == 1
    assert len(objects.objects) == 2 * SWEEP_OBJECTS + 3


def test_a_bucket_that_is_down_is_said() -> None:
    objects = bucket(END - 1)
    objects.problem = "down"
    with pytest.raises(ObjectStoreError, match="down"):
        sweep_all(objects)
    assert len(objects.objects) == 1


def test_an_index_that_is_down_keeps_nothing_alive() -> None:
    objects, index = bucket(END - 1), MemoryIndex()
    index.problem = "down"
    with pytest.raises(ObjectIndexError, match="down"):
        sweep_all(objects, index)
    assert objects.objects == {}
