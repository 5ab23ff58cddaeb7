"""The events of an archive in the order of their numbers, each once.

Objects overlap: a group and the segment that holds its blocks lie side by side for a while, and what is rewritten is
there in two generations. A block speaks for every number from the one before its first to its last; where two speak for
the same, the newer generation is heard, then segments rather than groups. Damaged ones are not heard.

Objects are opened as their turn comes, and blocks are read only if an event of theirs may be wanted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from edgerelay.archive.batch import Batch
from edgerelay.archive.block import BlockError, Codecs, Contents
from edgerelay.archive.container_index import PlacedBlock, Stream
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import Folder
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.runtime.objects import ObjectMissingError
from edgerelay_dev.operator.catalogue import (
    ArchivedObject,
    Catalogue,
    OpenedObject,
    Problem,
    newest,
    problem_of,
    stream_of,
)
from edgerelay_dev.operator.selection import Selection

__all__ = ["ArchivedEvent", "Chain", "Counts", "LocatedBlock", "Timeline", "blocks_in_order"]


class ArchivedEvent(NamedTuple):
    """An event as it is kept."""

    seq: int
    kind: str
    did: str
    paths: tuple[str, ...]
    frame: bytes


@dataclass
class Counts:
    """What it took to find some events."""

    objects: int = 0
    outside: int = 0
    """Objects not opened, because their names say another time."""

    read: int = 0
    """Blocks."""

    skipped: int = 0
    """Blocks of opened objects that were not read, because nothing in them could be wanted."""

    repeated: int = 0
    """Blocks that were not read, because another object has the same events."""

    events: int = 0

    def __str__(self) -> str:
        opened = self.objects - self.outside
        return (
            f"{self.events:,} events; {opened:,} of {self.objects:,} objects opened; "
            f"blocks: {self.read:,} read, {self.skipped:,} skipped, {self.repeated:,} repeated elsewhere"
        )


class LocatedBlock(NamedTuple):
    """A block, and which of an opened object it is."""

    source: OpenedObject
    number: int

    @property
    def placed(self) -> PlacedBlock:
        """What the index says of it."""
        return self.source.index.blocks[self.number]

    @property
    def contents(self) -> Contents:
        """What it holds."""
        return self.placed.facts.contents

    @property
    def precedence(self) -> tuple[int, bool, int]:
        """Where two blocks have the same events, the smaller is read."""
        return -self.placed.facts.generation, self.source.name.folder is Folder.GROUPS, self.contents.first_seq


class Chain:
    """Whether a stream goes on from block to block, whose first numbers increase."""

    def __init__(self, stream: Stream, report: Callable[[Problem], None]) -> None:
        self._stream = stream
        self._report = report
        self._reached: int | None = None

    def take(self, contents: Contents) -> None:
        """The next block; what is missing before it is reported."""
        if self._reached is not None and contents.prev_seq > self._reached:
            hole = f"{_moment(self._reached)} and up to {_moment(contents.prev_seq)}"
            self._report(Problem(f"hole in {self._stream}", f"nothing is kept behind {hole}"))
        self._reached = max(self._reached or 0, contents.last_seq)


async def blocks_in_order(
    catalogue: Catalogue, objects: Sequence[ArchivedObject], opened: Callable[[], None]
) -> AsyncIterator[LocatedBlock]:
    """The blocks of objects that are in order, in the order of their first numbers. Calls `opened` for each object."""
    waiting: list[tuple[int, int, int, LocatedBlock]] = []
    sources = catalogue.open_all(objects)
    for serial, archived in enumerate(objects):
        while waiting and waiting[0][0] < archived.name.first_seq:
            yield heappop(waiting)[-1]
        source = await anext(sources)
        opened()
        if source is not None:
            for number, block in enumerate(source.index.blocks):
                heappush(waiting, (block.facts.contents.first_seq, serial, number, LocatedBlock(source, number)))
    while waiting:
        yield heappop(waiting)[-1]


class Timeline:
    """Reads the events of the firehose that are selected."""

    def __init__(self, catalogue: Catalogue, selection: Selection, codecs: Codecs) -> None:
        self._catalogue = catalogue
        self._selection = selection
        self._codecs = codecs
        self.counts = Counts()

    def inside(self, objects: Iterable[ArchivedObject]) -> list[ArchivedObject]:
        """Those of the stream that have to be opened: the newest generation of what overlaps the time selected."""
        whole = newest(each for each in objects if stream_of(each.name) is Stream.FIREHOSE)
        inside = [each for each in whole if self._selection.overlaps(each.name.first_seq, each.name.last_seq)]
        self.counts.objects = len(whole)
        self.counts.outside = len(whole) - len(inside)
        return inside

    async def events(
        self, inside: Sequence[ArchivedObject], opened: Callable[[], None] = lambda: None
    ) -> AsyncIterator[ArchivedEvent]:
        """The events of some objects that are in order. Calls `opened` for each of these.

        Raises:
            ObjectStoreError: the archive does not answer.
        """
        chain = Chain(Stream.FIREHOSE, self._catalogue.report)
        together: list[LocatedBlock] = []
        end_seq = 0
        async for block in blocks_in_order(self._catalogue, inside, opened):
            chain.take(block.contents)
            if block.contents.first_seq > end_seq:
                for event in await self._merged(together):
                    yield event
                together = []
            together.append(block)
            end_seq = max(end_seq, block.contents.last_seq)
        for event in await self._merged(together):
            yield event

    async def _merged(self, together: Sequence[LocatedBlock]) -> list[ArchivedEvent]:
        """The events of blocks that overlap, or of one that does not."""
        spoken: list[tuple[int, int]] = []
        events = []
        for block in sorted(together, key=lambda each: each.precedence):
            contents = block.contents
            if any(prev < contents.first_seq and contents.last_seq <= last for prev, last in spoken):
                self.counts.repeated += 1
                continue
            if self._selection.may_match(contents):
                batch = await self._read(block)
                if batch is None:
                    continue
                events += [event for event in self._wanted(batch) if not any(p < event.seq <= q for p, q in spoken)]
            else:
                self.counts.skipped += 1
            spoken.append((contents.prev_seq, contents.last_seq))
        self.counts.events += len(events)
        return sorted(events)

    async def _read(self, block: LocatedBlock) -> Batch | None:
        self.counts.read += 1
        try:
            packed = await block.source.read_block(block.number, self._selection.may_match)
            return open_batch(packed, self._codecs)
        except (BlockError, ObjectMissingError) as error:
            self._catalogue.report(problem_of(block.source.key, error))
            return None

    def _wanted(self, batch: Batch) -> list[ArchivedEvent]:
        head = batch.head
        rows = zip(batch.split(), head.kinds, head.dids, head.paths, strict=True)
        events = [ArchivedEvent(seq, kind, did, paths, frame) for (seq, frame), kind, did, paths in rows if frame]
        return [each for each in events if self._selection.wants(each.seq, each.did, each.paths)]


def _moment(seq: int) -> str:
    return f"{seq} ({datetime_text(seq)})"
