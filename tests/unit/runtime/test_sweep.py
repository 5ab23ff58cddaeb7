"""The sweep takes away what is too old, the oldest first, and nothing else."""

from __future__ import annotations

import pytest

from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.sweep import GRACE_US, SWEEP_OBJECTS, sweep
from tests.coroutines import finished

DAY_US = 24 * HOUR_US
RETENTION_US = 62 * DAY_US
NOW_US = 500_000 * HOUR_US
END = NOW_US - RETENTION_US - GRACE_US


def bucket(*last_seqs: int) -> MemoryObjects:
    objects = MemoryObjects()
    for last_seq in last_seqs:
        objects.objects[ObjectName(Folder.GROUPS, last_seq - 10, last_seq).key] = b""
    return objects


def test_what_ended_before_the_time_is_over_goes() -> None:
    objects = bucket(END - DAY_US, END - 1, END, NOW_US)
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == 2
    assert [ObjectName.parse(key).last_seq for key in objects.objects] == [END, NOW_US]
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == 0


def test_one_sweep_is_bounded_and_the_next_goes_on() -> None:
    objects = bucket(*range(END - 100 * SWEEP_OBJECTS, END, 80))
    count = len(objects.objects)
    assert count > SWEEP_OBJECTS
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == SWEEP_OBJECTS
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == count - SWEEP_OBJECTS
    assert objects.objects == {}


def test_what_is_not_ours_stays() -> None:
    objects = MemoryObjects()
    objects.objects = {"groups/0000": b"", "groups/2001/01/01/00/x.ers": b"", "other/2001": b""}
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == 0
    assert len(objects.objects) == 3


def test_what_is_not_ours_hides_nothing() -> None:
    objects = bucket(END - 1)
    objects.objects |= {f"groups/000{index:03}": b"" for index in range(2 * SWEEP_OBJECTS)}
    assert finished(sweep(objects, NOW_US, RETENTION_US)) == 1
    assert len(objects.objects) == 2 * SWEEP_OBJECTS


def test_a_bucket_that_is_down_is_said() -> None:
    objects = bucket(END - 1)
    objects.problem = "down"
    with pytest.raises(ObjectStoreError, match="down"):
        finished(sweep(objects, NOW_US, RETENTION_US))
    assert len(objects.objects) == 1
