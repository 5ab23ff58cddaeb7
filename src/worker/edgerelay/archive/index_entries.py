"""The index of a container as entries, and its header.

    header entries   stream, generation, start
    footer entries   stream, generation, start, end, collections, DIDs, CIDs, and for each block in order a block entry
    block entry      again entries: place, range, counts, collections, DIDs, positions, CIDs

`docs/segment-format.md` has every byte. Where the entries stand in the object, and what guards them, is `container`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from struct import Struct, iter_unpack, pack
from struct import error as StructError
from typing import Final, TypeVar

from edgerelay.archive.block import (
    MAX_COLLECTION_BYTES,
    MAX_PACKED_BYTES,
    MAX_RAW_BYTES,
    BlockFacts,
    Contents,
    UpstreamPosition,
)
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.container_errors import ContainerCorrupt, ContainerError, ContainerNewer
from edgerelay.archive.container_index import (
    MAX_BLOCKS,
    MAX_COLLECTIONS,
    ContainerHeader,
    ContainerIndex,
    PlacedBlock,
    Stream,
    check_order,
    collections_table,
)
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.entries import CRITICAL, read_entries, write_entry
from edgerelay.archive.hash_filter import HashFilter
from edgerelay.errors import InvariantError

__all__ = ["decode_header", "decode_index", "encode_header", "encode_index", "largest_entry_bytes"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=HashFilter)


class _Tag(IntEnum):
    STREAM = CRITICAL | 1
    GENERATION = CRITICAL | 2
    START = CRITICAL | 3
    END = CRITICAL | 4
    COLLECTIONS = 5
    DIDS = 6
    BLOCK = CRITICAL | 7
    CIDS = 8


class _BlockTag(IntEnum):
    PLACE = CRITICAL | 1
    RANGE = CRITICAL | 2
    COUNTS = CRITICAL | 3
    COLLECTIONS = 4
    DIDS = 5
    POSITIONS = 6
    CIDS = 7


_TAGS: Final = frozenset(_Tag)
_BLOCK_TAGS: Final = frozenset(_BlockTag)

_GENERATION: Final = Struct(">I")
_START: Final = Struct(">QQ")
_END: Final = Struct(">Q")
_PLACE: Final = Struct(">QIIIBI")
_RANGE: Final = Struct(">QQQ")
_POSITION: Final = Struct(">QQQ")
_U16_BYTES: Final = 2


def largest_entry_bytes(facts: BlockFacts) -> int:
    """What a block adds to a footer at most: its entry, and its accounts, blobs and collections as new ones."""
    contents = facts.contents
    names = contents.collections or ()
    of_the_whole = sum([len(each.hashes) for each in (contents.did_filter, contents.cid_filter) if each is not None])
    of_the_whole += sum([_U16_BYTES + len(name.encode()) for name in names])
    return of_the_whole + len(_encode_block(PlacedBlock(0, facts), dict.fromkeys(names, 0)))


def encode_header(header: ContainerHeader) -> bytes:
    """The entries of a header."""
    return b"".join(
        [
            write_entry(_Tag.STREAM, header.stream.encode()),
            write_entry(_Tag.GENERATION, _GENERATION.pack(header.generation)),
            write_entry(_Tag.START, _START.pack(header.prev_seq, header.first_seq)),
        ]
    )


def decode_header(raw: bytes) -> ContainerHeader:
    """Read the entries of a header. Raises `ContainerCorrupt` and `ContainerNewer`."""
    return _undamaged("header", lambda: _header(read_entries(raw, (_Tag.STREAM, _Tag.GENERATION, _Tag.START))))


def encode_index(index: ContainerIndex) -> bytes:
    """The entries of a footer."""
    table = collections_table(block.facts.contents for block in index.blocks)
    places = {name: place for place, name in enumerate(table)}
    names = [name.encode() for name in table]
    parts = [
        encode_header(index.header),
        write_entry(_Tag.END, _END.pack(index.last_seq)),
        write_entry(_Tag.COLLECTIONS, b"".join([pack(">H", len(name)) + name for name in names])),
    ]
    if index.did_filter is not None:
        parts.append(write_entry(_Tag.DIDS, index.did_filter.hashes))
    if index.cid_filter is not None:
        parts.append(write_entry(_Tag.CIDS, index.cid_filter.hashes))
    return b"".join([*parts, *(_encode_block(block, places) for block in index.blocks)])


def _encode_block(block: PlacedBlock, places: Mapping[str, int]) -> bytes:
    offset, facts = block
    contents = facts.contents
    place = (offset, facts.packed_bytes, facts.raw_bytes, facts.checksum, facts.codec, facts.generation)
    parts = [
        write_entry(_BlockTag.PLACE, _PLACE.pack(*place)),
        write_entry(_BlockTag.RANGE, _RANGE.pack(contents.prev_seq, contents.first_seq, contents.last_seq)),
        write_entry(_BlockTag.COUNTS, pack(f">{len(contents.counts)}I", *contents.counts)),
    ]
    if contents.collections is not None:
        own = [places[name] for name in contents.collections]
        parts.append(write_entry(_BlockTag.COLLECTIONS, pack(f">{len(own)}H", *own)))
    if contents.did_filter is not None:
        parts.append(write_entry(_BlockTag.DIDS, contents.did_filter.hashes))
    if contents.positions:
        parts.append(write_entry(_BlockTag.POSITIONS, b"".join([_POSITION.pack(*each) for each in contents.positions])))
    if contents.cid_filter is not None:
        parts.append(write_entry(_BlockTag.CIDS, contents.cid_filter.hashes))
    return write_entry(_Tag.BLOCK, b"".join(parts))


def decode_index(raw: bytes) -> ContainerIndex:
    """Read the entries of a footer.

    Raises:
        ContainerCorrupt: they do not have what they must, or contradict each other.
        ContainerNewer: an entry that must be understood is not known.
    """
    return _undamaged("footer", lambda: _index(raw))


def _undamaged(where: str, decode: Callable[[], _T]) -> _T:
    """Whatever bytes do that were not written here is damage."""
    try:
        return decode()
    except ContainerError:
        raise
    except (InvariantError, StructError, ValueError) as error:
        raise ContainerCorrupt(f"{where}: {error}") from error


def _index(raw: bytes) -> ContainerIndex:
    entries = read_entries(raw, _TAGS, (_Tag.BLOCK,))
    stream, generation, prev_seq, first_seq = _header(entries)
    (last_seq,) = _END.unpack(_one(entries, _Tag.END))
    # Without the table no collections of a block can be told either.
    table = _names(*entries[_Tag.COLLECTIONS]) if _Tag.COLLECTIONS in entries else None
    did_filter, cid_filter = _filter(DidFilter, entries, _Tag.DIDS), _filter(CidFilter, entries, _Tag.CIDS)
    if not all(each is None or each.is_well_formed() for each in (did_filter, cid_filter)):
        raise ContainerCorrupt("footer: its filter of DIDs or CIDs is not in order")
    found = entries.get(_Tag.BLOCK, [])
    if not 0 < len(found) <= MAX_BLOCKS:
        raise ContainerCorrupt(f"footer: {len(found)} blocks; 1 to {MAX_BLOCKS} are possible")
    blocks = tuple([_decode_block(each, table) for each in found])
    contents = [block.facts.contents for block in blocks]
    check_order(blocks)
    if (prev_seq, first_seq, last_seq) != (contents[0].prev_seq, contents[0].first_seq, contents[-1].last_seq):
        raise ContainerCorrupt("footer: its numbers are not those of its blocks")
    collections = tuple(table) if table is not None and all(each.collections is not None for each in contents) else None
    facts = (stream, generation, prev_seq, first_seq, last_seq, collections, did_filter, blocks, cid_filter)
    return ContainerIndex(*facts)


def _one(entries: Mapping[int, list[bytes]], tag: int) -> bytes:
    if tag not in entries:
        raise ContainerCorrupt(f"entry {tag:#06x} is missing")
    return entries[tag][0]


def _header(entries: Mapping[int, list[bytes]]) -> ContainerHeader:
    stream = _one(entries, _Tag.STREAM).decode()
    if stream not in tuple(Stream):
        raise ContainerNewer(f"a container of the stream {stream[:MAX_COLLECTION_BYTES]!r}, which is not known")
    (generation,) = _GENERATION.unpack(_one(entries, _Tag.GENERATION))
    return ContainerHeader(Stream(stream), generation, *_START.unpack(_one(entries, _Tag.START)))


def _names(raw: bytes) -> list[str]:
    names: list[bytes] = []
    at = 0
    while at < len(raw):
        start = at + _U16_BYTES
        at = start + int.from_bytes(raw[at:start], "big")
        names.append(raw[start:at])
    if at != len(raw) or len(names) > MAX_COLLECTIONS or max(map(len, names), default=0) > MAX_COLLECTION_BYTES:
        raise ContainerCorrupt("its collections are cut short, too many or too long")
    if names != sorted(set(names)):
        raise ContainerCorrupt("its collections are not in order")
    return [name.decode() for name in names]


def _filter(kind: type[_F], entries: Mapping[int, list[bytes]], tag: int) -> _F | None:
    return kind(entries[tag][0]) if tag in entries else None


def _decode_block(raw: bytes, table: Sequence[str] | None) -> PlacedBlock:
    entries = read_entries(raw, _BLOCK_TAGS)
    offset, packed_bytes, raw_bytes, checksum, codec, generation = _PLACE.unpack(_one(entries, _BlockTag.PLACE))
    if packed_bytes > MAX_PACKED_BYTES or raw_bytes > MAX_RAW_BYTES:
        raise ContainerCorrupt(f"a block of {packed_bytes} packed and {raw_bytes} raw bytes")
    prev_seq, first_seq, last_seq = _RANGE.unpack(_one(entries, _BlockTag.RANGE))
    contents = Contents(
        prev_seq,
        first_seq,
        last_seq,
        tuple([count for (count,) in iter_unpack(">I", _one(entries, _BlockTag.COUNTS))]),
        _collections(entries, table),
        _filter(DidFilter, entries, _BlockTag.DIDS),
        tuple([UpstreamPosition(*each) for each in _POSITION.iter_unpack(_optional(entries, _BlockTag.POSITIONS))]),
        _filter(CidFilter, entries, _BlockTag.CIDS),
    )
    contents.check()
    return PlacedBlock(offset, BlockFacts(codec, generation, raw_bytes, packed_bytes, checksum, contents))


def _optional(entries: Mapping[int, list[bytes]], tag: int) -> bytes:
    return entries[tag][0] if tag in entries else b""


def _collections(entries: Mapping[int, list[bytes]], table: Sequence[str] | None) -> tuple[str, ...] | None:
    if table is None or _BlockTag.COLLECTIONS not in entries:
        return None
    places = [place for (place,) in iter_unpack(">H", entries[_BlockTag.COLLECTIONS][0])]
    if max(places, default=-1) >= len(table):
        raise ContainerCorrupt("a block has a collection that is not listed")
    return tuple([table[place] for place in places])
