"""The index of a container: everything about it but the bytes of its blocks.

Values, and what holds among them; how they are written down says `index_entries`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from edgerelay.archive.block import BlockFacts, Contents
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.hash_filter import HashFilter
from edgerelay.errors import InvariantError

__all__ = [
    "MAX_BLOCKS",
    "MAX_COLLECTIONS",
    "ByteRange",
    "ContainerHeader",
    "ContainerIndex",
    "PlacedBlock",
    "Stream",
    "check_order",
    "collections_table",
]

MAX_BLOCKS: Final = 4_096
"""Blocks of a container: 1.3 GB of the firehose, of which an hour of the whole network has some 5."""

MAX_COLLECTIONS: Final = 4_096
"""Collections that a container lists: more than the network uses in an hour. Blocks with others are taken to hold
any."""

_F = TypeVar("_F", bound=HashFilter)


class Stream(StrEnum):
    """What the blocks of a container hold."""

    FIREHOSE = "firehose"
    """Frames, as `firehose_block` packs them."""

    JETSTREAM = "jetstream"
    """Lines of JSON, ready to send."""

    BLOBS = "blobs"
    """References to blobs, as `blob_block` packs them."""


class ByteRange(NamedTuple):
    """Bytes of an object."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.length


class PlacedBlock(NamedTuple):
    """The facts of a block, and where it begins."""

    offset: int
    facts: BlockFacts

    @property
    def range(self) -> ByteRange:
        """Where its packed bytes are."""
        return ByteRange(self.offset, self.facts.packed_bytes)


class ContainerHeader(NamedTuple):
    """What is known of a container before its blocks are."""

    stream: Stream
    generation: int
    prev_seq: int
    first_seq: int


class ContainerIndex(NamedTuple):
    """Everything about a container but the bytes of its blocks."""

    stream: Stream
    generation: int
    prev_seq: int
    """Number of the stream's last event before."""

    first_seq: int
    last_seq: int
    collections: tuple[str, ...] | None
    """Collections of all blocks, sorted; None if not known: it may be any."""

    did_filter: DidFilter | None
    """Accounts of all blocks; None if not known: it may be any."""

    blocks: tuple[PlacedBlock, ...]
    """In the order of their numbers, at least one."""

    cid_filter: CidFilter | None = None
    """Blobs of all blocks; None if not known: it may be any."""

    @classmethod
    def of(cls, stream: Stream, generation: int, blocks: Sequence[PlacedBlock]) -> ContainerIndex:
        """The index over some blocks, in order."""
        listed = tuple(_with_bounded_collections(blocks))
        contents = [block.facts.contents for block in listed]
        return cls(
            stream,
            generation,
            contents[0].prev_seq,
            contents[0].first_seq,
            contents[-1].last_seq,
            tuple(collections_table(contents)) if all(each.collections is not None for each in contents) else None,
            _united(DidFilter, [each.did_filter for each in contents]),
            listed,
            _united(CidFilter, [each.cid_filter for each in contents]),
        )

    @property
    def header(self) -> ContainerHeader:
        """What the header says of the same container."""
        return ContainerHeader(self.stream, self.generation, self.prev_seq, self.first_seq)

    def blocks_from(self, cursor: int) -> tuple[PlacedBlock, ...]:
        """All blocks with a number that is at least `cursor`."""
        return self.blocks[bisect_left(self.blocks, cursor, key=_last_seq) :]


def _united(kind: type[_F], filters: Sequence[_F | None]) -> _F | None:
    known = [each for each in filters if each is not None]
    return kind.union(known) if len(known) == len(filters) else None


def _last_seq(block: PlacedBlock) -> int:
    return block.facts.contents.last_seq


def _with_bounded_collections(blocks: Iterable[PlacedBlock]) -> Iterator[PlacedBlock]:
    """The same blocks; those whose collections would be too many to list are taken to hold any."""
    names: set[str] = set()
    for offset, facts in blocks:
        own = facts.contents.collections
        if own is not None and len(names) + len(set(own) - names) > MAX_COLLECTIONS:
            yield PlacedBlock(offset, facts._replace(contents=facts.contents._replace(collections=None)))
        else:
            names.update(own or ())
            yield PlacedBlock(offset, facts)


def collections_table(contents: Iterable[Contents]) -> list[str]:
    """All collections that are known of, sorted."""
    return sorted({name for each in contents for name in each.collections or ()})


def check_order(blocks: Sequence[PlacedBlock]) -> None:
    """Raise `InvariantError` unless each block lies behind the one before, by its place and by its numbers."""
    for before, after in pairwise(blocks):
        if after.offset != before.range.end:
            raise InvariantError(f"a block at {after.offset}, and the one before ends at {before.range.end}")
        if after.facts.contents.prev_seq < before.facts.contents.last_seq:
            raise InvariantError(f"a block from {after.facts.contents.first_seq} on overlaps the one before")
