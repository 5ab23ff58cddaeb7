"""Operation inversion: undo a commit's operations on the tree it declares, and see which tree was there before.

If that is the tree declared as previous, the list of operations is exact and complete. The CAR of a commit holds a part
of the tree only. Nodes are read when an operation needs them, and a needed one that is missing refuses the commit.
What no operation needs stays an opaque link, whether its block is there or not: it is the same before and after.

On a partial tree the order matters. Insertions (the inverses of deletes) come first, since a removal can hide the
neighbours that an insertion has to be placed between. Removals go from the lowest level up: what a removed key leaves
beside an unknown subtree can be joined with it only if it is empty, and then it is empty already.

Spec: atproto sync, "Commit Validation" (operation inversion); atproto repository v3, "MST Structure".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from edgerelay.atproto.cid import CID_BYTES, Cid, cid_for_cbor
from edgerelay.atproto.mst import (
    EMPTY_ROOT,
    MAX_KEY_BYTES,
    MstNode,
    TreeError,
    TreeFault,
    encode_node,
    key_depth,
    parse_node,
)

__all__ = ["Operation", "check_inversion", "previous_root"]


class Operation(Protocol):
    """What an operation of a commit says about one path."""

    @property
    def action(self) -> str:
        """`create`, which has a `cid` only; `update`, which has two that differ; `delete`, which has a `prev` only."""

    @property
    def path(self) -> str:
        """The path of the record: `<collection>/<record key>`."""

    @property
    def cid(self) -> Cid | None:
        """The record after the commit."""

    @property
    def prev(self) -> Cid | None:
        """The record before the commit."""


def check_inversion(blocks: Mapping[Cid, bytes], root: Cid, operations: Iterable[Operation], prev_data: Cid) -> None:
    """Check that the operations turn the tree `prev_data` into the tree `root`.

    Args:
        blocks: the blocks of the commit's CAR, already checked against their CIDs.
        prev_data: the declared previous tree; `mst.EMPTY_ROOT` for the first commit of a repository.

    Raises:
        TreeError: they do not, or it cannot be told from these blocks; its `fault` says why.
    """
    if previous_root(blocks, root, operations) != prev_data:
        raise TreeError(TreeFault.MISMATCH, "the operations do not lead from the previous tree to this one")


def previous_root(blocks: Mapping[Cid, bytes], root: Cid, operations: Iterable[Operation]) -> Cid:
    """Compute the root of the tree before the operations. Without operations nothing is read."""
    operations = tuple(operations)
    if not operations:
        return root
    if len({operation.path for operation in operations}) != len(operations):
        raise _contradiction("two operations on one path")
    tree = _Tree(blocks, root)
    replacements: list[tuple[bytes, Cid, Cid]] = []
    removals: list[tuple[bytes, Cid]] = []
    for operation in operations:
        key, cid, prev = _key(operation), operation.cid, operation.prev
        match operation.action:
            case "create" if cid is not None and prev is None:
                removals.append((key, cid))
            case "update" if cid is not None and prev is not None and cid != prev:
                replacements.append((key, cid, prev))
            case "delete" if cid is None and prev is not None:
                tree.insert(key, prev)
            case _:
                raise _contradiction("an operation without what its action needs")
    for replacement in replacements:
        tree.replace(*replacement)
    if len(removals) > 1:
        removals.sort(key=_depth_of_removal)
    for removal in removals:
        tree.remove(*removal)
    return tree.root_cid()


def _depth_of_removal(removal: tuple[bytes, Cid]) -> int:
    return key_depth(removal[0])


def _key(operation: Operation) -> bytes:
    key = operation.path.encode()
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise _contradiction("a path that no tree can hold")
    return key


_LOWEST: Final = b""
_HIGHEST: Final = b"\xff" * (MAX_KEY_BYTES + 1)
"""Below and above every key: the range of the root."""

_FIRST: Final = 0
_LAST: Final = -1


class _Node:
    """A node that is being changed. Links are opaque CIDs until something needs to see below them."""

    __slots__ = ("high", "keys", "level", "links", "low", "origin", "values")

    def __init__(
        self,
        level: int,
        low: bytes,
        high: bytes,
        keys: tuple[bytes, ...],
        values: tuple[Cid, ...],
        links: list[_Link],
        origin: tuple[Cid, MstNode] | None = None,
    ) -> None:
        self.level = level
        self.low = low
        self.high = high
        """Everything in and below the node lies between these keys."""
        self.keys = keys
        self.values = values
        self.links = links
        self.origin = origin
        """What it was read from, as long as it has the same keys and values, and subtrees in the same places."""

    def find(self, key: bytes) -> tuple[int, bool]:
        """Tell where a key stands or belongs, and whether it is there."""
        index = bisect_left(self.keys, key)
        return index, index < len(self.keys) and self.keys[index] == key

    def low_of(self, index: int) -> bytes:
        """Tell above which key the subtree `links[index]` lies."""
        return self.keys[index - 1] if index else self.low

    def high_of(self, index: int) -> bytes:
        """Tell below which key the subtree `links[index]` lies."""
        return self.keys[index] if index < len(self.keys) else self.high

    def vanishes(self) -> bool:
        """Tell whether nothing is left of the node."""
        return not self.keys and self.links[0] is None


_Link: TypeAlias = "Cid | _Node | None"


def _lifted(node: _Node | None, level: int) -> _Node | None:
    """Put nodes without keys on top of a subtree until it has a level."""
    while node is not None and node.level < level:
        node = _Node(node.level + 1, node.low, node.high, (), (), [node])
    return node


class _Tree:
    """The tree of one commit, as much of it as was needed so far."""

    def __init__(self, blocks: Mapping[Cid, bytes], root: Cid) -> None:
        self._blocks = blocks
        self._root: _Node | None = None
        if root != EMPTY_ROOT:
            source = self._parse(root)
            if source.depth is None:
                raise _malformed("a root without keys")
            self._root = self._placed(root, source, source.depth, _LOWEST, _HIGHEST)

    def insert(self, key: bytes, value: Cid) -> None:
        """Add a key that is not there."""
        depth = key_depth(key)
        node = self._root
        if node is None or depth > node.level:
            left, right = self._split(node, key)
            links: list[_Link] = [_lifted(left, depth - 1), _lifted(right, depth - 1)]
            self._root = _Node(depth, _LOWEST, _HIGHEST, (key,), (value,), links)
            return
        index, found = node.find(key)
        while node.level > depth:
            child = self._open(node, index)
            if child is None:
                alone = _Node(depth, node.low_of(index), node.high_of(index), (key,), (value,), [None, None])
                node.links[index] = _lifted(alone, node.level - 1)
                node.origin = None
                return
            node = child
            index, found = node.find(key)
        if found:
            raise _contradiction("a deleted record is still in the tree")
        node.links[index : index + 1] = self._split(self._open(node, index), key)
        node.keys = (*node.keys[:index], key, *node.keys[index:])
        node.values = (*node.values[:index], value, *node.values[index:])
        node.origin = None

    def replace(self, key: bytes, value: Cid, by: Cid) -> None:
        """Change the value of a key."""
        node, index = self._locate(key, value)[-1]
        node.values = (*node.values[:index], by, *node.values[index + 1 :])
        node.origin = None

    def remove(self, key: bytes, value: Cid) -> None:
        """Take away a key that has a value."""
        path = self._locate(key, value)
        node, index = path.pop()
        left, right = node.links[index : index + 2]
        seam = self._joined(left, right, node.level - 1, node.low_of(index), key, node.high_of(index + 1))
        node.links[index : index + 2] = [seam]
        node.keys = node.keys[:index] + node.keys[index + 1 :]
        node.values = node.values[:index] + node.values[index + 1 :]
        node.origin = None
        while node.vanishes() and path:
            node, index = path.pop()
            node.links[index] = None
            node.origin = None
        if node.vanishes():
            self._root = None

    def root_cid(self) -> Cid:
        """Encode what has changed; returns the root of the tree as it is now."""
        root: _Link = self._root
        # "the root must hold keys": levels without any are taken off the top.
        while isinstance(root, _Node) and not root.keys:
            root = self._read_if_there(root.links[0], root.level - 1, _LOWEST, _HIGHEST)
        if root is None:
            return EMPTY_ROOT
        return _cid(root) if isinstance(root, _Node) else root

    def _locate(self, key: bytes, value: Cid) -> list[tuple[_Node, int]]:
        """Find a key that must have a value; returns the nodes down to it, each with the place that leads on."""
        path = []
        node = self._root
        while node is not None:
            index, found = node.find(key)
            path.append((node, index))
            if found:
                if node.values[index] != value:
                    break
                return path
            node = self._open(node, index)
        raise _contradiction("a written record is not in the tree")

    def _split(self, node: _Node | None, key: bytes) -> tuple[_Node | None, _Node | None]:
        """Part a subtree at a key that belongs on a higher level."""
        if node is None:
            return None, None
        index, _ = node.find(key)
        left, right = self._split(self._open(node, index), key)
        if right is None and index == len(node.keys):
            return node, None
        if left is None and index == 0:
            return None, node
        keys, values, links = node.keys, node.values, node.links
        lower = _Node(node.level, node.low, key, keys[:index], values[:index], [*links[:index], left])
        upper = _Node(node.level, key, node.high, keys[index:], values[index:], [right, *links[index + 1 :]])
        return None if lower.vanishes() else lower, None if upper.vanishes() else upper

    def _joined(self, left: _Link, right: _Link, level: int, low: bytes, key: bytes, high: bytes) -> _Link:
        """Join the subtrees on both sides of a removed key, down the seam."""
        if right is None:
            return self._with_edge(left, level, low, key, _LAST)
        if left is None:
            return self._with_edge(right, level, key, high, _FIRST)
        lower = self._read(left, level, low, key)
        upper = self._read(right, level, key, high)
        seam_low, seam_high = lower.low_of(len(lower.keys)), upper.high_of(0)
        seam = self._joined(lower.links[-1], upper.links[0], level - 1, seam_low, key, seam_high)
        links = [*lower.links[:-1], seam, *upper.links[1:]]
        return _Node(level, low, high, lower.keys + upper.keys, lower.values + upper.values, links)

    def _with_edge(self, link: _Link, level: int, low: bytes, high: bytes, edge: int) -> _Link:
        """Check that a subtree ends before the key that was beside it, as far as its nodes are there."""
        node = self._read_if_there(link, level, low, high)
        if isinstance(node, _Node):
            index = 0 if edge == _FIRST else len(node.keys)
            below = node.links[index]
            node.links[index] = self._with_edge(below, level - 1, node.low_of(index), node.high_of(index), edge)
        return node

    def _open(self, node: _Node, index: int) -> _Node | None:
        """Read the subtree in a place of a node."""
        link = node.links[index]
        if link is None or isinstance(link, _Node):
            return link
        child = self._read(link, node.level - 1, node.low_of(index), node.high_of(index))
        node.links[index] = child
        return child

    def _read_if_there(self, link: _Link, level: int, low: bytes, high: bytes) -> _Link:
        if link is None or (isinstance(link, bytes) and link not in self._blocks):
            return link
        return self._read(link, level, low, high)

    def _read(self, link: Cid | _Node, level: int, low: bytes, high: bytes) -> _Node:
        return link if isinstance(link, _Node) else self._placed(link, self._parse(link), level, low, high)

    def _parse(self, cid: Cid) -> MstNode:
        block = self._blocks.get(cid)
        if block is None:
            raise TreeError(TreeFault.PARTIAL, "a tree node that the operations need is not in the CAR")
        return parse_node(block)

    @staticmethod
    def _placed(cid: Cid, source: MstNode, level: int, low: bytes, high: bytes) -> _Node:
        """Check what its place in the tree demands of a node."""
        keys, links = source.keys, source.links
        if not keys:
            if not level or links[0] is None:
                raise _malformed("a node without keys that does not lead to any")
        elif source.depth != level or keys[0] <= low or keys[-1] >= high:
            raise _malformed("a node at a level or between keys where it cannot be")
        elif not level and any(links):
            raise _malformed("a node at the lowest level with a subtree")
        return _Node(level, low, high, keys, source.values, list(links), (cid, source))


def _cid(node: _Node) -> Cid:
    """Compute the CID of a node, encoding what has changed in it and below."""
    if node.origin is None:
        links = [_cid(link) if isinstance(link, _Node) else link for link in node.links]
        return cid_for_cbor(encode_node(node.keys, node.values, links))
    cid, source = node.origin
    block = source.block
    for index, link in enumerate(node.links):
        if isinstance(link, _Node):
            end = source.link_ends[index]
            block = block[: end - CID_BYTES] + _cid(link) + block[end:]
    return cid if block == source.block else cid_for_cbor(block)


def _contradiction(what: str) -> TreeError:
    return TreeError(TreeFault.OPERATIONS, what)


def _malformed(what: str) -> TreeError:
    return TreeError(TreeFault.MALFORMED, what)
