"""Frames whose two maps are not written in the one way that the data model allows.

Spec: atproto data model (DRISL-CBOR): shortest forms, definite lengths, keys in order, links as the only tag.
"""

from __future__ import annotations

from typing import Final

from cbor2 import CBORTag, dumps, undefined

from edgerelay.atproto.cid import cid_for_cbor
from edgerelay.atproto.dagcbor import encode
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import (
    BYTES,
    INTEGER,
    MAP,
    TAG,
    TEXT,
    Material,
    canonical_keys,
    cbor_head,
    header_bytes,
    raw_map,
)

_BREAK: Final = b"\xff"
_INDEFINITE: Final = 31
_LINK_TAG: Final = 42


def _indefinite(major: int) -> bytes:
    return bytes((major << 5 | _INDEFINITE,))


def _commit_with(material: Material, **replaced: bytes) -> bytes:
    return header_bytes("#commit") + raw_map(material.commit_body(), replaced)


def _link(tag: int, content: bytes) -> bytes:
    return cbor_head(TAG, tag) + cbor_head(BYTES, len(content)) + content


@malformed(Fate.REJECT)
def float_in_body(material: Material) -> bytes:
    """An unknown field that is a float: the data model has none."""
    return header_bytes("#identity") + dumps({**material.body("#identity"), "x": 1.5}, canonical=True)


@malformed(Fate.REJECT)
def float_in_header(material: Material) -> bytes:
    """An `op` that is 1.0."""
    return dumps({"t": "#identity", "op": 1.0}) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def float_seq(material: Material) -> bytes:
    """A `seq` that is a whole number written as a float."""
    return _commit_with(material, seq=dumps(float(material.seq)))


@malformed(Fate.REJECT)
def body_keys_unordered(material: Material) -> bytes:
    """Body keys from last to first."""
    body = material.commit_body()
    return header_bytes("#commit") + raw_map(body, order=canonical_keys(body)[::-1])


@malformed(Fate.REJECT)
def body_keys_alphabetical(material: Material) -> bytes:
    """Body keys in alphabetical order, where shorter keys go first: the usual mistake."""
    body = material.commit_body()
    return header_bytes("#commit") + raw_map(body, order=sorted(body))


@malformed(Fate.REJECT)
def header_keys_unordered(material: Material) -> bytes:
    """A header with `op` before `t`."""
    return raw_map({"t": "#identity", "op": 1}, order=["op", "t"]) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def long_integer(material: Material) -> bytes:
    """A `seq` in eight bytes that would fit in fewer."""
    return _commit_with(material, seq=cbor_head(INTEGER, material.seq, 8))


@malformed(Fate.REJECT)
def long_length(material: Material) -> bytes:
    """A text whose length is written in four bytes."""
    did = material.account.did.encode()
    return _commit_with(material, repo=cbor_head(TEXT, len(did), 4) + did)


@malformed(Fate.REJECT)
def indefinite_map(material: Material) -> bytes:
    """A body of indefinite length."""
    body = material.body("#identity")
    items = b"".join(encode(key) + encode(body[key]) for key in canonical_keys(body))
    return header_bytes("#identity") + b"\xbf" + items + _BREAK


@malformed(Fate.REJECT)
def indefinite_array(material: Material) -> bytes:
    """A `blobs` of indefinite length."""
    return _commit_with(material, blobs=b"\x9f" + _BREAK)


@malformed(Fate.REJECT)
def indefinite_bytes(material: Material) -> bytes:
    """A `blocks` in two chunks."""
    body = material.commit_body()
    car = body["blocks"]
    assert isinstance(car, bytes)
    chunks = encode(car[:100]) + encode(car[100:])
    return header_bytes("#commit") + raw_map(body, {"blocks": _indefinite(BYTES) + chunks + _BREAK})


@malformed(Fate.REJECT)
def indefinite_text(material: Material) -> bytes:
    """A `repo` in two chunks."""
    did = material.account.did
    return _commit_with(material, repo=_indefinite(TEXT) + encode(did[:8]) + encode(did[8:]) + _BREAK)


@malformed(Fate.REJECT)
def duplicate_key(material: Material) -> bytes:
    """The same key twice, with the same value."""
    body = material.commit_body()
    keys = canonical_keys(body)
    return header_bytes("#commit") + raw_map(body, order=[keys[0], *keys])


@malformed(Fate.REJECT)
def integer_key(material: Material) -> bytes:
    """A body whose only key is a number."""
    return header_bytes("#identity") + cbor_head(MAP, 1) + encode(1) + encode(2)


@malformed(Fate.REJECT)
def wrong_tag(material: Material) -> bytes:
    """A link under tag 43."""
    return _commit_with(material, commit=_link(_LINK_TAG + 1, b"\0" + cid_for_cbor(b"")))


@malformed(Fate.REJECT)
def long_tag(material: Material) -> bytes:
    """A link whose tag number is written in two bytes more than it needs."""
    content = b"\0" + cid_for_cbor(b"")
    link = cbor_head(TAG, _LINK_TAG, 4) + cbor_head(BYTES, len(content)) + content
    return _commit_with(material, commit=link)


@malformed(Fate.REJECT)
def tagged_time(material: Material) -> bytes:
    """A `time` under the tag that CBOR has for times."""
    return header_bytes("#identity") + dumps(
        {**material.body("#identity"), "time": CBORTag(0, material.host.now_text())}, canonical=True
    )


@malformed(Fate.REJECT)
def link_of_text(material: Material) -> bytes:
    """A link whose content is text."""
    return _commit_with(material, commit=cbor_head(TAG, _LINK_TAG) + encode("bafyrei"))


@malformed(Fate.REJECT)
def link_without_zero(material: Material) -> bytes:
    """A link without the zero byte before the CID."""
    return _commit_with(material, commit=_link(_LINK_TAG, cid_for_cbor(b"")))


@malformed(Fate.REJECT)
def link_of_old_cid(material: Material) -> bytes:
    """A link to a CID of version 0."""
    return _commit_with(material, commit=_link(_LINK_TAG, b"\0" + b"\x12\x20" + bytes(32)))


@malformed(Fate.REJECT)
def bad_utf8(material: Material) -> bytes:
    """A text that is no UTF-8."""
    return _commit_with(material, time=cbor_head(TEXT, 2) + b"\xc3\x28")


@malformed(Fate.REJECT)
def undefined_value(material: Material) -> bytes:
    """A field with the value `undefined`."""
    return _commit_with(material, since=dumps(undefined))


@malformed(Fate.REJECT)
def unassigned_simple_value(material: Material) -> bytes:
    """A field with a simple value that has no meaning."""
    return _commit_with(material, since=b"\xf0")


@malformed(Fate.REJECT)
def bignum(material: Material) -> bytes:
    """An unknown field that is a big number, which is a tag."""
    return header_bytes("#identity") + dumps({**material.body("#identity"), "x": 1 << 70}, canonical=True)


@malformed(Fate.REJECT)
def integer_beyond_64_bits(material: Material) -> bytes:
    """An unknown field that is an integer above the signed 64-bit range."""
    return header_bytes("#identity") + dumps({**material.body("#identity"), "x": (1 << 64) - 1}, canonical=True)
