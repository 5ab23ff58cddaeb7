"""Content identifiers, in the one form that the protocol allows.

A CID is kept as the 36 bytes that stand on the wire: version 1, a codec (DAG-CBOR or raw), SHA-256, the digest.
A slice of a frame is a CID; the text form exists for people and JSON only. Other versions, codecs, hashes and
bases are refused.

Spec: atproto data model, "Link and CID Formats"; DASL CIDs.
"""

from __future__ import annotations

from base64 import b32decode
from hashlib import sha256
from typing import Final, NewType

from cbor2 import CBORTag

from edgerelay.errors import WireError

__all__ = [
    "CBOR_PREFIX",
    "CID_BYTES",
    "LINK_TAG",
    "RAW_PREFIX",
    "Cid",
    "cid_for_cbor",
    "cid_for_raw",
    "cid_from_link",
    "cid_from_text",
    "cid_to_link",
    "cid_to_text",
    "is_cbor_cid",
    "parse_cid",
]

Cid = NewType("Cid", bytes)
"""A binary CID: 4 bytes of prefix and a 32-byte SHA-256 digest."""

CID_BYTES: Final = 36
"""Length of every CID that the protocol allows."""

CBOR_PREFIX: Final = b"\x01\x71\x12\x20"
"""CIDv1, codec dag-cbor, sha2-256, 32 bytes: commits, tree nodes, records."""

RAW_PREFIX: Final = b"\x01\x55\x12\x20"
"""CIDv1, codec raw, sha2-256, 32 bytes: blobs."""

LINK_TAG: Final = 42
"""CBOR tag of a link; its content is 0x00 (the identity multibase) and the binary CID."""

_LINK_CBOR_PREFIX: Final = b"\x00" + CBOR_PREFIX
_LINK_RAW_PREFIX: Final = b"\x00" + RAW_PREFIX
_LINK_BYTES: Final = CID_BYTES + 1
_TEXT_CHARS: Final = 59
_TEXT_PADDING: Final = "======"

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = tuple([first + second for first in _LETTERS for second in _LETTERS])
"""Base32 ten bits at a time: half of what `b32encode` takes, and every line of a JSON stream has a CID."""
_PAIR_BITS: Final = 10
_PAIR_MASK: Final = (1 << _PAIR_BITS) - 1
_UNUSED_BITS: Final = -CID_BYTES * 8 % _PAIR_BITS
_PAIR_SHIFTS: Final = tuple(range(CID_BYTES * 8 + _UNUSED_BITS - _PAIR_BITS, -1, -_PAIR_BITS))


def cid_for_cbor(data: bytes) -> Cid:
    """Compute the CID of a DAG-CBOR block."""
    return Cid(CBOR_PREFIX + sha256(data).digest())


def cid_for_raw(data: bytes) -> Cid:
    """Compute the CID of a blob."""
    return Cid(RAW_PREFIX + sha256(data).digest())


def parse_cid(data: bytes) -> Cid:
    """Accept exactly the 36 bytes of an allowed CID."""
    if len(data) != CID_BYTES:
        raise WireError(f"a CID has {CID_BYTES} bytes, not {len(data)}")
    if not data.startswith((CBOR_PREFIX, RAW_PREFIX)):
        raise WireError("not a CIDv1 of dag-cbor or raw with SHA-256")
    return Cid(data)


def is_cbor_cid(cid: Cid) -> bool:
    """Tell whether a CID names a DAG-CBOR block: the form that links of the repository structure must have."""
    return cid.startswith(CBOR_PREFIX)


def cid_from_link(link: object) -> Cid:
    """Take the CID out of a decoded CBOR link (tag 42)."""
    if not isinstance(link, CBORTag) or link.tag != LINK_TAG:
        raise WireError("not a link")
    content = link.value
    if (
        type(content) is not bytes
        or len(content) != _LINK_BYTES
        or not content.startswith((_LINK_CBOR_PREFIX, _LINK_RAW_PREFIX))
    ):
        raise WireError("a link does not hold an allowed CID")
    return Cid(content[1:])


def cid_to_link(cid: Cid) -> CBORTag:
    """Wrap a CID as the CBOR link that `dagcbor.encode` writes."""
    return CBORTag(LINK_TAG, b"\x00" + cid)


def cid_to_text(cid: Cid) -> str:
    """Write a CID as text: `b` and lower-case base32 without padding."""
    bits = int.from_bytes(cid, "big") << _UNUSED_BITS
    return "b" + "".join([_PAIRS[bits >> shift & _PAIR_MASK] for shift in _PAIR_SHIFTS])


def cid_from_text(text: str) -> Cid:
    """Read the text form; only the canonical spelling is accepted."""
    if len(text) != _TEXT_CHARS or not text.startswith("b") or not text.isascii() or text != text.lower():
        raise WireError("not the text of an allowed CID")
    try:
        cid = parse_cid(b32decode(text[1:].upper() + _TEXT_PADDING))
    except ValueError:
        raise WireError("not the text of an allowed CID: bad base32") from None
    if cid_to_text(cid) != text:
        raise WireError("not the text of an allowed CID: unused bits are set")
    return cid
