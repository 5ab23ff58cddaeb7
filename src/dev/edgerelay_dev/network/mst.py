"""The Merkle search tree of a repository, as a value: every change makes a new tree that shares what did not change.

A node lies at a layer and interleaves children and keys:

    children[0]  keys[0]  children[1]  keys[1]  ...  children[n]

All keys of a node have its layer as their height, children lie exactly one layer lower, and a child that would be
empty is None. So the shape depends on the set of keys alone, and so does the root's CID.

What it does not own: records, commits, or reading trees from bytes (the relay does that; this is its counterpart).

Spec: atproto repository, "MST Structure".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import takewhile
from typing import Final, NamedTuple

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_to_link
from edgerelay.atproto.dagcbor import Value, encode

__all__ = [
    "EMPTY",
    "Entry",
    "Node",
    "added_nodes",
    "build",
    "covering_nodes",
    "delete",
    "entries",
    "height",
    "nodes",
    "put",
]

_BITS_PER_LAYER: Final = 2
_HASH_BITS: Final = 256


class Entry(NamedTuple):
    """One key and the CID of its record."""

    key: bytes
    value: Cid


@dataclass(frozen=True, eq=False)
class Node:
    """One node; `children` has one item more than `keys`."""

    layer: int
    keys: tuple[bytes, ...]
    values: tuple[Cid, ...]
    children: tuple[Node | None, ...]

    @cached_property
    def data(self) -> bytes:
        """The block that this node is stored as."""
        items: list[Value] = []
        previous = b""
        for key, value, child in zip(self.keys, self.values, self.children[1:], strict=True):
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(previous, key, strict=False)))
            items.append({"p": shared, "k": key[shared:], "v": cid_to_link(value), "t": _link(child)})
            previous = key
        return encode({"e": items, "l": _link(self.children[0])})

    @cached_property
    def cid(self) -> Cid:
        """The CID of `data`."""
        return cid_for_cbor(self.data)

    def gap(self, key: bytes) -> int:
        """Index of the child whose range includes `key`, and of `key` itself if this node holds it."""
        return bisect_left(self.keys, key)

    def holds(self, key: bytes) -> bool:
        """Tell whether `key` is one of this node's own keys."""
        index = self.gap(key)
        return index < len(self.keys) and self.keys[index] == key


EMPTY: Final = Node(0, (), (), (None,))
"""The tree without keys."""


def height(key: bytes) -> int:
    """The layer of a key: pairs of leading zero bits of its hash."""
    digest = int.from_bytes(sha256(key).digest(), "big")
    return (_HASH_BITS - digest.bit_length()) // _BITS_PER_LAYER


def build(items: Iterable[Entry]) -> Node:
    """Build a tree from sorted entries in one pass."""
    entries_with_height = [(entry, height(entry.key)) for entry in items]
    if not entries_with_height:
        return EMPTY
    root = _build(entries_with_height, max(tall for _, tall in entries_with_height))
    assert root is not None
    return root


def _build(items: Sequence[tuple[Entry, int]], layer: int) -> Node | None:
    if not items:
        return None
    cuts = [index for index, (_, tall) in enumerate(items) if tall == layer]
    bounds = zip([-1, *cuts], [*cuts, len(items)], strict=True)
    return Node(
        layer,
        tuple(items[cut][0].key for cut in cuts),
        tuple(items[cut][0].value for cut in cuts),
        tuple(_build(items[start + 1 : end], layer - 1) for start, end in bounds),
    )


def put(root: Node, key: bytes, value: Cid) -> Node:
    """Add a key, or replace its value."""
    layer = height(key)
    if root.keys:
        while root.layer < layer:
            root = Node(root.layer + 1, (), (), (root,))
    else:
        root = Node(layer, (), (), (None,))
    return _put(root, key, value, layer)


def _put(node: Node, key: bytes, value: Cid, layer: int) -> Node:
    index = node.gap(key)
    if node.layer > layer:
        child = node.children[index] or Node(node.layer - 1, (), (), (None,))
        return _with_child(node, index, _put(child, key, value, layer))
    if node.holds(key):
        values = (*node.values[:index], value, *node.values[index + 1 :])
        return Node(node.layer, node.keys, values, node.children)
    left, right = _split(node.children[index], key)
    return Node(
        node.layer,
        (*node.keys[:index], key, *node.keys[index:]),
        (*node.values[:index], value, *node.values[index:]),
        (*node.children[:index], left, right, *node.children[index + 1 :]),
    )


def delete(root: Node, key: bytes) -> Node:
    """Remove a key; raises KeyError when the tree does not have it."""
    trimmed = _delete(root, key)
    while trimmed is not None and not trimmed.keys:
        trimmed = trimmed.children[0]
    return trimmed or EMPTY


def _delete(node: Node | None, key: bytes) -> Node | None:
    if node is None:
        raise KeyError(key)
    index = node.gap(key)
    if not node.holds(key):
        return _none_if_bare(_with_child(node, index, _delete(node.children[index], key)))
    merged = _merge(node.children[index], node.children[index + 1])
    without = Node(
        node.layer,
        node.keys[:index] + node.keys[index + 1 :],
        node.values[:index] + node.values[index + 1 :],
        (*node.children[:index], merged, *node.children[index + 2 :]),
    )
    return _none_if_bare(without)


def _split(node: Node | None, key: bytes) -> tuple[Node | None, Node | None]:
    """Cut a subtree into what lies below `key` and what lies above it."""
    if node is None:
        return None, None
    index = node.gap(key)
    left, right = _split(node.children[index], key)
    return (
        _none_if_bare(Node(node.layer, node.keys[:index], node.values[:index], (*node.children[:index], left))),
        _none_if_bare(Node(node.layer, node.keys[index:], node.values[index:], (right, *node.children[index + 1 :]))),
    )


def _merge(left: Node | None, right: Node | None) -> Node | None:
    """Join two neighbouring subtrees of one layer along their seam."""
    if left is None or right is None:
        return left or right
    seam = _merge(left.children[-1], right.children[0])
    children = (*left.children[:-1], seam, *right.children[1:])
    return Node(left.layer, left.keys + right.keys, left.values + right.values, children)


def _with_child(node: Node, index: int, child: Node | None) -> Node:
    children = (*node.children[:index], child, *node.children[index + 1 :])
    return Node(node.layer, node.keys, node.values, children)


def _none_if_bare(node: Node) -> Node | None:
    return node if node.keys or node.children[0] is not None else None


def _link(node: Node | None) -> Value:
    return None if node is None else cid_to_link(node.cid)


def nodes(root: Node) -> Iterator[Node]:
    """Walk all nodes, parents first, in key order."""
    yield root
    for child in root.children:
        if child is not None:
            yield from nodes(child)


def entries(root: Node) -> Iterator[Entry]:
    """Walk all entries in key order."""
    for index, child in enumerate(root.children):
        if child is not None:
            yield from entries(child)
        if index < len(root.keys):
            yield Entry(root.keys[index], root.values[index])


def added_nodes(before: Node, after: Node) -> list[Node]:
    """Find the nodes of `after` that `before` does not have.

    Both trees are walked one layer at a time; what both have is left with all below it, so only changed paths cost.
    """
    added: list[Node] = []
    old_row: list[Node] = []
    new_row: list[Node] = []
    for layer in range(max(before.layer, after.layer), -1, -1):
        old_row += [before] if before.layer == layer else []
        new_row += [after] if after.layer == layer else []
        old_cids = {node.cid for node in old_row}
        common = old_cids & {node.cid for node in new_row}
        new_row = [node for node in new_row if node.cid not in common]
        added += new_row
        old_row = _children(node for node in old_row if node.cid not in common)
        new_row = _children(new_row)
    return added


def _children(row: Iterable[Node]) -> list[Node]:
    return [child for node in row for child in node.children if child is not None]


def covering_nodes(root: Node, key: bytes) -> list[Node]:
    """The search path to a key, present or not, and the paths to the keys directly left and right of it.

    With the new nodes these are what a reader needs to undo an operation on the key (atproto repository, "Diffs").
    A neighbour that is not below the key's own node is a key of a node on the search path.
    """
    path: list[Node] = []
    node: Node | None = root
    while node is not None:
        path.append(node)
        index = node.gap(key)
        if node.holds(key):
            path += _edge(node.children[index], -1) + _edge(node.children[index + 1], 0)
            break
        node = node.children[index]
    return path


def _edge(node: Node | None, side: int) -> list[Node]:
    """The nodes along the left (0) or right (-1) edge of a subtree."""
    path: list[Node] = []
    while node is not None:
        path.append(node)
        node = node.children[side]
    return path
