"""CAR files, version 1: the blocks that a commit or a whole repository comes in.

Every block is checked against its CID and everything is bounded. Any order, duplicates and blocks that nothing refers
to are tolerated; what the blocks mean is not asked here.

Spec: atproto repository, "CAR File Serialization"; DASL CAR.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final, NamedTuple

from edgerelay.atproto import dagcbor
from edgerelay.atproto.cid import CBOR_PREFIX, CID_BYTES, RAW_PREFIX, Cid, cid_from_link
from edgerelay.errors import WireError

__all__ = [
    "MAX_BLOCKS",
    "MAX_BLOCK_BYTES",
    "MAX_CAR_BYTES",
    "Car",
    "parse_car",
]

MAX_CAR_BYTES: Final = 2_000_000
"""The field `blocks` of a commit: the limit of the lexicon and of the sync specification."""

MAX_BLOCK_BYTES: Final = 1_000_000
"""One record: the limit of the sync specification. Commits and tree nodes are far smaller."""

MAX_BLOCKS: Final = 10_000
"""200 operations, each with a search path and those of two neighbours in the tallest tree known (12 levels), make
7,400; what is beyond is junk that costs us a hash each."""

_CONTINUES: Final = 0x80
_PAYLOAD_MASK: Final = 0x7F
_PAYLOAD_BITS: Final = 7
_MAX_SHIFT: Final = 21
"""Varints of at most four bytes: lengths up to 2^28, more than any bound here."""
_VERSION: Final = 1
_CODEC_PREFIXES: Final = (CBOR_PREFIX, RAW_PREFIX)
_PREFIX_BYTES: Final = len(CBOR_PREFIX)
_MAX_ENTRY_BYTES: Final = CID_BYTES + MAX_BLOCK_BYTES

_COMMON_HEADER: Final = re.compile(
    rb"\x3a\xa2\x65roots\x81\xd8\x2a\x58\x25\x00(\x01\x71\x12\x20.{32})\x67version\x01", re.DOTALL
)
"""The header with one root, which is DAG-CBOR, and its length before it: practically every commit has it. To decode it
would take a seventh of the time of the whole CAR."""


class Car(NamedTuple):
    """What a CAR holds. The blocks are checked: each hashes to its CID."""

    root: Cid
    """The first root; further ones are allowed and mean nothing."""

    blocks: Mapping[Cid, bytes]


def parse_car(data: bytes, wanted: Container[bytes] | None = None) -> Car:
    """Read a CAR of at most `MAX_CAR_BYTES`.

    Args:
        data: the file.
        wanted: take only blocks with these CIDs, and check only their hashes: for a CAR that was read before.
    """
    end = len(data)
    if end > MAX_CAR_BYTES:
        raise WireError(f"a CAR is longer than {MAX_CAR_BYTES} bytes")
    try:
        root, position = _parse_header(data)
        blocks: dict[Cid, bytes] = {}
        read = 0
        while position < end:
            read += 1
            if read > MAX_BLOCKS:
                raise WireError(f"a CAR holds more than {MAX_BLOCKS} blocks")
            length, start = _read_varint(data, position)
            position = start + length
            if position > end:
                raise WireError("a CAR is cut short")
            digest_start = start + _PREFIX_BYTES
            block_start = start + CID_BYTES
            if length < CID_BYTES or data[start:digest_start] not in _CODEC_PREFIXES:
                raise WireError("a block of a CAR does not start with an allowed CID")
            if length > _MAX_ENTRY_BYTES:
                raise WireError(f"a block of a CAR is longer than {MAX_BLOCK_BYTES} bytes")
            if wanted is not None and data[start:block_start] not in wanted:
                continue
            block = data[block_start:position]
            if sha256(block).digest() != data[digest_start:block_start]:
                raise WireError("a block of a CAR does not hash to its CID")
            blocks[Cid(data[start:block_start])] = block
    except IndexError:
        raise WireError("a CAR is cut short") from None
    return Car(root, MappingProxyType(blocks))


def _parse_header(data: bytes) -> tuple[Cid, int]:
    """Read the header; returns the first root and the offset of the first block."""
    common = _COMMON_HEADER.match(data)
    if common is not None:
        return Cid(common[1]), common.end()
    length, start = _read_varint(data, 0)
    end = start + length
    if end > len(data):
        raise WireError("the header of a CAR is cut short")
    fields = dagcbor.decode(data[start:end])
    if not isinstance(fields, dict):
        raise WireError("the header of a CAR is not a map")
    version, roots = fields.get("version"), fields.get("roots")
    if type(version) is not int or version != _VERSION:
        raise WireError("not a CAR of version 1")
    if not isinstance(roots, list) or not roots:
        raise WireError("a CAR without a list of roots")
    return cid_from_link(roots[0]), end


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number in its shortest form; returns it and the offset behind it."""
    byte = data[position]
    value = byte & _PAYLOAD_MASK
    shift = _PAYLOAD_BITS
    while byte >= _CONTINUES:
        if shift > _MAX_SHIFT:
            raise WireError("a length in a CAR is too long")
        position += 1
        byte = data[position]
        value |= (byte & _PAYLOAD_MASK) << shift
        shift += _PAYLOAD_BITS
        if not byte:
            raise WireError("a length in a CAR is not in its shortest form")
    return value, position + 1
