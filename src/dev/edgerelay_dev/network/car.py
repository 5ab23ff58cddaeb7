"""CAR files, version 1: the container of blocks in commits and exports.

Spec: DASL CAR; atproto repository, "CAR File Serialization".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from cbor2 import CBORTag

from edgerelay.atproto.cid import CID_BYTES, Cid, cid_to_link
from edgerelay.atproto.dagcbor import decode, encode

__all__ = ["Block", "read_car", "write_car"]

_CONTINUE: Final = 0x80
_GROUP_BITS: Final = 7


class Block(NamedTuple):
    """Bytes and the CID that they should hash to."""

    cid: Cid
    data: bytes


def write_car(root: Cid, blocks: Iterable[Block]) -> bytes:
    """Write blocks in the order given, below one root."""
    header = encode({"roots": [cid_to_link(root)], "version": 1})
    parts = [_uvarint(len(header)), header]
    for cid, data in blocks:
        parts += (_uvarint(CID_BYTES + len(data)), cid, data)
    return b"".join(parts)


def read_car(data: bytes) -> tuple[Cid, list[Block]]:
    """Read the root and the blocks of a file of our own; hashes are not checked."""
    length, offset = _read_uvarint(data, 0)
    header = cast("dict[str, list[CBORTag]]", decode(data[offset : offset + length]))
    offset += length
    blocks = []
    while offset < len(data):
        length, offset = _read_uvarint(data, offset)
        body = offset + CID_BYTES
        blocks.append(Block(Cid(data[offset:body]), data[body : offset + length]))
        offset += length
    return Cid(header["roots"][0].value[1:]), blocks


def _uvarint(value: int) -> bytes:
    groups = bytearray()
    while value >= _CONTINUE:
        groups.append(value & (_CONTINUE - 1) | _CONTINUE)
        value >>= _GROUP_BITS
    return bytes([*groups, value])


def _read_uvarint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & (_CONTINUE - 1)) << shift
        if byte < _CONTINUE:
            return value, offset
        shift += _GROUP_BITS
