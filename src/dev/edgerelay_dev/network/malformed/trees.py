"""Commits over trees that are none: each is signed rightly, its root node is what is wrong.

Spec: atproto repository, "MST Structure"; sync ("Commit Operation Inversion").
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final, cast

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_for_raw, cid_to_link
from edgerelay.atproto.dagcbor import Value, decode, encode
from edgerelay_dev.network import mst
from edgerelay_dev.network.car import Block
from edgerelay_dev.network.malformed.commits import commit_frame, with_head
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import Body, Material
from edgerelay_dev.network.repository import Change, Delete, sign_commit

_FIRST: Final = "app.bsky.aaa.first"
_LAST: Final = "app.bsky.zzz.last"
"""Collections before and after all others; they share a prefix with them."""

_OTHER: Final = cid_for_cbor(b"something else")
_KEY_LIMIT_BYTES: Final = 1_024
"""Longest key that deployed software reads."""

_MORE_RECORDS: Final = 60
"""With so many records some deletion leaves, most likely, a node that did not change beside the gap."""

_ATTEMPTS: Final = 10
"""How often so many are created before there is something wrong."""


def _over_block(material: Material, edit: Callable[[bytes], bytes], *more: Block) -> bytes:
    """Commit to another root node than the tree has."""
    change = material.change()
    root = change.commit.root
    data = edit(next(block.data for block in change.blocks if block.cid == root))
    return _over_tree(material, change, data, (*more, *(block for block in change.blocks if block.cid != root)))


def _over_tree(material: Material, change: Change, root: bytes, blocks: tuple[Block, ...]) -> bytes:
    """Commit to a tree by its root node."""
    node = Block(cid_for_cbor(root), root)
    head = sign_commit(material.account.did, change.commit.rev, node.cid, material.account.key)
    return commit_frame(material, with_head(change._replace(blocks=(node, *blocks)), head.data, node.cid))


def _over_node(material: Material, edit: Callable[[Body], Value], *more: Block) -> bytes:
    return _over_block(material, lambda data: encode(edit(cast("Body", decode(data)))), *more)


def _over_entries(material: Material, edit: Callable[[list[Body]], list[Body]]) -> bytes:
    return _over_node(material, lambda node: node | {"e": cast(Value, edit(cast("list[Body]", node["e"])))})


def _entry(previous: bytes, key: bytes, shared: int | None = None) -> Body:
    """An entry for `key` after `previous`, with the right or a given count of shared bytes."""
    if shared is None:
        shared = next((at for at, pair in enumerate(zip(previous, key, strict=False)) if pair[0] != pair[1]), 0)
    return {"p": shared, "k": key[shared:], "v": cid_to_link(_OTHER), "t": None}


def _keys(entries: list[Body]) -> list[bytes]:
    keys: list[bytes] = []
    for entry in entries:
        shared, rest = cast(int, entry["p"]), cast(bytes, entry["k"])
        keys.append((keys[-1][:shared] if keys else b"") + rest)
    return keys


def _new_key(collection: str, wanted: Callable[[int], bool], suffix: str = "") -> bytes:
    """Find a key of a wanted height."""
    keys = (f"{collection}/{number}{suffix}".encode() for number in count())
    return next(key for key in keys if wanted(mst.height(key)))


def _fitting(entries: list[Body], collection: str, suffix: str = "") -> bytes:
    """A key of the same height as the keys of a node."""
    height = mst.height(_keys(entries)[0])
    return _new_key(collection, lambda other: other == height, suffix)


@malformed(Fate.REJECT)
def tree_keys_unordered(material: Material) -> bytes:
    """A node whose last key is smaller than the one before it."""

    def edit(entries: list[Body]) -> list[Body]:
        return [*entries, _entry(_keys(entries)[-1], _fitting(entries, _FIRST))]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_duplicate_key(material: Material) -> bytes:
    """A node with its last key twice."""

    def edit(entries: list[Body]) -> list[Body]:
        last = _keys(entries)[-1]
        return [*entries, _entry(last, last, len(last))]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_wrong_height(material: Material) -> bytes:
    """A node with a key that belongs to another layer."""

    def edit(entries: list[Body]) -> list[Body]:
        last = _keys(entries)[-1]
        height = mst.height(last)
        return [*entries, _entry(last, _new_key(_LAST, lambda other: other != height))]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_prefix_not_shared(material: Material) -> bytes:
    """A node whose second key is written in full although it begins like the first."""

    def edit(entries: list[Body]) -> list[Body]:
        return [*entries, _entry(_keys(entries)[-1], _fitting(entries, _LAST), 0)]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_prefix_too_long(material: Material) -> bytes:
    """A node with an entry that shares more with the key before it than that key has."""

    def edit(entries: list[Body]) -> list[Body]:
        return [*entries, _entry(b"", _fitting(entries, _LAST), 0) | {"p": 1_000}]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_first_prefix(material: Material) -> bytes:
    """A node whose first entry shares a prefix with nothing."""
    return _over_entries(material, lambda entries: [entries[0] | {"p": 1}, *entries[1:]])


@malformed(Fate.REJECT)
def tree_empty_key(material: Material) -> bytes:
    """A node whose first key is empty."""
    return _over_entries(material, lambda entries: [_entry(b"", b"", 0), *entries])


@malformed(Fate.REJECT)
def tree_long_key(material: Material) -> bytes:
    """A node with a key of more than 1,024 bytes."""

    def edit(entries: list[Body]) -> list[Body]:
        return [*entries, _entry(_keys(entries)[-1], _fitting(entries, _LAST, "~" * _KEY_LIMIT_BYTES))]

    return _over_entries(material, edit)


@malformed(Fate.REJECT)
def tree_keyless_root(material: Material) -> bytes:
    """A root without keys above the real one."""
    change = material.change()
    data = encode({"e": [], "l": cid_to_link(change.commit.root)})
    return _over_tree(material, change, data, change.blocks)


@malformed(Fate.REJECT)
def tree_empty_child(material: Material) -> bytes:
    """A node whose last child has neither keys nor children."""
    empty = Block(mst.EMPTY.cid, mst.EMPTY.data)

    def edit(entries: list[Body]) -> list[Body]:
        return [*entries[:-1], entries[-1] | {"t": cid_to_link(empty.cid)}]

    return _over_node(material, lambda node: node | {"e": cast(Value, edit(cast("list[Body]", node["e"])))}, empty)


@malformed(Fate.REJECT)
def tree_child_twice(material: Material) -> bytes:
    """A node that links to the same child on both sides of a key."""

    def edit(node: Body) -> Value:
        first, *others = cast("list[Body]", node["e"])
        link = first["t"] or node["l"] or cid_to_link(_OTHER)
        return {"l": link, "e": [first | {"t": link}, *others]}

    return _over_node(material, edit)


@malformed(Fate.REJECT)
def tree_node_without_left(material: Material) -> bytes:
    """A node that lacks `l`, which must be there if only as null."""
    return _over_node(material, lambda node: {"e": node["e"]})


@malformed(Fate.REJECT)
def tree_node_with_more(material: Material) -> bytes:
    """A node with a field that nodes do not have."""
    return _over_node(material, lambda node: node | {"x": None})


@malformed(Fate.REJECT)
def tree_node_not_map(material: Material) -> bytes:
    """A node that is a list."""
    return _over_node(material, lambda node: [node])


@malformed(Fate.REJECT)
def tree_node_not_canonical(material: Material) -> bytes:
    """A node with a byte after it."""
    return _over_block(material, lambda data: data + b"\x00")


@malformed(Fate.REJECT)
def tree_entry_of_wrong_type(material: Material) -> bytes:
    """A node whose key is text instead of bytes."""
    return _over_entries(material, lambda entries: [entries[0] | {"k": "app.bsky.feed.post/text"}, *entries[1:]])


@malformed(Fate.REJECT)
def tree_link_of_raw(material: Material) -> bytes:
    """A node whose left child is said to be no CBOR."""
    return _over_node(material, lambda node: node | {"l": cid_to_link(cid_for_raw(b""))})


@malformed(Fate.REJECT)
def missing_root_node(material: Material) -> bytes:
    """A container without the root of the tree."""
    change = material.change()
    return _without_block(material, change, change.commit.root)


@malformed(Fate.REJECT)
def missing_neighbour_node(material: Material) -> bytes:
    """A deletion without the unchanged node beside the gap, so that it cannot be undone."""
    for _ in range(_ATTEMPTS):
        before = material.account.repository.tree
        for path in material.account.repository.records:
            after = mst.delete(before, path.encode())
            covering = {node.cid for node in mst.covering_nodes(after, path.encode())}
            beside = covering - {after.cid} - {node.cid for node in mst.added_nodes(before, after)}
            if beside:
                return _without_block(material, material.change(Delete(path)), *beside)
        material.host.commit(material.account, *(material.create() for _ in range(_MORE_RECORDS)))
    raise ValueError("no deletion of this account needs a node that it does not change")


def _without_block(material: Material, change: Change, *cids: Cid) -> bytes:
    return commit_frame(
        material, change._replace(blocks=tuple(block for block in change.blocks if block.cid not in cids))
    )
