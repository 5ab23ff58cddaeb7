"""Commit objects: the signed heads of repositories.

Owns the object's fields, the bytes that its signature covers, and whether it is the commit that a message announced.
Whose key must have signed it, and what `rev` came before, is asked elsewhere.

Spec: atproto repository v3, "Commit Objects" and "Commit Signatures"; sync, "Commit Validation".
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from edgerelay.atproto import dagcbor
from edgerelay.atproto.car import Car
from edgerelay.atproto.cid import Cid, cid_from_link, is_cbor_cid
from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.signatures import SIGNATURE_BYTES
from edgerelay.atproto.syntax import is_did, is_tid
from edgerelay.errors import WireError

__all__ = ["CommitError", "CommitFault", "RepoCommit", "announced_commit", "parse_commit"]

_VERSION: Final = 3
"""Of the repository format. Version 2 had no `rev`; there was no 1 outside of tests."""

_LINK: Final = rb"\xd8\x2a\x58\x25\x00(\x01\x71\x12\x20.{32})"
_COMMON: Final = re.compile(
    rb"\xa6\x63did\x78\x20(did:plc:[a-z2-7]{24})\x63rev\x6d([2-7a-j][2-7a-z]{12})(\x63sig\x58\x40(.{64}))"
    rb"\x64data" + _LINK + rb"\x64prev\xf6\x67version\x03",
    re.DOTALL,
)
"""The commonest object, to the byte. It is recognized and not judged: what looks otherwise is decoded."""

_SIG_FIELD: Final = 3
_FIVE_FIELDS: Final = b"\xa5"
"""The head of the object without `sig`, which has six fields with it."""


class CommitFault(StrEnum):
    """What can be wrong with the commit in a CAR."""

    ROOT = "root"
    """The first root of the CAR is not the commit that the message names."""

    MISSING = "missing"
    """The CAR does not hold its root."""

    MALFORMED = "malformed"
    """The block is not a commit object of version 3."""

    DISAGREES = "disagrees"
    """The object has another account or `rev` than the message."""


class CommitError(WireError):
    """A commit is not what it must be."""

    def __init__(self, fault: CommitFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class RepoCommit(NamedTuple):
    """A commit object of version 3."""

    did: str
    rev: str
    data: Cid
    """The root of the tree."""

    prev: Cid | None
    """The commit before; practically always null."""

    signature: bytes
    """64 bytes, `r || s`; nothing is known about it yet."""

    signed_bytes: bytes
    """What the signature covers: the object without `sig`."""


def announced_commit(car: Car, did: str, rev: str, cid: Cid | None = None) -> RepoCommit:
    """Take the commit out of a CAR and check that it is the one that a message announced.

    Args:
        cid: the commit that the message names; a `#sync` names none.
    """
    if cid is not None and car.root != cid:
        raise CommitError(CommitFault.ROOT, "the root of the CAR is not the commit of the message")
    block = car.blocks.get(car.root)
    if block is None:
        raise CommitError(CommitFault.MISSING, "the CAR does not hold its root")
    commit = parse_commit(block)
    if commit.did != did:
        raise CommitError(CommitFault.DISAGREES, "the commit belongs to another account than the message")
    if commit.rev != rev:
        raise CommitError(CommitFault.DISAGREES, "the commit has another rev than the message")
    return commit


def parse_commit(block: bytes) -> RepoCommit:
    """Read a commit object; unknown fields are tolerated, and signed like the others."""
    common = _COMMON.fullmatch(block)
    if common is not None:
        did, rev, _, signature, data = common.groups()
        begin, end = common.span(_SIG_FIELD)
        signed_bytes = _FIVE_FIELDS + block[1:begin] + block[end:]
        return RepoCommit(did.decode(), rev.decode(), Cid(data), None, signature, signed_bytes)
    try:
        fields = dagcbor.decode(block)
        if not isinstance(fields, dict):
            raise WireError("not a map")
        return _parse_fields(fields)
    except WireError as error:
        raise CommitError(CommitFault.MALFORMED, f"a commit object: {error}") from None


def _parse_fields(fields: dict[str, Value]) -> RepoCommit:
    did, rev, version, signature = fields.get("did"), fields.get("rev"), fields.get("version"), fields.get("sig")
    if type(version) is not int or version != _VERSION:
        raise WireError("not of version 3")
    if not isinstance(did, str) or not is_did(did):
        raise WireError("without a DID")
    if not isinstance(rev, str) or not is_tid(rev):
        raise WireError("without a rev")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise WireError(f"without a signature of {SIGNATURE_BYTES} bytes")
    if "prev" not in fields:
        raise WireError("without prev, which may be null but not absent")
    prev = fields["prev"]
    signed = {name: value for name, value in fields.items() if name != "sig"}
    return RepoCommit(
        did=did,
        rev=rev,
        data=_structure_link(fields.get("data")),
        prev=None if prev is None else _structure_link(prev),
        signature=signature,
        signed_bytes=dagcbor.encode(signed),
    )


def _structure_link(link: Value) -> Cid:
    cid = cid_from_link(link)
    if not is_cbor_cid(cid):
        raise WireError("with a link to something that is not DAG-CBOR")
    return cid
