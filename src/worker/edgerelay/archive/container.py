"""Containers: objects of the archive, `.ers`, which hold sealed blocks and an index over them.

    container := header, the packed bytes of each block, footer

    header    := magic 89 45 52 53, u16 version, u32 length of its entries, entries, u32 CRC-32 of all before
    footer    := entries, u16 version, u32 length of its entries, u32 CRC-32 of all of the footer before,
                 magic 53 52 45 89                                                               all big-endian

A container is read from its end: the footer has everything that the header says, and more. The header tells a stranger
what he holds when the end is missing. What the entries say is `index_entries`'s, what the bytes of a block are
`block`'s.

The writer gives bytes as they come, and never holds a block; the reader asks for ranges, and never reads.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import Final, cast
from zlib import crc32

from edgerelay.archive.block import BlockFacts, SealedBlock, check_packed
from edgerelay.archive.container_errors import ContainerCorrupt, ContainerForeign, ContainerNewer, ContainerTruncated
from edgerelay.archive.container_index import (
    MAX_BLOCKS,
    ByteRange,
    ContainerHeader,
    ContainerIndex,
    PlacedBlock,
    Stream,
    check_order,
)
from edgerelay.archive.index_entries import (
    decode_header,
    decode_index,
    encode_header,
    encode_index,
    largest_entry_bytes,
)
from edgerelay.errors import InvariantError

__all__ = [
    "CONTAINER_VERSION",
    "MAX_FOOTER_BYTES",
    "MAX_HEADER_BYTES",
    "OWN_ENTRIES_BYTES",
    "TAIL_BYTES",
    "ContainerOpening",
    "ContainerWriter",
    "encode_end",
    "encode_start",
    "read_header",
]

CONTAINER_VERSION: Final = 1
"""Version of the layout around the entries."""

TAIL_BYTES: Final = 65_536
"""What is read first, from the end: the whole footer of a group, or of a segment of some 80 blocks."""

MAX_HEADER_BYTES: Final = 65_536
"""Of a header: it has less than 100, and newer code may say more."""

MAX_FOOTER_BYTES: Final = 4_194_304
"""Of a footer, which readers hold in memory: a block takes 0.8 KB of it, or up to 1 MB if it has as many events as it
can."""

_MAGIC: Final = b"\x89ERS"
_END_MAGIC: Final = b"SRE\x89"
_HEADER: Final = Struct(">4sHI")
_CHECKSUM: Final = Struct(">I")
_LENGTHS: Final = Struct(">HI")
_TRAILER_BYTES: Final = _LENGTHS.size + _CHECKSUM.size + len(_END_MAGIC)
OWN_ENTRIES_BYTES: Final = 1_024
"""What the entries of a footer that are no block's take at most, without what counts with the blocks."""


class ContainerWriter:
    """Writes one container: the answers of `add`, in order, and then of `finish` are its bytes."""

    def __init__(self, stream: Stream, generation: int = 0) -> None:
        self._stream = stream
        self._generation = generation
        self._blocks: list[PlacedBlock] = []
        self._footer_bytes = OWN_ENTRIES_BYTES
        self.written_bytes = 0

    def has_room(self, facts: BlockFacts) -> bool:
        """Whether the index can take one more block; without one it always can."""
        fits = self._footer_bytes + largest_entry_bytes(facts) <= MAX_FOOTER_BYTES
        return fits and len(self._blocks) < MAX_BLOCKS

    def add(self, block: SealedBlock) -> bytes:
        """Write a block, sealed just now or read from another container.

        Raises:
            BlockError: its bytes are damaged.
            InvariantError: it does not lie behind the one before, or there is no room.
        """
        check_packed(block)
        facts, packed = block
        if not self.has_room(facts):
            raise InvariantError(f"a container of {len(self._blocks)} blocks cannot take one more")
        contents = facts.contents
        header = ContainerHeader(self._stream, self._generation, contents.prev_seq, contents.first_seq)
        started = b"" if self._blocks else self._write(encode_start(header))
        placed = PlacedBlock(self.written_bytes, facts)
        check_order([*self._blocks[-1:], placed])
        self._blocks.append(placed)
        self._footer_bytes += largest_entry_bytes(facts)
        return started + self._write(packed)

    def finish(self) -> bytes:
        """Write the footer. Raises `InvariantError` if there is no block."""
        if not self._blocks:
            raise InvariantError("a container without blocks")
        return self._write(encode_end(self.index()))

    def index(self) -> ContainerIndex:
        """What a reader of the blocks so far will know; there must be one."""
        return ContainerIndex.of(self._stream, self._generation, self._blocks)

    def _write(self, data: bytes) -> bytes:
        self.written_bytes += len(data)
        return data


def encode_start(header: ContainerHeader) -> bytes:
    """Everything before the first block; as many bytes for all containers of a stream."""
    entries = encode_header(header)
    start = _HEADER.pack(_MAGIC, CONTAINER_VERSION, len(entries)) + entries
    return start + _CHECKSUM.pack(crc32(start))


def encode_end(index: ContainerIndex) -> bytes:
    """Everything behind the last block."""
    entries = encode_index(index)
    footer = entries + _LENGTHS.pack(CONTAINER_VERSION, len(entries))
    return footer + _CHECKSUM.pack(crc32(footer)) + _END_MAGIC


class _Step(Enum):
    TAIL = "tail"
    FOOTER = "footer"
    BEGINNING = "beginning"
    DONE = "done"


class ContainerOpening:
    """Finds the index of a container: as long as something is `wanted`, `take` it.

    Usually once, and once more if the footer is longer than `TAIL_BYTES`.
    """

    def __init__(self, object_bytes: int) -> None:
        self._object_bytes = object_bytes
        self._tail = b""
        self._step = _Step.TAIL
        self._index: ContainerIndex | None = None
        length = min(object_bytes, TAIL_BYTES)
        self.wanted: ByteRange | None = ByteRange(object_bytes - length, length)
        """The bytes of the object that are needed next; None when the index is there."""

    @property
    def index(self) -> ContainerIndex:
        """The index. Raises `InvariantError` while something is wanted."""
        if self._index is None:
            raise InvariantError("a container that is not open yet")
        return self._index

    def take(self, data: bytes) -> None:
        """Go on with the bytes that were wanted.

        Raises:
            ContainerError: one of its kinds says why there is no index.
        """
        wanted, self.wanted = self.wanted, None
        if wanted is None:
            raise InvariantError("nothing was wanted")
        if len(data) != wanted.length:
            raise ContainerTruncated(f"{len(data)} bytes at {wanted.offset} instead of {wanted.length}")
        if self._step is _Step.BEGINNING:
            _refuse_without_end(data)
        self._tail = data + self._tail
        if self._step is _Step.TAIL:
            self._look_at_the_end()
        else:
            self._read_footer()

    def _look_at_the_end(self) -> None:
        if not self._tail.endswith(_END_MAGIC) or len(self._tail) < _TRAILER_BYTES:
            self._step = _Step.BEGINNING
            self.wanted = ByteRange(0, min(self._object_bytes, len(_MAGIC)))
            return
        version, length = self._lengths()
        if version != CONTAINER_VERSION:
            raise ContainerNewer(f"a container of version {version}; this code knows {CONTAINER_VERSION}")
        if length > MAX_FOOTER_BYTES:
            raise ContainerCorrupt(f"a footer of {length} bytes; {MAX_FOOTER_BYTES} are possible")
        missing = length + _TRAILER_BYTES - len(self._tail)
        first = self._object_bytes - len(self._tail) - missing
        if first < 0:
            raise ContainerTruncated(f"a footer of {length} bytes in an object of {self._object_bytes}")
        if missing > 0:
            self._step = _Step.FOOTER
            self.wanted = ByteRange(first, missing)
        else:
            self._read_footer()

    def _lengths(self) -> tuple[int, int]:
        return cast(tuple[int, int], _LENGTHS.unpack_from(self._tail, len(self._tail) - _TRAILER_BYTES))

    def _read_footer(self) -> None:
        _, length = self._lengths()
        footer = self._tail[-length - _TRAILER_BYTES : -len(_END_MAGIC)]
        if _CHECKSUM.unpack(footer[-_CHECKSUM.size :])[0] != crc32(footer[: -_CHECKSUM.size]):
            raise ContainerCorrupt("the checksum of the footer does not match")
        index = decode_index(footer[:length])
        said = index.blocks[-1].range.end + length + _TRAILER_BYTES
        if said > self._object_bytes:
            raise ContainerTruncated(f"{self._object_bytes} bytes, and its index speaks of {said}")
        if said < self._object_bytes or index.blocks[0].offset < _HEADER.size:
            raise ContainerCorrupt(f"{self._object_bytes} bytes, and its index speaks of {said}")
        self._tail, self._step, self._index = b"", _Step.DONE, index


def _refuse_without_end(beginning: bytes) -> None:
    if beginning and _MAGIC.startswith(beginning):
        raise ContainerTruncated("it begins as a container and does not end as one")
    if beginning:
        raise ContainerForeign("neither begins nor ends as a container")
    raise ContainerTruncated("an empty object")


def read_header(beginning: bytes) -> ContainerHeader:
    """Read the header out of the first bytes of an object: `MAX_HEADER_BYTES` are always enough.

    Raises:
        ContainerError: one of its kinds says why there is none.
    """
    if not (beginning.startswith(_MAGIC) or _MAGIC.startswith(beginning)):
        raise ContainerForeign("does not begin as a container")
    if len(beginning) < _HEADER.size:
        raise ContainerTruncated(f"a header of {len(beginning)} bytes")
    _, version, length = _HEADER.unpack_from(beginning)
    if version != CONTAINER_VERSION:
        raise ContainerNewer(f"a container of version {version}; this code knows {CONTAINER_VERSION}")
    end = _HEADER.size + length
    if end + _CHECKSUM.size > MAX_HEADER_BYTES:
        raise ContainerCorrupt(f"a header of {length} bytes")
    if end + _CHECKSUM.size > len(beginning):
        raise ContainerTruncated(f"a header of {length} bytes and more in {len(beginning)}")
    if _CHECKSUM.unpack_from(beginning, end)[0] != crc32(beginning[:end]):
        raise ContainerCorrupt("the checksum of the header does not match")
    return decode_header(beginning[_HEADER.size : end])
