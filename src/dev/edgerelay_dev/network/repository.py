"""A repository: records, the tree over them, and a chain of signed commits.

It owns what a commit consists of: the signed object, the operations, and exactly the blocks that a reader needs to
undo them. It does not own sequence numbers, frames or identities.

Spec: atproto repository (commit objects, diffs), sync ("Commit Operation Inversion").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_to_link
from edgerelay.atproto.dagcbor import Value, encode
from edgerelay_dev.network import mst
from edgerelay_dev.network.car import Block, write_car
from edgerelay_dev.network.key import SigningKey

__all__ = ["Change", "Commit", "Create", "Delete", "Op", "Record", "Repository", "Update", "Write", "sign_commit"]

COMMIT_VERSION = 3

Record: TypeAlias = "dict[str, Value]"
"""The content of a record, `$type` included."""


class Create(NamedTuple):
    """Add a record at a path that has none; bytes are stored as they are."""

    path: str
    record: Record | bytes


class Update(NamedTuple):
    """Replace the record at a path."""

    path: str
    record: Record | bytes


class Delete(NamedTuple):
    """Remove the record at a path."""

    path: str


Write: TypeAlias = "Create | Update | Delete"


class Op(NamedTuple):
    """One operation as a `#commit` tells it."""

    action: str
    path: str
    cid: Cid | None
    prev: Cid | None


class Commit(NamedTuple):
    """A signed commit object and what it points at."""

    block: Block
    rev: str
    root: Cid
    """CID of the tree's root: the `data` field."""


class Change(NamedTuple):
    """All that a `#commit` says, save what belongs to the stream."""

    commit: Commit
    since: str | None
    prev_data: Cid | None
    ops: tuple[Op, ...]
    blocks: tuple[Block, ...]
    """The commit's own block last, as most of the network orders them."""

    @property
    def car(self) -> bytes:
        """The blocks as the `blocks` field carries them."""
        return write_car(self.commit.block.cid, self.blocks)


def sign_commit(did: str, rev: str, root: Cid, key: SigningKey, *, high_s: bool = False) -> Block:
    """Make a signed commit object."""
    unsigned: Record = {"did": did, "rev": rev, "data": cid_to_link(root), "prev": None, "version": COMMIT_VERSION}
    data = encode({**unsigned, "sig": key.sign(encode(unsigned), high_s=high_s)})
    return Block(cid_for_cbor(data), data)


class Repository:
    """The present state of one account's data; `head` is None until the first commit."""

    def __init__(self, did: str) -> None:
        self.did = did
        self.head: Commit | None = None
        self.tree = mst.EMPTY
        self.records: dict[str, Block] = {}

    def commit(self, writes: Sequence[Write], rev: str, key: SigningKey) -> Change:
        """Apply writes as one commit; none at all is a commit, too."""
        before = self.tree
        ops = tuple(self._apply(write) for write in writes)
        previous = self.head
        head = self._sign(rev, key)
        new_nodes = {node.cid: node for node in mst.added_nodes(before, self.tree)}
        if previous is None:
            new_nodes[self.tree.cid] = self.tree
        for op in ops:
            new_nodes |= {node.cid: node for node in mst.covering_nodes(self.tree, op.path.encode())}
        records = [self.records[op.path] for op in ops if op.cid is not None]
        return Change(
            head,
            previous and previous.rev,
            previous and previous.root,
            ops,
            (*(Block(cid, node.data) for cid, node in new_nodes.items()), *dict.fromkeys(records), head.block),
        )

    def fill(self, records: Iterable[tuple[str, Record]], rev: str, key: SigningKey) -> Commit:
        """Take in many records at once, as an import does; nobody is told how it came about."""
        self.records |= {path: _block(record) for path, record in records}
        paths = sorted(self.records)
        self.tree = mst.build(mst.Entry(path.encode(), self.records[path].cid) for path in paths)
        return self._sign(rev, key)

    def sign_again(self, rev: str, key: SigningKey) -> Commit:
        """Make a commit that changes nothing but the rev and the signature."""
        return self._sign(rev, key)

    def fork(self) -> Repository:
        """Copy the repository; what is then done to one is not seen by the other."""
        fork = Repository(self.did)
        fork.head, fork.tree, fork.records = self.head, self.tree, dict(self.records)
        return fork

    def export(self) -> bytes:
        """Write the whole repository, commit first."""
        assert self.head is not None
        tree = (Block(node.cid, node.data) for node in mst.nodes(self.tree))
        return write_car(self.head.block.cid, [self.head.block, *tree, *dict.fromkeys(self.records.values())])

    def _sign(self, rev: str, key: SigningKey) -> Commit:
        root = self.tree.cid
        self.head = Commit(sign_commit(self.did, rev, root, key), rev, root)
        return self.head

    def _apply(self, write: Write) -> Op:
        path = write.path
        old = self.records.get(path)
        if isinstance(write, Create) != (old is None):
            raise KeyError(path)
        if isinstance(write, Delete):
            assert old is not None
            del self.records[path]
            self.tree = mst.delete(self.tree, path.encode())
            return Op("delete", path, None, old.cid)
        block = _block(write.record)
        self.records[path] = block
        self.tree = mst.put(self.tree, path.encode(), block.cid)
        if old is None:
            return Op("create", path, block.cid, None)
        return Op("update", path, block.cid, old.cid)


def _block(record: Record | bytes) -> Block:
    data = record if isinstance(record, bytes) else encode(record)
    return Block(cid_for_cbor(data), data)
