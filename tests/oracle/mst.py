"""The obvious twin of `edgerelay.atproto.mst` and `inversion`: a tree is a sorted list, and building it is recursion.

A partial tree is flattened, as far as its blocks go, to one list of records and stubs (subtrees that are not there).
The list is edited, and the tree built anew from it, level by level. A stub fits only where it is all that a place
holds, exactly at its level. Every block that is there is decoded and checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple, TypeAlias, cast

from cbor2 import CBORTag, dumps

from edgerelay.atproto.cid import Cid, cid_for_cbor
from tests.oracle import dagcbor

__all__ = ["Op", "RefusedError", "Tree", "build", "depth", "flatten", "invert"]


class RefusedError(Exception):
    """The tree is malformed or too partial, or the operations do not fit it."""


class Record(NamedTuple):
    key: bytes
    value: Cid


class Stub(NamedTuple):
    """A subtree that is known by its CID only."""

    cid: Cid
    level: int


Item: TypeAlias = Record | Stub


class Op(NamedTuple):
    """An operation of a commit."""

    path: str
    cid: Cid | None
    prev: Cid | None

    @property
    def action(self) -> str:
        return "delete" if self.cid is None else "create" if self.prev is None else "update"


class Tree(NamedTuple):
    root: Cid
    blocks: dict[Cid, bytes]


def depth(key: bytes) -> int:
    """Count leading zero bits two by two."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.sha256(key).digest())
    return (len(bits) - len(bits.lstrip("0"))) // 2


def _shared(left: bytes, right: bytes) -> int:
    return next((at for at in range(len(left)) if left[at : at + 1] != right[at : at + 1]), len(left))


def build(records: Mapping[bytes, Cid]) -> Tree:
    """Build the whole tree of some records."""
    blocks: dict[Cid, bytes] = {}
    return Tree(_build_root([Record(*item) for item in sorted(records.items())], blocks), blocks)


def _build_root(items: list[Item], blocks: dict[Cid, bytes]) -> Cid:
    keys = [item.key for item in items if isinstance(item, Record)]
    if not items:
        return _put({"e": [], "l": None}, blocks)
    if not keys and len(items) == 1:
        return cast(Stub, items[0]).cid
    return cast(Cid, _build(items, max((depth(key) for key in keys), default=0), blocks))


def _build(items: list[Item], level: int, blocks: dict[Cid, bytes]) -> Cid | None:
    if not items:
        return None
    if len(items) == 1 and isinstance(items[0], Stub) and items[0].level == level:
        return items[0].cid
    if any(isinstance(item, Stub) and item.level >= level for item in items):
        raise RefusedError("a subtree would have to be parted or joined, but is not there")
    segments: list[list[Item]] = [[]]
    own: list[Record] = []
    for item in items:
        if isinstance(item, Record) and depth(item.key) == level:
            own.append(item)
            segments.append([])
        else:
            segments[-1].append(item)
    links = [_build(segment, level - 1, blocks) for segment in segments]
    entries = []
    previous = b""
    for record, link in zip(own, links[1:], strict=True):
        shared = _shared(previous, record.key)
        entries.append({"p": shared, "k": record.key[shared:], "v": _link(record.value), "t": _link(link)})
        previous = record.key
    return _put({"e": entries, "l": _link(links[0])}, blocks)


def _put(node: dict[str, object], blocks: dict[Cid, bytes]) -> Cid:
    block = dumps(node, canonical=True)
    cid = cid_for_cbor(block)
    blocks[cid] = block
    return cid


def _link(cid: Cid | None) -> CBORTag | None:
    return None if cid is None else CBORTag(42, b"\0" + cid)


def flatten(blocks: Mapping[Cid, bytes], root: Cid) -> list[Item]:
    """List a tree in order, checking every node that is there."""
    if root == build({}).root:
        return []
    if root not in blocks:
        raise RefusedError("no root")
    entries, _ = _decode_node(blocks[root])
    if not entries:
        raise RefusedError("a root without keys")
    items = _flatten(blocks, root, depth(entries[0][0].key))
    keys = [item.key for item in items if isinstance(item, Record)]
    if any(a >= b for a, b in pairwise(keys)):
        raise RefusedError("keys out of order")
    return items


def _flatten(blocks: Mapping[Cid, bytes], cid: Cid, level: int) -> list[Item]:
    if cid not in blocks:
        return [Stub(cid, level)]
    entries, left = _decode_node(blocks[cid])
    links = [left, *(link for _, link in entries)]
    if any(depth(record.key) != level for record, _ in entries):
        raise RefusedError("a key at another level than its own")
    if level == 0 and any(link is not None for link in links):
        raise RefusedError("something below the lowest level")
    if not entries and left is None:
        raise RefusedError("an empty node within a tree")
    items = [] if left is None else _flatten(blocks, left, level - 1)
    for record, link in entries:
        items.append(record)
        items += [] if link is None else _flatten(blocks, link, level - 1)
    return items


def _decode_node(block: bytes) -> tuple[list[tuple[Record, Cid | None]], Cid | None]:
    try:
        node = dagcbor.decode(block)
    except dagcbor.NotStrictError as error:
        raise RefusedError(str(error)) from error
    if not isinstance(node, dict) or set(node) != {"e", "l"} or not isinstance(node["e"], list):
        raise RefusedError("not a node")
    entries = []
    previous = b""
    for entry in node["e"]:
        if not isinstance(entry, dict) or set(entry) != {"p", "k", "v", "t"}:
            raise RefusedError("not an entry")
        shared, suffix = entry["p"], entry["k"]
        if type(shared) is not int or not 0 <= shared <= len(previous) or not isinstance(suffix, bytes):
            raise RefusedError("not a compressed key")
        key = previous[:shared] + suffix
        if key <= previous or _shared(previous, key) != shared or len(key) > 1024:
            raise RefusedError("keys out of order or not fully compressed")
        if not all(0x21 <= byte <= 0x7E for byte in key):
            raise RefusedError("a key that cannot be a path")
        value = _cid(entry["v"])
        if value is None:
            raise RefusedError("a key without value")
        entries.append((Record(key, value), _cid(entry["t"])))
        previous = key
    return entries, _cid(node["l"])


def _cid(link: object) -> Cid | None:
    if link is None:
        return None
    if not isinstance(link, CBORTag) or link.value[:5] != b"\0\x01\x71\x12\x20":
        raise RefusedError("not a link to DAG-CBOR")
    return Cid(link.value[1:])


def invert(blocks: Mapping[Cid, bytes], root: Cid, operations: Iterable[Op]) -> Cid:
    """Undo operations; returns the root before them."""
    operations = list(operations)
    if not operations:
        return root
    if len({op.path for op in operations}) < len(operations):
        raise RefusedError("two operations on one path")
    items = flatten(blocks, root)
    for op in operations:
        _check(items, op)
    for op in operations:
        if op.cid is None and op.prev is not None:
            _insert(items, Record(op.path.encode(), op.prev))
    for op in operations:
        if op.cid is not None:
            index = items.index(Record(op.path.encode(), op.cid))
            items[index : index + 1] = [] if op.prev is None else [Record(op.path.encode(), op.prev)]
    return _build_root(items, {})


def _check(items: list[Item], op: Op) -> None:
    if op.cid == op.prev:
        raise RefusedError("no operation at all")
    found = [item.value for item in items if isinstance(item, Record) and item.key == op.path.encode()]
    if found != ([] if op.cid is None else [op.cid]):
        raise RefusedError("not what the tree says")


def _insert(items: list[Item], record: Record) -> None:
    after = [index for index, item in enumerate(items) if isinstance(item, Record) and item.key > record.key]
    index = after[0] if after else len(items)
    if index and isinstance(items[index - 1], Stub):
        raise RefusedError("nobody knows where the key belongs")
    items.insert(index, record)
