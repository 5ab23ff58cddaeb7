"""Commit objects that are not what they claim: signatures, revs, fields, and their agreement with the message.

Every frame here passes all checks of framing, encoding and fields, and its blocks are a right container.

Spec: atproto sync ("Commit Validation"), repository (commit objects), cryptography.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_to_link
from edgerelay.atproto.dagcbor import Value, decode_pair, encode
from edgerelay_dev.network.car import Block
from edgerelay_dev.network.key import derive_key
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import Body, Material
from edgerelay_dev.network.repository import Change
from edgerelay_dev.network.tid import tid_text

__all__ = ["commit_frame", "with_head"]

_OTHER: Final = cid_for_cbor(b"something else")
_HOUR_US: Final = 3_600_000_000
_YEAR_US: Final = 365 * 24 * _HOUR_US


def commit_frame(material: Material, change: Change, **fields: Value) -> bytes:
    """The frame of a change, with some fields of the message replaced."""
    return material.write("#commit", material.commit_body(change) | fields)


def with_head(change: Change, data: bytes, root: Cid | None = None) -> Change:
    """The same change under another commit object, and over another tree if its root is given."""
    block = Block(cid_for_cbor(data), data)
    head = change.commit._replace(block=block, root=root or change.commit.root)
    return change._replace(commit=head, blocks=(*change.blocks[:-1], block))


def _unsigned(material: Material, change: Change) -> Body:
    return {
        "did": material.account.did,
        "rev": change.commit.rev,
        "data": cid_to_link(change.commit.root),
        "prev": None,
        "version": 3,
    }


def _with_object(material: Material, edit: Callable[[Body], Body]) -> bytes:
    """Commit with another object, rightly signed."""
    change = material.change()
    unsigned = edit(_unsigned(material, change))
    data = encode({**unsigned, "sig": material.account.key.sign(encode(unsigned))})
    return commit_frame(material, with_head(change, data))


def _with_signature(material: Material, sign: Callable[[bytes], bytes]) -> bytes:
    change = material.change()
    unsigned = _unsigned(material, change)
    return commit_frame(material, with_head(change, encode({**unsigned, "sig": sign(encode(unsigned))})))


@malformed(Fate.REJECT)
def forged_signature(material: Material) -> bytes:
    """A signature of 64 bytes that nobody made."""
    return _with_signature(material, lambda message: sha256(message).digest() * 2)


@malformed(Fate.REJECT)
def zero_signature(material: Material) -> bytes:
    """A signature of 64 zero bytes."""
    return _with_signature(material, lambda message: bytes(64))


@malformed(Fate.REJECT)
def wrong_key(material: Material) -> bytes:
    """A right signature by another key of the same curve."""
    key = derive_key(material.account.key.curve.name, "somebody else")
    return _with_signature(material, key.sign)


@malformed(Fate.REJECT)
def wrong_curve(material: Material) -> bytes:
    """A right signature by a key of the other curve."""
    other = "p256" if material.account.key.curve.name == "k256" else "k256"
    return _with_signature(material, derive_key(other, "somebody else").sign)


@malformed(Fate.REJECT)
def high_s(material: Material) -> bytes:
    """The right signature in its other form, with a high S."""
    return _with_signature(material, lambda message: material.account.key.sign(message, high_s=True))


@malformed(Fate.REJECT)
def der_signature(material: Material) -> bytes:
    """The right signature as DER."""

    def sign(message: bytes) -> bytes:
        compact = material.account.key.sign(message)
        return encode_dss_signature(int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:], "big"))

    return _with_signature(material, sign)


@malformed(Fate.REJECT)
def short_signature(material: Material) -> bytes:
    """The right signature without its last byte."""
    return _with_signature(material, lambda message: material.account.key.sign(message)[:-1])


@malformed(Fate.REJECT)
def future_rev(material: Material) -> bytes:
    """A commit whose rev is an hour ahead of the clock."""
    return _at_rev(material, tid_text(material.host.now_us() + _HOUR_US, 0))


@malformed(Fate.REPEAT)
def stale_rev(material: Material) -> bytes:
    """A commit, right in itself, whose rev is a year older than the account's last."""
    return _at_rev(material, tid_text(material.host.now_us() - _YEAR_US, 0))


@malformed(Fate.REPEAT)
def repeated_commit(material: Material) -> bytes:
    """A commit that was told just before, once more under a new number."""
    told = material.host.commit(material.account, material.create())
    _, body = decode_pair(told.frame)
    assert isinstance(body, dict)
    return material.write("#commit", body | {"seq": material.seq})


def _at_rev(material: Material, rev: str) -> bytes:
    return commit_frame(material, material.fork().commit([material.create()], rev, material.account.key))


@malformed(Fate.REJECT)
def rev_disagrees(material: Material) -> bytes:
    """A message whose `rev` is not that of the commit object."""
    return commit_frame(material, material.change(), rev=material.next_tid())


@malformed(Fate.REJECT)
def repo_disagrees(material: Material) -> bytes:
    """A message about another account of the host than the commit object's."""
    others = (did for did in material.host.accounts if did != material.account.did)
    return commit_frame(material, material.change(), repo=next(others))


@malformed(Fate.REJECT)
def commit_disagrees(material: Material) -> bytes:
    """A message whose `commit` is not the root of its container."""
    return commit_frame(material, material.change(), commit=cid_to_link(_OTHER))


@malformed(Fate.REJECT)
def commit_version_2(material: Material) -> bytes:
    """A commit object of version 2."""
    return _with_object(material, lambda fields: fields | {"version": 2})


@malformed(Fate.REJECT)
def commit_without_prev(material: Material) -> bytes:
    """A commit object that lacks `prev`, which must be there and null."""
    return _with_object(material, lambda fields: {name: fields[name] for name in fields if name != "prev"})


@malformed(Fate.REJECT)
def commit_with_text_data(material: Material) -> bytes:
    """A commit object whose `data` is text."""
    return _with_object(material, lambda fields: fields | {"data": "bafyrei"})


@malformed(Fate.REJECT)
def commit_not_canonical(material: Material) -> bytes:
    """A commit object, rightly signed, with a byte after it."""
    change = material.change()
    return commit_frame(material, with_head(change, change.commit.block.data + b"\x00"))


@malformed(Fate.REJECT)
def commit_not_map(material: Material) -> bytes:
    """A commit block that is a list."""
    return commit_frame(material, with_head(material.change(), encode(["no", "commit"])))
