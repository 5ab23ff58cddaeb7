"""Nodes of the Merkle search tree that maps repository paths to records.

A node is not decoded through `dagcbor`: its encoding has one layout only, which a regular expression describes to the
byte. That checks the encoding and takes the entries apart at once; the reason and the figures: `docs/decisions/0001`.
What one node cannot tell, its place below others, is checked by who walks the tree: see `inversion`.

Spec: atproto repository v3, "MST Structure".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from edgerelay.atproto.cid import CBOR_PREFIX, CID_BYTES, Cid, cid_for_cbor
from edgerelay.errors import WireError

__all__ = [
    "EMPTY_ROOT",
    "MAX_KEY_BYTES",
    "MAX_NODE_ENTRIES",
    "MstNode",
    "TreeError",
    "TreeFault",
    "encode_node",
    "key_depth",
    "parse_node",
]

MAX_KEY_BYTES: Final = 1_024
"""The path grammar allows 830; both reference implementations stop at this."""

MAX_NODE_ENTRIES: Final = 256
"""A defence against mined keys: honest nodes have four on average, and by chance more than 200 once in 10^25."""


class TreeFault(StrEnum):
    """What can be wrong with a tree and the operations that claim to have made it."""

    MALFORMED = "malformed"
    """A node breaks the rules of the format."""

    PARTIAL = "partial"
    """A node that the operations need is not in the CAR."""

    OPERATIONS = "operations"
    """The operations contradict each other or what the tree holds."""

    MISMATCH = "mismatch"
    """Undoing the operations leads to another tree than the one declared as previous."""


class TreeError(WireError):
    """A tree, or the operations on it, are not what they must be."""

    def __init__(self, fault: TreeFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class MstNode(NamedTuple):
    """One node, valid by itself. Links and keys interleave, starting and ending with a link."""

    block: bytes
    """The encoding it was parsed from."""

    keys: tuple[bytes, ...]
    values: tuple[Cid, ...]

    links: tuple[Cid | None, ...]
    """Subtrees: `links[i]` holds what sorts before `keys[i]`, the last one what sorts after all keys."""

    link_ends: tuple[int, ...]
    """Where in the block each link ends; one that is not null can be exchanged there."""

    depth: int | None
    """The depth that all keys share; unknown without keys."""


_ARRAY: Final = 0x80
_BYTES: Final = 0x40
_UINT: Final = 0x00
_ONE_BYTE: Final = 24
"""Arguments below this stand in the initial byte of a CBOR head; for this and the next, one and two bytes follow."""


def _head(major: int, argument: int) -> bytes:
    if argument < _ONE_BYTE:
        return bytes((major | argument,))
    width = 1 if argument < 1 << 8 else 2
    return bytes((major | _ONE_BYTE + width - 1,)) + argument.to_bytes(width, "big")


_BYTES_HEADS: Final = tuple(_head(_BYTES, length) for length in range(MAX_KEY_BYTES + 1))
_UINT_HEADS: Final = tuple(_head(_UINT, length) for length in range(MAX_KEY_BYTES + 1))
_UINTS: Final = {head: length for length, head in enumerate(_UINT_HEADS)}

_COUNT_BYTES: Final = {b"\x98": 2, b"\x99": 3}
"""How long the head of an array is, by its initial byte, where it is not one byte."""

_LINK_HEAD: Final = b"\xd8\x2a\x58\x25\x00"
_NULL: Final = b"\xf6"
_NODE_HEAD: Final = b"\xa2ae"
_LEFT: Final = b"al" + _LINK_HEAD + CBOR_PREFIX
_NO_LEFT: Final = b"al" + _NULL
_DIGEST_BYTES: Final = CID_BYTES - len(CBOR_PREFIX)
_VALUE_BYTES: Final = len(b"av" + _LINK_HEAD) + CID_BYTES

_ENTRY: Final = re.compile(
    rb"""
    ( \xa4 ak ( [\x40-\x57] | \x58[\x18-\xff] | \x59[\x01-\xff]. )  # k: how long the suffix is,
      ( [!-~]{1,1024} )                                             # the suffix: paths are printable ASCII
      ap ( [\x00-\x17] | \x18[\x18-\xff] | \x19[\x01-\xff]. )       # p: how much to take from the key before
      at (?: \xf6 | \xd8\x2aX%\x00 ( \x01\x71\x12\x20 .{32} ) )     # t: null or a link
      av \xd8\x2aX%\x00 ( \x01\x71\x12\x20 .{32} )                  # v: a link
    )""",
    re.DOTALL | re.VERBOSE,
)
"""The encoding of an entry {k, p, t, v}. All it cannot say is that the suffix has the length given."""

_BITS_PER_BYTE: Final = 8
_HASH_BITS: Final = 256
_BITS_PER_DEPTH: Final = 2
"""Fanout 4: one level for every two leading zero bits of a key's hash."""

_EMPTY_NODE: Final = _NODE_HEAD + b"\x80" + _NO_LEFT
EMPTY_ROOT: Final = cid_for_cbor(_EMPTY_NODE)
"""The root of a repository without records."""


def key_depth(key: bytes) -> int:
    """Tell the level of the tree, counted from the bottom, at which a key stands."""
    return _digest_depth(sha256(key).digest())


def _digest_depth(digest: bytes) -> int:
    zeros = _HASH_BITS - int.from_bytes(digest, "big").bit_length()
    return zeros // _BITS_PER_DEPTH


def parse_node(block: bytes) -> MstNode:
    """Read a node, checking all that can be seen in it alone."""
    left, left_start = _parse_left(block)
    end = len(_NODE_HEAD) + _COUNT_BYTES.get(block[len(_NODE_HEAD) : len(_NODE_HEAD) + 1], 1)
    entries = _ENTRY.findall(block, end, left_start)
    if len(entries) > MAX_NODE_ENTRIES or not block.startswith(_NODE_HEAD + _head(_ARRAY, len(entries))):
        raise _malformed(f"is not a list of at most {MAX_NODE_ENTRIES} entries")
    keys: list[bytes] = []
    values: list[Cid] = []
    links: list[Cid | None] = [left]
    link_ends = [len(block)]
    key = b""
    for entry, size, suffix, prefix, link, value in entries:
        shared = _UINTS.get(prefix, MAX_KEY_BYTES)
        # Keys strictly increase and prefixes are as long as can be: both show at the first byte that is not shared.
        if size != _BYTES_HEADS[len(suffix)] or shared > len(key) or key[shared : shared + 1] >= suffix[:1]:
            raise _malformed("has keys out of order, not fully compressed or of another length")
        key = key[:shared] + suffix
        keys.append(key)
        values.append(value)
        links.append(link or None)
        end += len(entry)
        link_ends.append(end - _VALUE_BYTES)
    # They lie between the head and the left link, none over another: as long as all of that, they are all of it.
    if end != left_start:
        raise _malformed("is not in its one encoding")
    return MstNode(block, tuple(keys), tuple(values), tuple(links), tuple(link_ends), _common_depth(block, keys))


def _parse_left(block: bytes) -> tuple[Cid | None, int]:
    """Read the left link, which ends a node; returns it and where it starts."""
    start = len(block) - len(_LEFT) - _DIGEST_BYTES
    if start > 0 and block.startswith(_LEFT, start):
        return Cid(block[-CID_BYTES:]), start
    if block.endswith(_NO_LEFT):
        return None, len(block) - len(_NO_LEFT)
    raise _malformed("does not end with its left link")


def _common_depth(block: bytes, keys: Sequence[bytes]) -> int | None:
    if not keys:
        return None
    # All bytes of a key stand in the block, so that a short one holds no long key.
    if len(block) > MAX_KEY_BYTES and max(map(len, keys)) > MAX_KEY_BYTES:
        raise _malformed(f"has a key longer than {MAX_KEY_BYTES} bytes")
    digests = [sha256(key).digest() for key in keys]
    depth = _digest_depth(max(digests))
    # The depth never rises with the digest, so that the least and the greatest speak for all.
    if _digest_depth(min(digests)) != depth:
        raise _malformed("has keys of different depths")
    return depth


def encode_node(keys: Sequence[bytes], values: Sequence[Cid], links: Sequence[Cid | None]) -> bytes:
    """Write a node in its one encoding."""
    parts: list[bytes] = [_NODE_HEAD, _head(_ARRAY, len(keys))]
    previous = b""
    for key, value, link in zip(keys, values, links[1:], strict=True):
        shared = _shared_length(previous, key)
        suffix = key[shared:]
        parts += (b"\xa4ak", _BYTES_HEADS[len(suffix)], suffix, b"ap", _UINT_HEADS[shared])
        parts += (b"at", _link(link), b"av", _LINK_HEAD, value)
        previous = key
    parts += (b"al", _link(links[0]))
    return b"".join(parts)


def _link(cid: Cid | None) -> bytes:
    return _NULL if cid is None else _LINK_HEAD + cid


def _shared_length(left: bytes, right: bytes) -> int:
    size = min(len(left), len(right))
    # As numbers, what the two share cancels out at the upper end.
    difference = int.from_bytes(left[:size], "big") ^ int.from_bytes(right[:size], "big")
    return size - (difference.bit_length() + _BITS_PER_BYTE - 1) // _BITS_PER_BYTE


def _malformed(what: str) -> TreeError:
    return TreeError(TreeFault.MALFORMED, f"a tree node {what}")
