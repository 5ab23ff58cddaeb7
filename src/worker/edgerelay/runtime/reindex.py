"""Makes the index anew from the bucket: the catalog, the manifests, and the rows, of which some may point nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgerelay.archive.object_names import Folder, hour_folder, hour_of_key
from edgerelay.runtime.hour_index import HourIndex
from edgerelay.runtime.objects import ObjectStore

__all__ = ["REINDEX_US", "reindex"]

REINDEX_US: Final = 20_000_000
"""Microseconds after which a call begins no further hour, of which there may be 1,500."""


async def reindex(objects: ObjectStore, hours: HourIndex, after_hour: int, clock: Callable[[], int]) -> int:
    """Go through the hours behind `after_hour`, counted from 1970; returns the last one done, or 0 at the end.

    Raises:
        ObjectIndexError: the index does not answer.
        ObjectStoreError: the bucket does not answer.
    """
    catalog, end_us = await hours.read_catalog(), clock() + REINDEX_US
    hour = after_hour
    while (following := await _next_hour(objects, hour)) is not None:
        if clock() >= end_us:
            return hour
        hour = following
        await hours.publish(hour, await hours.names_of(hour), catalog)
    return 0


async def _next_hour(objects: ObjectStore, hour: int) -> int | None:
    """The first hour behind this one that has segments or lines."""
    found = []
    for folder in (Folder.FIREHOSE, Folder.JETSTREAM):
        after = f"{hour_folder(folder, hour)}/~"
        while listed := await objects.names(f"{folder}/", after, 10):
            hours = [each for each in map(hour_of_key, listed) if each is not None]
            if hours:
                found.append(hours[0])
                break
            after = listed[-1]
    return min(found, default=None)
