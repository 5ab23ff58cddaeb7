"""Reads the archive, for readers whose cursor lies before the hot log.

A cursor leads to an hour, the hour's names to an object, the object's index to a block; the block is the answer. What
was read lately is kept, within bounds, because readers come in crowds, and each reads on where it stopped.

Objects may overlap, be joined and be taken away at any time. A block that begins right behind where a reader stands is
right, whatever object it is from; before anything else is answered, the names are listed anew.

It answers what is there. Whether something is missing between the cursor and that can be seen by the number before it.
What is there and cannot be read is named with its end, so that a reader may go on behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Final, Generic, TypeVar

from edgerelay.archive.block import BlockError, SealedBlock
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock
from edgerelay.archive.matching import MayMatch, passed_blocks
from edgerelay.archive.object_names import Folder, ObjectName, holders
from edgerelay.errors import InvariantError
from edgerelay.runtime.archive_names import ArchiveNames
from edgerelay.runtime.container_objects import open_named
from edgerelay.runtime.objects import ObjectMissingError, ObjectReader
from edgerelay.runtime.recent import Recent

__all__ = ["READ_BYTES", "ArchiveReader", "DamagedError"]

RECENT_INDEXES: Final = 8
"""Objects whose indexes are kept, and as many used before them: that of a segment of 64 MB of frames takes about a
megabyte."""

RECENT_BLOCKS: Final = 4
"""Blocks that are kept, and as many used before them: readers that catch up together unpack each once. A block has some
400 KB; one with the largest event has 5 MB more. One of lines has 40 to 120 KB, and rarely 4 MB."""

READ_BYTES: Final = 1_000_000
"""Packed blocks that are read in one call, if they follow each other: who has read one wants the next. A block of
frames has some 240 KB."""

KEPT_BYTES: Final = 2_000_000
"""Packed blocks that wait to be wanted. With more readers at different places than that is enough for, some are read
again."""

B = TypeVar("B")
T = TypeVar("T")

_BlockKey = tuple[int, int, int]
"""First and last number, and generation: the same block may lie in several objects, and another may begin with it."""

_Look = Callable[[str, Sequence[PlacedBlock]], Awaitable[T]]
"""Looks at some blocks, the rest of the object of this name."""


class DamagedError(InvariantError):
    """A block or an object of the archive that cannot be read."""

    def __init__(self, last_seq: int, problem: InvariantError) -> None:
        super().__init__(str(problem))
        self.last_seq = last_seq
        """Up to this number nothing can be had."""


class ArchiveReader(Generic[B]):
    """One stream of the archive, as blocks in order. One call after the other: who waits finds there what the one
    before him read."""

    def __init__(
        self,
        objects: ObjectReader,
        load: Callable[[SealedBlock], B],
        segments: Folder = Folder.FIREHOSE,
        growing: Folder = Folder.GROUPS,
        read_bytes: int = READ_BYTES,
        recent_indexes: int = RECENT_INDEXES,
    ) -> None:
        """`load` makes of a block what readers are handed, or raises `BlockError`; it is kept for those that follow.

        Args:
            segments: where what was joined is.
            growing: where new objects come up; of the lines, it is the same folder.
        """
        self._objects = objects
        self._load = load
        self._read_bytes = read_bytes
        self._names = ArchiveNames(objects, segments, growing)
        self._indexes: Recent[str, ContainerIndex] = Recent(recent_indexes)
        self._packed: dict[_BlockKey, SealedBlock] = {}
        self._packed_bytes = 0
        self._blocks: Recent[_BlockKey, B] = Recent(RECENT_BLOCKS)
        self._last_used: list[ObjectName] = []
        self._lock = asyncio.Lock()

    async def find(self, cursor: int) -> B | None:
        """The block with the first event in the archive whose number is at least `cursor`; None if there is none.

        Raises:
            ObjectStoreError: the bucket does not answer.
            DamagedError: the block is damaged, or the object that holds it.
        """
        async with self._lock:
            return await self._at(cursor, self._block)

    async def passed_up_to(self, cursor: int, may_match: MayMatch) -> int:
        """The end of the blocks from `cursor` on that cannot match, as long as they follow each other in one object.

        0 if the first one may match or there is none. Raises what `find` raises; no block is read.
        """

        async def look(_: str, blocks: Sequence[PlacedBlock]) -> int:
            passed = passed_blocks(blocks, cursor, may_match)
            return blocks[passed - 1].facts.contents.last_seq if passed else 0

        async with self._lock:
            return await self._at(cursor, look) or 0

    async def _at(self, cursor: int, look: _Look[T]) -> T | None:
        """What is seen of the blocks from a cursor on, in the first place where nothing seems to be missing."""
        for names_near in (self._used_last, self._names.segments_near, self._names.near):
            try:
                found = await self._first(await names_near(cursor), cursor, look)
            except (DamagedError, ObjectMissingError):
                continue
            if found is not None and found[0] < cursor:
                return found[1]
        self._names.forget()
        found = await self._first(await self._names.near(cursor), cursor, look)
        return None if found is None else found[1]

    async def _used_last(self, _: int) -> Sequence[ObjectName]:
        """The object that the last answer came from: the next one most likely lies there, and an hour has many."""
        return self._last_used

    async def _first(self, names: Sequence[ObjectName], cursor: int, look: _Look[T]) -> tuple[int, T] | None:
        """The number before the first block that the best of these objects has, and what is seen there."""
        damage: DamagedError | None = None
        tried = holders(names, cursor)
        for name in tried:
            try:
                blocks = (await self._index(name)).blocks_from(cursor)
                seen = blocks[0].facts.contents.prev_seq, await look(name.key, blocks)
                self._last_used = [name]
                return seen
            except DamagedError as error:
                damage = damage or error
        if damage is not None:
            # Another object may begin before the damage ends.
            starts = [name.first_seq for name in names if name.first_seq > cursor and name not in tried]
            damage.last_seq = min([damage.last_seq, *(start - 1 for start in starts)])
            raise damage
        return None

    async def _block(self, key: str, blocks: Sequence[PlacedBlock]) -> B:
        place = _key(blocks[0])
        block = self._blocks.get(place)
        if block is None:
            packed = self._packed.get(place) or await self._read_on(key, blocks)
            try:
                block = self._load(packed)
            except BlockError as error:
                raise DamagedError(packed.facts.contents.last_seq, error) from error
            self._blocks.add(place, block)
        return block

    async def _read_on(self, key: str, blocks: Sequence[PlacedBlock]) -> SealedBlock:
        """Read the first of some blocks that follow each other, and of the others what one call may read."""
        start = blocks[0].offset
        run = [blocks[0], *takewhile(lambda block: block.range.end <= start + self._read_bytes, blocks[1:])]
        data = await self._objects.read(key, start, run[-1].range.end - start)
        for block in run[1:]:
            self._keep(_key(block), SealedBlock(block.facts, data[block.offset - start : block.range.end - start]))
        return SealedBlock(run[0].facts, data[: run[0].range.length])

    def _keep(self, key: _BlockKey, block: SealedBlock) -> None:
        """Until others come that are read later."""
        if key in self._packed:
            return
        self._packed[key] = block
        self._packed_bytes += len(block.packed)
        while self._packed_bytes > KEPT_BYTES:
            oldest = self._packed.pop(next(iter(self._packed)))
            self._packed_bytes -= len(oldest.packed)

    async def _index(self, name: ObjectName) -> ContainerIndex:
        index = self._indexes.get(name.key)
        if index is None:
            try:
                index, _ = await open_named(self._objects, name)
            except ContainerError as error:
                raise DamagedError(name.last_seq, error) from error
            self._indexes.add(name.key, index)
        return index


def _key(block: PlacedBlock) -> _BlockKey:
    contents = block.facts.contents
    return contents.first_seq, contents.last_seq, block.facts.generation
