"""Reads the archive, for readers whose cursor lies before the hot log.

A cursor leads to an hour, the hour's names to an object, the object's index to a block; the block is the answer. What
was read lately is kept, within bounds, because readers come in crowds, and each reads on where it stopped.

It answers what is there. Whether something is missing between the cursor and that can be seen by the number before it.
What is there and cannot be read is named with its end, so that a reader may go on behind it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Final, Generic, TypeVar

from edgerelay.archive.batch import Batch
from edgerelay.archive.block import BlockError, Codecs, SealedBlock
from edgerelay.archive.container import TAIL_BYTES, ContainerOpening
from edgerelay.archive.container_errors import ContainerCorrupt, ContainerError
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock
from edgerelay.archive.cutting import hour_of
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix, own_names
from edgerelay.errors import InvariantError
from edgerelay.runtime.objects import ObjectMissingError, ObjectStore
from edgerelay.runtime.recent import Recent

__all__ = ["READ_BYTES", "ArchiveReader", "DamagedError"]

RECENT_HOURS: Final = 24
"""Hours whose names are kept, and as many used before them: at the rate of the whole network an hour has 1,200 names,
some 0.2 MB."""

RECENT_INDEXES: Final = 16
"""Objects whose indexes are kept, and as many used before them."""

RECENT_BLOCKS: Final = 4
"""Blocks that are kept, and as many used before them: readers that catch up together unpack each once. A block has some
400 KB, and 240 KB packed; one with the largest event has 5 MB more."""

READ_BYTES: Final = 1_000_000
"""Packed blocks that are read in one call, if they follow each other: who has read one wants the next."""

LATER_NAMES: Final = 10
"""Names that are listed to find one of a later hour: the first, unless it is not ours."""

_last_seq = attrgetter("last_seq")

B = TypeVar("B")


class DamagedError(InvariantError):
    """A block or an object of the archive that cannot be read."""

    def __init__(self, last_seq: int, problem: InvariantError) -> None:
        super().__init__(str(problem))
        self.last_seq = last_seq
        """Up to this number nothing can be had."""


class ArchiveReader(Generic[B]):
    """The archive, as blocks in order. One call after the other: who waits finds there what the one before him read."""

    def __init__(
        self, objects: ObjectStore, codecs: Codecs, load: Callable[[Batch], B], read_bytes: int = READ_BYTES
    ) -> None:
        """`load` makes of a block what its readers are handed; it is kept for those that follow."""
        self._objects = objects
        self._codecs = codecs
        self._load = load
        self._read_bytes = read_bytes
        self._names: Recent[int, list[ObjectName]] = Recent(RECENT_HOURS)
        self._indexes: Recent[str, ContainerIndex] = Recent(RECENT_INDEXES)
        self._packed: Recent[int, SealedBlock] = Recent(RECENT_BLOCKS)
        self._blocks: Recent[int, B] = Recent(RECENT_BLOCKS)
        self._lock = asyncio.Lock()

    async def find(self, cursor: int) -> B | None:
        """The block with the first event in the archive whose number is at least `cursor`; None if there is none.

        Raises:
            ObjectStoreError: the bucket does not answer.
            DamagedError: the block is damaged, or the object that holds it.
        """
        async with self._lock:
            name = await self._holder(cursor)
            if name is None:
                return None
            try:
                return await self._block(name, cursor)
            except ObjectMissingError:
                # It was listed, so it was taken away since, and other names with it.
                self._names.forget(hour_of(name.first_seq))
                raise

    async def _block(self, name: ObjectName, cursor: int) -> B:
        index = await self._index(name)
        blocks = index.blocks_from(cursor)
        contents = blocks[0].facts.contents
        block = self._blocks.get(contents.first_seq)
        if block is None:
            packed = self._packed.get(contents.first_seq) or await self._read_on(name.key, blocks)
            try:
                block = self._load(open_batch(packed, self._codecs))
            except BlockError as error:
                raise DamagedError(contents.last_seq, error) from error
            self._blocks.add(contents.first_seq, block)
        return block

    async def _read_on(self, key: str, blocks: Sequence[PlacedBlock]) -> SealedBlock:
        """Read the first of some blocks that follow each other, and of the others what one call may read."""
        start = blocks[0].offset
        run = [blocks[0], *takewhile(lambda block: block.range.end <= start + self._read_bytes, blocks[1:])]
        data = await self._objects.read(key, start, run[-1].range.end - start)
        packed = [SealedBlock(each.facts, data[each.offset - start : each.range.end - start]) for each in run]
        for block in packed[1:]:
            self._packed.add(block.facts.contents.first_seq, block)
        return packed[0]

    async def _holder(self, cursor: int) -> ObjectName | None:
        """The first object that ends at or beyond the cursor."""
        names = self._names.get(hour_of(cursor)) or []
        if not names or names[-1].last_seq < cursor:
            names = await self._list_on(cursor, names)
        if names and names[-1].last_seq >= cursor:
            return names[bisect_left(names, cursor, key=_last_seq)]
        # Nothing more in this hour; the names of a later one sort behind all of it.
        after = f"{hour_prefix(Folder.GROUPS, cursor)}~"
        while listed := await self._objects.names(f"{Folder.GROUPS}/", after, LATER_NAMES):
            if found := own_names(listed):
                return found[0]
            after = listed[-1]
        return None

    async def _list_on(self, cursor: int, names: list[ObjectName]) -> list[ObjectName]:
        """List the names of the cursor's hour, as far as the cursor; those that are known need not be listed again."""
        prefix, after = hour_prefix(Folder.GROUPS, cursor), names[-1].key if names else ""
        while listed := await self._objects.names(prefix, after):
            names, after = [*names, *own_names(listed)], listed[-1]
            if names and names[-1].last_seq >= cursor:
                break
        if names:
            self._names.add(hour_of(cursor), names)
        return names

    async def _index(self, name: ObjectName) -> ContainerIndex:
        index = self._indexes.get(name.key)
        if index is None:
            try:
                index = await self._read_index(name.key)
                if (index.first_seq, index.last_seq) != (name.first_seq, name.last_seq):
                    raise ContainerCorrupt(f"{name.key} holds {index.first_seq} to {index.last_seq}")
            except ContainerError as error:
                raise DamagedError(name.last_seq, error) from error
            self._indexes.add(name.key, index)
        return index

    async def _read_index(self, key: str) -> ContainerIndex:
        tail = await self._objects.read_tail(key, TAIL_BYTES)
        opening = ContainerOpening(tail.size_bytes)
        opening.take(tail.data)
        while opening.wanted is not None:
            opening.take(await self._objects.read(key, *opening.wanted))
        return opening.index
