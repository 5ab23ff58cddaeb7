"""The sweep: takes away what has outlived the history that is served.

Names sort by time, so the oldest come first. Readers are kept to `RETENTION_DAYS` by their cursors; what is older stays
for a while, for those that began in time and still read.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.object_names import Folder, ObjectName, own_names
from edgerelay.runtime.objects import ObjectStore

__all__ = ["GRACE_US", "SWEEP_OBJECTS", "sweep"]

GRACE_US: Final = 24 * 3_600_000_000
"""Microseconds that an object stays beyond the history that is served: a replay of all of it is done by then."""

SWEEP_OBJECTS: Final = 100
"""Objects that one sweep takes away. There is one every minute; the whole network makes twenty groups in that time."""


async def sweep(objects: ObjectStore, now_us: int, retention_us: int) -> int:
    """Take away the oldest groups if their time is over; returns how many.

    Raises:
        ObjectStoreError: the bucket does not answer; the next sweep tries again.
    """
    names, after = list[ObjectName](), ""
    while not names and (listed := await objects.names(f"{Folder.GROUPS}/", after, SWEEP_OBJECTS)):
        names, after = own_names(listed), listed[-1]
    end_seq = now_us - retention_us - GRACE_US
    outlived = [name.key for name in names if name.last_seq < end_seq]
    if outlived:
        await objects.delete(outlived)
    return len(outlived)
