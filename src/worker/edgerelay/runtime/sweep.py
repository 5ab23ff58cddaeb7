"""The sweep: takes away what has outlived the history that is served.

Names say the hour and sort by it, so the oldest come first. Readers are kept to `RETENTION_DAYS` by their cursors; what
is older stays for a while, for those that began in time and still read. The rows of the index are gone by then, unless
the time was shortened.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.dead_letter import DEAD_LETTERS
from edgerelay.archive.manifest import MANIFESTS
from edgerelay.archive.object_names import Folder, hour_of_key
from edgerelay.archive.quarantine import QUARANTINE
from edgerelay.runtime.object_index import ObjectIndex
from edgerelay.runtime.objects import ObjectStore

__all__ = ["GRACE_US", "SWEEP_OBJECTS", "sweep"]

GRACE_US: Final = 24 * HOUR_US
"""Microseconds that an object stays beyond the history that is served: a replay of all of it is done by then."""

SWEEP_OBJECTS: Final = 300
"""Objects that one sweep takes away at most. A folder is swept every seven minutes, eight times in an hour; the
whole network makes 1,400 groups in one, should nobody join them."""

_FOLDERS: Final = (*Folder, MANIFESTS, QUARANTINE, DEAD_LETTERS)
_MINUTE_US: Final = 60_000_000


async def sweep(objects: ObjectStore, index: ObjectIndex, now_us: int, retention_us: int) -> int:
    """Take away the oldest objects of the folder whose turn it is in this minute, with their rows; returns how many.

    Raises:
        ObjectIndexError: the index does not answer; the next sweep tries again.
        ObjectStoreError: the bucket does not answer.
    """
    folder = _FOLDERS[now_us // _MINUTE_US % len(_FOLDERS)]
    end_hour = (now_us - retention_us - GRACE_US) // HOUR_US
    found, after = list[tuple[int, str]](), ""
    while not found and (listed := await objects.names(f"{folder}/", after, SWEEP_OBJECTS)):
        found = [(hour, key) for key in listed if (hour := hour_of_key(key)) is not None]
        after = listed[-1]
    outlived = [key for hour, key in found if hour < end_hour]
    if outlived:
        await objects.delete(outlived)
    for key in outlived:
        await index.delete(key)
    return len(outlived)
