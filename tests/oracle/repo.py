"""Repositories as simple as can be: a dictionary of records, its whole tree built anew for each commit.

Made with `cbor2` and the twin of the tree alone: what the code under test reads, it did not write. Signatures are not
ECDSA but a hash that the key goes into, so that they need no library: `is_signed` is what answers for the port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any

from cbor2 import CBORTag, dumps

from edgerelay.atproto.cid import Cid, cid_for_cbor
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import SignatureCheck
from tests.oracle import frames, mst

__all__ = ["Draft", "Repo", "car", "is_signed", "key", "link", "sign"]


def key(number: int) -> PublicKey:
    """Make a key; its point is on no curve."""
    return PublicKey(Curve.K256 if number % 2 else Curve.P256, b"\x02" + sha256(b"%d" % number).digest())


def sign(by: PublicKey, signed_bytes: bytes) -> bytes:
    """Sign so that everybody can."""
    return sha512(by.point + signed_bytes).digest()


def is_signed(check: SignatureCheck) -> bool:
    """Tell whether `sign` made the signature, with this key."""
    return check.signature == sign(check.key, check.signed_bytes)


def link(cid: Cid) -> CBORTag:
    """Link to a block."""
    return CBORTag(42, b"\0" + cid)


def car(root: Cid, blocks: Mapping[Cid, bytes]) -> bytes:
    """Write a CAR."""
    header = dumps({"roots": [link(root)], "version": 1}, canonical=True)
    entries = [_varint(len(cid) + len(block)) + cid + block for cid, block in blocks.items()]
    return _varint(len(header)) + header + b"".join(entries)


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


@dataclass
class Draft:
    """A `#commit` or `#sync` that can still be spoiled."""

    key: PublicKey
    kind: str
    body: dict[str, Any]
    """Without what follows from the rest."""

    commit: dict[str, Any]
    """The commit object, without its signature."""

    blocks: dict[Cid, bytes]
    """All but the commit's."""

    def frame(self, seq: int = 1, **fields: Any) -> bytes:
        """The frame; `fields` replace what the body would have."""
        signature = sign(self.key, dumps(self.commit, canonical=True))
        block = dumps({"sig": signature, **self.commit}, canonical=True)
        root = cid_for_cbor(block)
        body = {
            "seq": seq,
            "time": frames.datetime_text(frames.NOW_US),
            "blocks": car(root, {**self.blocks, root: block}),
        }
        if self.kind == "#commit":
            body["commit"] = link(root)
        return frames.frame(self.kind, {**body, **self.body, **fields})


class Repo:
    """The repository of one account."""

    def __init__(self, number: int = 1, *, rev: int = 0) -> None:
        self.did = frames.did(number)
        self.key = key(number)
        self.rev = rev
        """Of the last commit; `rev` + 1 is the next one's."""

        self.records: dict[str, bytes] = {}
        self.is_new = True

    def tree(self) -> mst.Tree:
        """The tree as it is."""
        return mst.build({path.encode(): cid_for_cbor(block) for path, block in self.records.items()})

    def write(self, writes: Mapping[str, str | None] | None = None, *, rev: int = 0) -> Draft:
        """Write records with a text in each, or delete those that have none; whoever spoils the draft still wrote."""
        since, before, old = self.rev, self.tree(), dict(self.records)
        self.rev = rev or self.rev + 1
        for path, text in (writes or {}).items():
            if text is None:
                del self.records[path]
            else:
                self.records[path] = dumps({"text": text}, canonical=True)
        tree = self.tree()
        ops = [_op(path, old.get(path), self.records.get(path)) for path in writes or {}]
        body: dict[str, Any] = {
            "repo": self.did,
            "rev": frames.tid(self.rev),
            "since": None if self.is_new else frames.tid(since),
            "ops": ops,
            "blobs": [],
            "rebase": False,
            "tooBig": False,
        }
        if not self.is_new:
            body["prevData"] = link(before.root)
        self.is_new = False
        records = {cid_for_cbor(block): block for block in self.records.values()}
        return Draft(self.key, "#commit", body, self._object(tree.root), {**tree.blocks, **records})

    def state(self, *, rev: int = 0) -> Draft:
        """A `#sync` of the repository as it is, under the last `rev` or a newer one."""
        self.rev = rev or self.rev
        body = {"did": self.did, "rev": frames.tid(self.rev)}
        return Draft(self.key, "#sync", body, self._object(self.tree().root), {})

    def _object(self, root: Cid) -> dict[str, Any]:
        return {"did": self.did, "rev": frames.tid(self.rev), "data": link(root), "prev": None, "version": 3}


def _op(path: str, old: bytes | None, new: bytes | None) -> dict[str, Any]:
    action = "delete" if new is None else "create" if old is None else "update"
    op = {"action": action, "path": path, "cid": None if new is None else link(cid_for_cbor(new))}
    return op if old is None else {**op, "prev": link(cid_for_cbor(old))}
