"""The compaction: joins what lies in the bucket of each closed hour into segments, step by step.

    groups ──▶ segments of frames        each step puts objects that are not there yet, then takes away what they cover:
       └─▶ lines ──▶ segments of lines   groups and lines of groups stay `GRACE_US` beside the segments that hold them
                 └─▶ references to blobs (`BLOB_INDEX`)

It keeps no state but the bucket's names and the catalog. A run is bounded and may be killed anywhere; the next one
finds what is left. Groups that nobody announced are rendered here, groups that come late are joined by themselves. In
each minute one more hour has its turn, whether it has groups or not. An hour in which runs end again and again waits
(`attempts`), and those behind it go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from edgerelay.archive.block import BlockError, check_packed
from edgerelay.archive.catalog import ArchiveFigures, Catalog, checksum_of
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.container_index import ContainerIndex
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.hour_names import HourNames
from edgerelay.archive.joining import Joined, Joining
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix, own_names
from edgerelay.errors import EdgeRelayError, InvariantError
from edgerelay.runtime.attempts import Attempts
from edgerelay.runtime.blob_writer import BlobWriter
from edgerelay.runtime.container_objects import open_named, read_blocks
from edgerelay.runtime.hour_index import HourIndex
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.objects import MAX_LISTED, ObjectStore
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.quarantine import quarantine

__all__ = ["GRACE_US", "MINUTE_US", "RUN_US", "SEGMENT_BYTES", "SETTLE_US", "Compaction", "SourceError"]

SEGMENT_BYTES: Final = 64_000_000
"""Packed bytes of a segment: the whole network makes 80 an hour. Its index has some 220 KB, which readers hold."""

SETTLE_US: Final = 300_000_000
"""Microseconds behind an hour's end in which its last groups are put and rendered."""

GRACE_US: Final = 900_000_000
"""Microseconds in which readers that know the names of groups are spared from looking for the segments."""

RUN_US: Final = 20_000_000
"""Microseconds after which a run begins nothing more: the next one comes in a minute, and must not meet this one. A
piece of work is a segment, which takes some seconds, or the lines of a group."""

MINUTE_US: Final = 60_000_000
"""Between two runs."""

LISTED: Final = 10
"""Names that are listed to find the first group of an hour: the first, unless it is not ours."""


_Bounds = tuple[frozenset[int], frozenset[int]]
_Run = list[tuple[ObjectName, ContainerIndex]]


class SourceError(InvariantError):
    """An object cannot be joined, because it is damaged."""

    def __init__(self, name: ObjectName, problem: InvariantError) -> None:
        super().__init__(f"{name.key}: {problem}")
        self.name = name


class Compaction:
    """One archive's."""

    def __init__(
        self,
        objects: ObjectStore,
        index: HourIndex,
        lines: LineWriter,
        sink: LogSink,
        clock: Callable[[], int],
        segment_bytes: int = SEGMENT_BYTES,
        blobs: BlobWriter | None = None,
    ) -> None:
        """`blobs` is who keeps the references to blobs, if they are kept."""
        self._objects = objects
        self._index = index
        self._lines = lines
        self._sink = sink
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._blobs = blobs
        self._attempts = Attempts(objects, clock)
        self._end_us = 0
        self._unusable: set[ObjectName] = set()

    async def run(self) -> ArchiveFigures:
        """Go on with the oldest hours; returns how much there is in the whole archive.

        Raises:
            ObjectStoreError: the bucket does not answer.
        """
        self._end_us = self._clock() + RUN_US
        await self._attempts.read()
        catalog, after = await self._index.read_catalog(), ""
        while not self._is_over():
            first = await self._first_group(after)
            if first is None or (first.hour + 1) * HOUR_US + SETTLE_US > self._clock():
                break
            after = f"{hour_prefix(Folder.GROUPS, first.first_seq)}~"
            await self._try(first.hour, catalog)
        if not self._is_over():
            await self._try(self._hour_of_the_minute(), catalog)
        await self._index.save(catalog)
        await self._attempts.save()
        return catalog.figures()._replace(stuck_hours=len(self._attempts.stuck))

    def _hour_of_the_minute(self) -> int:
        """An hour that nothing points to. Each has its turn, so its index is right again, whatever became of it."""
        now_us = self._clock()
        age = now_us // MINUTE_US % (self._index.kept_us // HOUR_US)
        return hour_of(now_us - SETTLE_US) - 1 - age

    async def _try(self, hour: int, catalog: Catalog) -> None:
        if not self._attempts.is_due(hour):
            self._sink.write("error", "compaction_stuck", {"hour": hour})
            return
        try:
            await self._compact(hour, catalog)
        except EdgeRelayError as error:
            self._sink.write("error", "compaction_failed", {"hour": hour, "problem": str(error)})
        self._attempts.end(hour)

    def _is_over(self) -> bool:
        return self._clock() >= self._end_us

    async def _first_group(self, after: str) -> ObjectName | None:
        while listed := await self._objects.names(f"{Folder.GROUPS}/", after, LISTED):
            if names := own_names(listed):
                return names[0]
            after = listed[-1]
        return None

    async def _compact(self, hour: int, catalog: Catalog) -> None:
        """Go on with an hour."""
        figures = catalog.hours.get(hour)
        if figures is not None and 0 <= self._clock() - figures.compacted_us < GRACE_US:
            return
        self._unusable.clear()
        names = await self._index.names_of(hour)
        is_known = names.checksum == (figures.names_checksum if figures is not None else checksum_of(()))
        if is_known and not names.superfluous and set(names.groups) <= set(names.quarantined):
            return  # nothing is left but what cannot be used
        await self._attempts.begin(hour)
        segments = await self._join(names.uncopied, Folder.FIREHOSE, 1)
        lines = await self._render(names.unrendered)
        names = names._replace(segments=sorted([*names.segments, *segments]), lines=sorted([*names.lines, *lines]))
        joined = await self._join(names.unjoined_lines, Folder.JETSTREAM, 2)
        references = await self._refer(hour)
        if self._is_over():
            return
        if segments or lines or joined or references or not is_known:
            await self._index.publish(hour, await self._index.names_of(hour), catalog)
        else:
            await self._take_away(names)

    async def _render(self, groups: Sequence[ObjectName]) -> list[ObjectName]:
        """Make the lines that nobody made, until it is time to stop."""
        rendered = []
        for group in groups:
            if self._is_over():
                break
            try:
                rendered.append(await self._lines.write(group))
            except InvariantError as error:
                await quarantine(self._objects, self._sink, group, str(error), self._clock())
        return rendered

    async def _join(self, sources: Sequence[ObjectName], folder: Folder, least: int) -> list[ObjectName]:
        """Join objects, in order, into as few as may be, until it is time to stop; at least so many into one."""
        left, stored = deque(sources), list[ObjectName]()
        while left and not self._is_over():
            run, joined = await self._next_run(left)
            if joined is None or len(run) < least:
                continue
            name = joined.name(folder)
            try:
                await self._objects.stream(name.key, joined.size_bytes, self._parts(run, joined))
            except SourceError as error:
                await self._set_aside(error.name, str(error))
                left.extendleft([source for source, _ in reversed(run)])
            else:
                stored.append(name)
        return stored

    async def _refer(self, hour: int) -> list[ObjectName]:
        """Make the references to blobs of the lines that stay, until it is time to stop."""
        if self._blobs is None or self._is_over():
            return []
        stored: list[ObjectName] = []
        for lines in (await self._index.names_of(hour)).unreferenced:
            if self._is_over():
                break
            try:
                stored += await self._blobs.write(lines)
            except InvariantError as error:
                self._sink.write("error", "blobs_failed", {"object": lines.key, "problem": str(error)})
        return stored

    async def _next_run(self, left: deque[ObjectName]) -> tuple[_Run, Joined | None]:
        """Take from the beginning what follows each other and belongs into one object."""
        run, joining = _Run(), Joining(self._segment_bytes)
        while left:
            index = await self._index_of(left[0])
            if index is None:
                left.popleft()
                continue
            if not joining.take(index):
                break
            run.append((left.popleft(), index))
        return run, joining.finish() if run else None

    async def _index_of(self, name: ObjectName) -> ContainerIndex | None:
        if name in self._unusable:
            return None
        try:
            return (await open_named(self._objects, name))[0]
        except ContainerError as error:
            await self._set_aside(name, str(error))
            return None

    async def _set_aside(self, name: ObjectName, problem: str) -> None:
        self._unusable.add(name)
        await quarantine(self._objects, self._sink, name, problem, self._clock())

    async def _parts(self, run: _Run, joined: Joined) -> AsyncIterator[bytes]:
        yield joined.start
        for name, index in run:
            for block in await read_blocks(self._objects, name.key, index):
                try:
                    check_packed(block)
                except BlockError as error:
                    raise SourceError(name, error) from error
                yield block.packed
        yield joined.end

    async def _take_away(self, names: HourNames) -> None:
        """Take away what is, from its first block to its last, in an object that stays and can be opened."""
        kept = [(name, await self._bounds(name)) for name in names.kept]
        gone = [name.key for name in names.superfluous if any(_holds(*each, name) for each in kept)]
        for start in range(0, len(gone), MAX_LISTED):
            await self._objects.delete(gone[start : start + MAX_LISTED])

    async def _bounds(self, name: ObjectName) -> _Bounds:
        """The first and the last numbers of the blocks; none if the object cannot be opened."""
        try:
            index, _ = await open_named(self._objects, name)
        except ContainerError:
            return frozenset(), frozenset()
        contents = [block.facts.contents for block in index.blocks]
        return frozenset([each.first_seq for each in contents]), frozenset([each.last_seq for each in contents])


def _holds(kept: ObjectName, bounds: _Bounds, name: ObjectName) -> bool:
    same_stream = kept.folder == name.folder or (kept.folder, name.folder) == (Folder.FIREHOSE, Folder.GROUPS)
    return same_stream and kept.covers(name) and name.first_seq in bounds[0] and name.last_seq in bounds[1]
