"""Joins containers: the blocks of several, one behind the other, in a new one; none is unpacked.

All but the blocks follows from the indexes of the old containers, so the new one can be written as a stream of a length
that is known before: `start`, the packed bytes of all blocks in order, `end`.

It does not read or write, and does not choose what is joined; it only says whether one more fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgerelay.archive.container import MAX_FOOTER_BYTES, OWN_ENTRIES_BYTES, encode_end, encode_start
from edgerelay.archive.container_index import ContainerHeader, ContainerIndex, PlacedBlock
from edgerelay.archive.index_entries import largest_entry_bytes
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.errors import InvariantError

__all__ = ["JOINED_BLOCKS", "Joined", "Joining"]

JOINED_BLOCKS: Final = 1_024
"""Blocks of what is joined: a reader holds its index, some 4 KB a block. Of frames 64 MB are a quarter of that, of
lines five times as many."""


@dataclass(frozen=True, slots=True)
class Joined:
    """All that the new container is, but its blocks' bytes."""

    index: ContainerIndex
    start: bytes
    end: bytes

    @property
    def size_bytes(self) -> int:
        """Of the whole container."""
        return self.index.blocks[-1].range.end + len(self.end)

    def name(self, folder: Folder) -> ObjectName:
        """Where it belongs."""
        return ObjectName(folder, self.index.first_seq, self.index.last_seq, self.index.generation)


class Joining:
    """Collects the indexes of what is joined."""

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` is for all blocks; a single container may be larger."""
        self._limit_bytes = limit_bytes
        self._indexes: list[ContainerIndex] = []
        self._blocks_bytes = 0
        self._footer_bytes = OWN_ENTRIES_BYTES
        self._block_count = 0

    def __len__(self) -> int:
        return len(self._indexes)

    def take(self, index: ContainerIndex) -> bool:
        """Add a container behind the others, if nothing is missing between and there is room; tells whether."""
        blocks_bytes = sum([block.facts.packed_bytes for block in index.blocks])
        footer_bytes = sum([largest_entry_bytes(block.facts) for block in index.blocks])
        if self._indexes and not (
            self._follows(index)
            and self._blocks_bytes + blocks_bytes <= self._limit_bytes
            and self._footer_bytes + footer_bytes <= MAX_FOOTER_BYTES
            and self._block_count + len(index.blocks) <= JOINED_BLOCKS
        ):
            return False
        self._indexes.append(index)
        self._blocks_bytes += blocks_bytes
        self._footer_bytes += footer_bytes
        self._block_count += len(index.blocks)
        return True

    def _follows(self, index: ContainerIndex) -> bool:
        before = self._indexes[-1]
        return index.stream == before.stream and index.prev_seq == before.last_seq

    def finish(self) -> Joined:
        """The new container, of the newest generation of all. Raises `InvariantError` if nothing was taken."""
        if not self._indexes:
            raise InvariantError("nothing to join")
        first = self._indexes[0]
        generation = max([index.generation for index in self._indexes])
        start = encode_start(ContainerHeader(first.stream, generation, first.prev_seq, first.first_seq))
        blocks: list[PlacedBlock] = []
        offset = len(start)
        for index in self._indexes:
            for block in index.blocks:
                blocks.append(PlacedBlock(offset, block.facts))
                offset += block.facts.packed_bytes
        index = ContainerIndex.of(first.stream, generation, blocks)
        return Joined(index, start, encode_end(index))
