"""Commits whose `blocks` are broken, lack something, or are merely unusual.

Spec: DASL CAR; atproto repository, "CAR File Serialization".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgerelay.atproto.cid import cid_for_cbor
from edgerelay.atproto.dagcbor import encode
from edgerelay_dev.network.car import Block, write_car
from edgerelay_dev.network.malformed.commits import commit_frame
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import Material
from edgerelay_dev.network.repository import Change, Create, sign_commit


def _with_car(material: Material, edit: Callable[[Change], bytes]) -> bytes:
    change = material.change()
    return commit_frame(material, change, blocks=edit(change))


def _with_blocks(material: Material, edit: Callable[[tuple[Block, ...]], Iterable[Block]]) -> bytes:
    return _with_car(material, lambda change: write_car(change.commit.block.cid, edit(change.blocks)))


@malformed(Fate.REJECT)
def blocks_empty(material: Material) -> bytes:
    """A commit whose `blocks` are no bytes at all."""
    return commit_frame(material, material.change(), blocks=b"")


@malformed(Fate.REJECT)
def car_garbage(material: Material) -> bytes:
    """A commit whose `blocks` are no container."""
    return commit_frame(material, material.change(), blocks=b"\x05these are not blocks")


@malformed(Fate.REJECT)
def car_truncated(material: Material) -> bytes:
    """A container that ends within a block."""
    return _with_car(material, lambda change: change.car[:-10])


@malformed(Fate.REJECT)
def car_version_2(material: Material) -> bytes:
    """A container of version 2."""
    return _with_car(
        material, lambda change: change.car.replace(encode("version") + b"\x01", encode("version") + b"\x02", 1)
    )


@malformed(Fate.REJECT)
def car_without_roots(material: Material) -> bytes:
    """A container whose list of roots is empty."""

    def edit(change: Change) -> bytes:
        header = encode({"roots": [], "version": 1})
        body = change.car[len(write_car(change.commit.block.cid, [])) :]
        return bytes([len(header)]) + header + body

    return _with_car(material, edit)


@malformed(Fate.REJECT)
def car_wrong_root(material: Material) -> bytes:
    """A container whose root is not the commit."""
    return _with_car(material, lambda change: write_car(change.blocks[0].cid, change.blocks))


@malformed(Fate.REJECT)
def car_block_overflow(material: Material) -> bytes:
    """A container whose last block claims to be longer than four gigabytes."""
    return _with_car(material, lambda change: change.car + b"\xff\xff\xff\xff\x7f" + change.blocks[0].cid)


@malformed(Fate.REJECT)
def missing_commit_block(material: Material) -> bytes:
    """A container without the commit."""
    return _with_blocks(material, lambda blocks: blocks[:-1])


@malformed(Fate.REJECT)
def missing_record_block(material: Material) -> bytes:
    """A container without the record that was created."""
    return _with_blocks(material, lambda blocks: (*blocks[:-2], blocks[-1]))


@malformed(Fate.REJECT)
def wrong_hash(material: Material) -> bytes:
    """A container with a record that is not what its CID says."""

    def edit(blocks: tuple[Block, ...]) -> Iterable[Block]:
        *others, record, head = blocks
        return (*others, record._replace(data=record.data[:-1] + b"?"), head)

    return _with_blocks(material, edit)


@malformed(Fate.REJECT)
def wrong_commit_hash(material: Material) -> bytes:
    """A container whose commit is another than its CID says, rightly signed."""
    change = material.change()
    other = sign_commit(material.account.did, change.commit.rev, cid_for_cbor(b"something else"), material.account.key)
    return _with_blocks(material, lambda blocks: (*blocks[:-1], Block(blocks[-1].cid, other.data)))


@malformed(Fate.KEEP)
def shuffled_blocks(material: Material) -> bytes:
    """A container in another order, the commit first: any order is right."""
    return _with_blocks(material, lambda blocks: blocks[::-1])


@malformed(Fate.KEEP)
def duplicate_blocks(material: Material) -> bytes:
    """A container with every block twice, which readers tolerate."""
    return _with_blocks(material, lambda blocks: (*blocks, *blocks))


@malformed(Fate.KEEP)
def extra_block(material: Material) -> bytes:
    """A container with a block that nothing refers to, which readers tolerate."""
    junk = encode({"junk": True})
    return _with_blocks(material, lambda blocks: (*blocks, Block(cid_for_cbor(junk), junk)))


@malformed(Fate.KEEP)
def record_not_cbor(material: Material) -> bytes:
    """A record that is no CBOR, under its right CID: relays do not look into records."""
    return commit_frame(material, material.change(Create(material.create().path, b"\xff not a record")))
