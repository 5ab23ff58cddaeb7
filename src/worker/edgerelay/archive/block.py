"""Blocks: some raw bytes of a stream, packed by a codec, and the facts by which they are found and checked.

What the raw bytes mean is the stream's business: it says their `Contents`, from which a reader tells whether the block
matters to it at all. A block is sealed once and then only copied; what is rewritten later is of another generation.

The checksum is CRC-32 of the packed bytes, so that whoever copies a block can check it without unpacking. It is there
for accidents, as nobody but us writes the archive. Over 320 KB it takes 0.3 ms in Pyodide, SHA-256 would take 1.6: more
than unpacking. Adler-32 takes 0.1, and is too weak for what lies about for months. When a block is opened, its lengths
and numbers are compared, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final, NamedTuple
from zlib import crc32

from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.codec import Codec, CodecError
from edgerelay.archive.did_filter import DidFilter
from edgerelay.errors import InvariantError

__all__ = [
    "MAX_BLOCK_COLLECTIONS",
    "MAX_COLLECTION_BYTES",
    "MAX_EVENTS",
    "MAX_GENERATION",
    "MAX_KINDS",
    "MAX_PACKED_BYTES",
    "MAX_POSITIONS",
    "MAX_RAW_BYTES",
    "MAX_SEQ",
    "BlockError",
    "BlockFacts",
    "Codecs",
    "Contents",
    "SealedBlock",
    "UpstreamPosition",
    "check_packed",
    "collections_of",
    "seal",
    "unseal",
]

MAX_RAW_BYTES: Final = 16_777_216
"""Bytes of a block before it is packed: blocks have about 512 KB, but one event alone can have 5 MB, and its Jetstream
lines, with bytes as base64, some more."""

MAX_PACKED_BYTES: Final = MAX_RAW_BYTES + 65_536
"""Packed bytes of a block: what cannot be compressed grows a little."""

MAX_EVENTS: Final = 65_536
"""Events of a block: 512 KB of the smallest frames are some 5,000."""

MAX_KINDS: Final = 16
"""Kinds of events that are counted apart: there are four, and a few may come."""

MAX_POSITIONS: Final = 4_096
"""Hosts whose positions a block tells: as many hosts have never been read by one relay."""

MAX_BLOCK_COLLECTIONS: Final = 256
"""Collections that are listed: blocks have about ten. Accounts can name whatever they like, and must not make the index
larger than the blocks: if there are more, the block is taken to hold any."""

MAX_COLLECTION_BYTES: Final = 317
"""Of an NSID: the specification's bound. With a longer one, the block is taken to hold any."""

MAX_SEQ: Final = 2**53 - 1
"""Numbers are exact in JSON, too."""

MAX_GENERATION: Final = 2**32 - 1
"""How often something was rewritten: four bytes."""


class BlockError(InvariantError):
    """A block is damaged, is not what its facts say, or was packed by a codec that is not at hand."""


class UpstreamPosition(NamedTuple):
    """Everything of this host up to `low` is finished."""

    host_id: int
    epoch: int
    low: int


class Contents(NamedTuple):
    """What the raw bytes of a block hold."""

    prev_seq: int
    """Number of the stream's last event before: another block ends with it, or something is missing between."""

    first_seq: int
    last_seq: int
    counts: tuple[int, ...]
    """Events of each kind, by the kind's code."""

    collections: tuple[str, ...] | None
    """Collections that its commits write to, sorted; None if not known: it may be any."""

    did_filter: DidFilter | None
    """Accounts whose events these are; None if not known: it may be any."""

    positions: tuple[UpstreamPosition, ...]
    """Where the upstreams stand after the last event."""

    cid_filter: CidFilter | None = None
    """Blobs that its references name; None if not known, or if it has no references: it may be any."""

    @property
    def event_count(self) -> int:
        """Events of all kinds."""
        return sum(self.counts)

    def check(self) -> None:
        """Raise `InvariantError` unless all of it can be written down and searched."""
        if not 0 <= self.prev_seq < self.first_seq <= self.last_seq <= MAX_SEQ:
            raise InvariantError(f"a block of {self.first_seq} to {self.last_seq} after {self.prev_seq}")
        if len(self.counts) > MAX_KINDS or min(self.counts, default=0) < 0 or self.event_count > MAX_EVENTS:
            raise InvariantError(f"a block of {self.event_count} events of {len(self.counts)} kinds")
        if len(self.positions) > MAX_POSITIONS or not all(0 <= each <= MAX_SEQ for each in chain(*self.positions)):
            raise InvariantError(f"a block with positions of {len(self.positions)} hosts, or one that cannot be")
        names = list(self.collections or ())
        if len(names) > MAX_BLOCK_COLLECTIONS or names != sorted(set(names)):
            raise InvariantError(f"a block whose {len(names)} collections are too many or not in order")
        if self.did_filter is not None and not self.did_filter.is_well_formed():
            raise InvariantError("a block whose filter of DIDs is not in order")
        if self.cid_filter is not None and not self.cid_filter.is_well_formed():
            raise InvariantError("a block whose filter of CIDs is not in order")


class BlockFacts(NamedTuple):
    """Everything about a sealed block but its bytes and their place."""

    codec: int
    generation: int
    """How often it was rewritten: 0 unless something was purged."""

    raw_bytes: int
    packed_bytes: int
    checksum: int
    contents: Contents


class SealedBlock(NamedTuple):
    """A block with its bytes."""

    facts: BlockFacts
    packed: bytes


Codecs = Mapping[int, Codec]
"""The codecs that are at hand, by their ids."""


def collections_of(paths: Iterable[str]) -> tuple[str, ...] | None:
    """The collections of some paths of records, as `Contents` wants them."""
    names: set[str] = set()
    for path in paths:
        names.add(path.partition("/")[0])
        if len(names) > MAX_BLOCK_COLLECTIONS:
            return None
    return tuple(sorted(names)) if all(len(name.encode()) <= MAX_COLLECTION_BYTES for name in names) else None


def seal(raw: bytes, contents: Contents, codec: Codec, generation: int = 0) -> SealedBlock:
    """Pack a block. Raises `InvariantError` if it is too large or `contents` cannot be."""
    contents.check()
    if len(raw) > MAX_RAW_BYTES or not 0 <= generation <= MAX_GENERATION:
        raise InvariantError(f"a block of {len(raw)} bytes, generation {generation}")
    packed = codec.compress(raw)
    return SealedBlock(BlockFacts(codec.id, generation, len(raw), len(packed), crc32(packed), contents), packed)


def check_packed(block: SealedBlock) -> None:
    """Compare the packed bytes with the facts, without unpacking them.

    Raises:
        BlockError: they are others.
    """
    facts, packed = block
    if len(packed) != facts.packed_bytes:
        raise BlockError(f"{_name(facts)}: {len(packed)} packed bytes instead of {facts.packed_bytes}")
    if crc32(packed) != facts.checksum:
        raise BlockError(f"{_name(facts)}: the checksum does not match")


def unseal(block: SealedBlock, codecs: Codecs) -> bytes:
    """Unpack a block.

    Raises:
        BlockError: it is damaged, or its codec is not at hand.
    """
    facts, packed = block
    codec = codecs.get(facts.codec)
    if codec is None:
        raise BlockError(f"{_name(facts)}: packed by codec {facts.codec}, which is not at hand")
    check_packed(block)
    try:
        return codec.decompress(packed, facts.raw_bytes)
    except CodecError as error:
        raise BlockError(f"{_name(facts)}: {error}") from error


def _name(facts: BlockFacts) -> str:
    return f"block {facts.contents.first_seq} to {facts.contents.last_seq}"
