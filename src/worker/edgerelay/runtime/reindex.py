"""Makes the index anew from the bucket: the catalog, the manifests, and the rows, of which some may point nowhere.

The compaction does the same, an hour a minute; this is for whoever cannot wait for a day.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.catalog import Catalog
from edgerelay.archive.object_names import Folder, hour_folder, hour_of_key
from edgerelay.runtime.hour_index import HourIndex
from edgerelay.runtime.objects import ObjectStore

__all__ = ["REINDEX_HOURS", "reindex"]

REINDEX_HOURS: Final = 10
"""Hours of one call: of each some 90 rows are asked for, and up to `ROWS_A_RUN` together written."""

LISTED: Final = 10
"""Names that are listed to find the first of an hour: the first, unless it is not ours."""


async def reindex(objects: ObjectStore, hours: HourIndex, after_hour: int) -> int:
    """Go through the hours behind `after_hour`, counted from 1970; returns where to go on, or 0 at the end.

    Raises:
        ObjectIndexError: the index does not answer.
        ObjectStoreError: the bucket does not answer.
    """
    catalog = await hours.read_catalog()
    reached = await _publish_some(objects, hours, catalog, after_hour)
    await hours.save(catalog)
    return reached


async def _publish_some(objects: ObjectStore, hours: HourIndex, catalog: Catalog, after_hour: int) -> int:
    for _ in range(REINDEX_HOURS):
        following = await _next_hour(objects, after_hour)
        if following is None:
            return 0
        if not await hours.publish(following, await hours.names_of(following), catalog):
            return following - 1
        after_hour = following
    return after_hour


async def _next_hour(objects: ObjectStore, hour: int) -> int | None:
    """The first hour behind this one that has segments or lines."""
    found = [await _next_hour_of(objects, folder, hour) for folder in (Folder.FIREHOSE, Folder.JETSTREAM)]
    return min(filter(None, found), default=None)


async def _next_hour_of(objects: ObjectStore, folder: Folder, hour: int) -> int | None:
    after = f"{hour_folder(folder, hour)}/~"
    while listed := await objects.names(f"{folder}/", after, LISTED):
        if hours := list(filter(None, map(hour_of_key, listed))):
            return hours[0]
        after = listed[-1]
    return None
