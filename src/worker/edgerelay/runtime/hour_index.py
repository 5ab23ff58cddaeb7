"""The index of an hour: its rows, its manifest and its entry in the catalog, made from what lies in the bucket.

All of it is made anew whenever what stays of the hour is not what the catalog says. The catalog is stored once a run,
after the hours: until then an hour is as one that was never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from edgerelay.archive.catalog import CATALOG_KEY, Catalog, HourFigures
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.hour_names import HourNames
from edgerelay.archive.manifest import ObjectFacts, encode_manifest, manifest_key
from edgerelay.archive.object_names import Folder, hour_folder, own_names
from edgerelay.archive.quarantine import QUARANTINE, quarantined_groups
from edgerelay.runtime.container_objects import open_named
from edgerelay.runtime.object_index import ObjectIndex
from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectReader, ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["HourIndex", "names_below"]

MAX_CATALOG_BYTES: Final = 2_000_000
"""Of the catalog: 62 days take some 150 KB."""

ROWS_A_RUN: Final = 500
"""Rows that are written and taken away in one run: an invocation may ask KV 1,000 times, the sweep 300 times of it."""

MIN_EXPIRY_S: Final = 60
"""Rows that would be gone sooner are not written (limit of KV)."""

_S_US: Final = 1_000_000
_FOLDERS: Final = (Folder.GROUPS, Folder.FIREHOSE, Folder.JETSTREAM, Folder.BLOBS, QUARANTINE)


async def names_below(objects: ObjectReader, prefix: str) -> list[str]:
    """All names that begin with `prefix`. Raises `ObjectStoreError`."""
    names, after = list[str](), ""
    while listed := await objects.names(prefix, after):
        names, after = [*names, *listed], listed[-1]
        if len(listed) < MAX_LISTED:
            break
    return names


class HourIndex:
    """Keeps the index, for one run. All of it may raise `ObjectStoreError`, and what writes rows `ObjectIndexError`."""

    def __init__(
        self, objects: ObjectStore, index: ObjectIndex, sink: LogSink, clock: Callable[[], int], kept_us: int
    ) -> None:
        """`kept_us` is how long objects are kept behind their hour, in microseconds."""
        self._objects = objects
        self._index = index
        self._sink = sink
        self._clock = clock
        self.kept_us = kept_us
        self._rows_left = ROWS_A_RUN
        self._has_published = False

    async def read_catalog(self) -> Catalog:
        """The catalog; an empty one if there is none."""
        try:
            return Catalog.decode((await self._objects.read_tail(CATALOG_KEY, MAX_CATALOG_BYTES)).data)
        except ObjectMissingError:
            return Catalog({})

    async def names_of(self, hour: int) -> HourNames:
        """What lies in the bucket of an hour."""
        keys = [await names_below(self._objects, f"{hour_folder(folder, hour)}/") for folder in _FOLDERS]
        groups, segments, lines, blobs = map(own_names, keys[:-1])
        return HourNames(groups, segments, lines, quarantined_groups(keys[-1]), blobs)

    async def publish(self, hour: int, names: HourNames, catalog: Catalog) -> bool:
        """Write the rows, and no others, and the manifest, and enter the hour in the catalog.

        False if it has too many rows for what is left of this run; the next one goes on with them.
        """
        objects = await self._facts(names)
        quarantined = [group.key for group in names.quarantined]
        if not await self._renew_rows(hour, objects, quarantined):
            return False
        await self._objects.replace(manifest_key(hour), encode_manifest(objects, quarantined))
        frames = [facts for facts in objects if facts.key.startswith(f"{Folder.FIREHOSE}/")]
        lines = [facts for facts in objects if facts.key.startswith(f"{Folder.JETSTREAM}/")]
        catalog.hours[hour] = HourFigures(
            self._clock(),
            min([name.first_seq for name in names.kept], default=0),
            max([name.last_seq for name in names.kept], default=0),
            names.checksum,
            len(frames),
            _bytes_of(frames),
            len(lines),
            _bytes_of(lines),
            tuple(quarantined),
        )
        catalog.forget_before(self._clock() - self.kept_us)
        self._has_published = True
        return True

    async def save(self, catalog: Catalog) -> None:
        """Store the catalog, if an hour was published."""
        if self._has_published:
            await self._objects.replace(CATALOG_KEY, catalog.encode())

    async def _facts(self, names: HourNames) -> list[ObjectFacts]:
        """What stays of the hour; an object that cannot be opened is left out, and said."""
        found = []
        for name in names.kept:
            try:
                index, size_bytes = await open_named(self._objects, name)
            except ContainerError as error:
                self._sink.write("error", "archive_damaged", {"problem": str(error), "last_seq": name.last_seq})
                continue
            found.append(ObjectFacts.of(name, index, size_bytes))
        return found

    async def _renew_rows(self, hour: int, objects: Iterable[ObjectFacts], quarantined: Iterable[str]) -> bool:
        """Write the rows that are not there, and take away those that belong to no object; tells whether it is done."""
        wanted = {facts.key: facts.row() for facts in objects} | {key: {"quarantined": True} for key in quarantined}
        present = await self._rows_of(hour)
        expires_s = ((hour + 1) * HOUR_US + self.kept_us) // _S_US
        is_over = expires_s < self._clock() // _S_US + MIN_EXPIRY_S
        lacking = [] if is_over else [key for key, row in wanted.items() if present.get(key) != row]
        for key in [*(present.keys() - wanted.keys()), *lacking]:
            if not self._rows_left:
                return False
            self._rows_left -= 1
            if key in wanted:
                await self._index.put(key, wanted[key], expires_s)
            else:
                await self._index.delete(key)
        return True

    async def _rows_of(self, hour: int) -> dict[str, Mapping[str, Any]]:
        """The rows of an hour, as far as the index shows them yet."""
        found: dict[str, Mapping[str, Any]] = {}
        for folder in Folder:
            cursor, is_complete = "", False
            while not is_complete:
                rows, cursor = await self._index.rows(f"{hour_folder(folder, hour)}/", cursor)
                found |= rows
                is_complete = not cursor
        return found


def _bytes_of(objects: Iterable[ObjectFacts]) -> int:
    return sum([facts.bytes for facts in objects])
