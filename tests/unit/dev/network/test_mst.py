from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_from_text, cid_to_text
from edgerelay.atproto.dagcbor import decode, encode
from edgerelay_dev.network import mst
from tests.unit.dev.network import stream_oracle
from tests.unit.dev.network.stream_oracle import EMPTY_ROOT, invert, parse_car

KEYS = [f"app.bsky.feed.post/{number}".encode() for number in range(60)]
VALUE = cid_for_cbor(b"\x01")
OTHER = cid_for_cbor(b"\x02")
key_sets = st.sets(st.sampled_from(KEYS))


def built(keys: set[bytes] | list[bytes], value: Cid = VALUE) -> mst.Node:
    return mst.build(mst.Entry(key, value) for key in sorted(keys))


def proof(before: mst.Node, after: mst.Node, keys: set[bytes]) -> dict[bytes, bytes]:
    """What a commit that changed some keys contains of the tree."""
    nodes = [*mst.added_nodes(before, after), *(node for key in keys for node in mst.covering_nodes(after, key))]
    return {node.cid: node.data for node in nodes}


def test_empty_tree_has_the_known_root() -> None:
    assert built([]) is mst.EMPTY
    assert mst.EMPTY.cid == EMPTY_ROOT
    assert cid_to_text(mst.EMPTY.cid) == "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"


@given(st.permutations(KEYS), key_sets)
def test_tree_depends_on_its_keys_alone(order: list[bytes], removed: set[bytes]) -> None:
    root = mst.EMPTY
    for key in order:
        root = mst.put(root, key, VALUE)
    for key in removed:
        root = mst.delete(root, key)
    assert root.cid == built(set(KEYS) - removed).cid


@given(key_sets)
def test_entries_are_those_that_went_in(keys: set[bytes]) -> None:
    assert list(mst.entries(built(keys))) == [mst.Entry(key, VALUE) for key in sorted(keys)]


def test_put_replaces_a_value() -> None:
    keys = KEYS[:20]
    root = mst.put(built(keys), keys[7], OTHER)
    assert [entry.key for entry in mst.entries(root) if entry.value == OTHER] == [keys[7]]


@given(key_sets, st.sampled_from(KEYS))
def test_delete_of_an_absent_key_is_an_error(keys: set[bytes], key: bytes) -> None:
    with pytest.raises(KeyError):
        mst.delete(built(keys - {key}), key)


@given(key_sets, key_sets)
def test_added_nodes_are_those_that_were_not_there(before: set[bytes], after: set[bytes]) -> None:
    old, new = built(before), built(after)
    expected = {node.cid for node in mst.nodes(new)} - {node.cid for node in mst.nodes(old)}
    assert {node.cid for node in mst.added_nodes(old, new)} == expected


@given(key_sets, key_sets, key_sets)
def test_proof_is_enough_to_undo_a_commit(before: set[bytes], after: set[bytes], updated: set[bytes]) -> None:
    old = built(before)
    new = built(after)
    for key in updated & before & after:
        new = mst.put(new, key, OTHER)
    ops: list[dict[str, Any]] = [
        *({"path": key.decode(), "cid": None, "prev": VALUE} for key in before - after),
        *({"path": key.decode(), "cid": VALUE} for key in after - before),
        *({"path": key.decode(), "cid": OTHER, "prev": VALUE} for key in updated & before & after),
    ]
    changed = {op["path"].encode() for op in ops}
    blocks = proof(old, new, changed) | {new.cid: new.data}
    assert invert(blocks, new.cid, ops) == old.cid


def test_heights_of_the_interop_fixtures(shared_data: Path) -> None:
    fixtures = json.loads((shared_data / "vectors/atproto-interop-tests/mst/key_heights.json").read_text())
    for fixture in fixtures:
        assert mst.height(fixture["key"].encode()) == fixture["height"]
        assert stream_oracle.height(fixture["key"].encode()) == fixture["height"]


def test_commit_proofs_of_the_interop_fixtures(shared_data: Path) -> None:
    path = shared_data / "vectors/atproto-interop-tests/firehose/commit-proof-fixtures.json"
    for fixture in json.loads(path.read_text()):
        value = cid_from_text(fixture["leafValue"])
        adds, dels = ([key.encode() for key in fixture[name]] for name in ("adds", "dels"))
        before = built([key.encode() for key in fixture["keys"]], value)
        after = before
        for key in adds:
            after = mst.put(after, key, value)
        for key in dels:
            after = mst.delete(after, key)
        assert cid_to_text(before.cid) == fixture["rootBeforeCommit"]
        assert cid_to_text(after.cid) == fixture["rootAfterCommit"]
        ours = {cid_to_text(Cid(cid)) for cid in proof(before, after, {*adds, *dels})}
        assert ours >= set(fixture["blocksInProof"]), fixture["comment"]


def test_exhaustive_pairs_of_small_trees(shared_data: Path) -> None:
    suite = shared_data / "vectors/mst-test-suite"
    trees = {path.name: _read_tree(path) for path in sorted((suite / "cars/exhaustive").glob("*.car"))}
    tried = 0
    for case in _cases(suite):
        before, after = (trees[Path(case["inputs"][name]).name] for name in ("mst_a", "mst_b"))
        results = case["results"]
        added = {cid_to_text(node.cid) for node in mst.added_nodes(before, after)}
        keys = {op["rpath"].encode() for op in results["record_ops"]}
        assert added == set(results["created_nodes"])
        assert {cid_to_text(Cid(cid)) for cid in proof(before, after, keys)} >= set(results["inductive_proof_nodes"])
        tried += 1
    assert tried == 16_384


def _cases(suite: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(suite / "tests-diff-exhaustive.tar.xz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                yield json.loads(file.read())


def _read_tree(path: Path) -> mst.Node:
    """Read the keys of a tree with the oracle, and build it anew."""
    root, blocks = parse_car(path.read_bytes())
    items = stream_oracle.flatten(blocks, root, None)
    tree = mst.build(mst.Entry(item.key, Cid(item.value)) for item in items if isinstance(item, stream_oracle.Key))
    assert tree.cid == root
    return tree


def test_trees_of_recorded_repositories(shared_data: Path) -> None:
    cars = [
        "vectors/indigo/testing/testdata/greenground.repo.car",
        "vectors/jetstream/internal/corpus/testdata/repo.car",
        "vectors/arroba/arroba/tests/snarfed2.car",
    ]
    for name in cars:
        root, blocks = parse_car((shared_data / name).read_bytes())
        commit: Any = stream_oracle.unlink(decode(blocks[root]))
        items = stream_oracle.flatten(blocks, commit["data"], None)
        entries = [mst.Entry(item.key, Cid(item.value)) for item in items if isinstance(item, stream_oracle.Key)]
        assert mst.build(entries).cid == commit["data"], name
        assert {node.cid: node.data for node in mst.nodes(mst.build(entries))}.items() <= blocks.items()


def test_node_of_one_key_has_the_bytes_of_the_specification() -> None:
    (key,) = KEYS[:1]
    node = built([key])
    assert node.data == encode({"e": [{"p": 0, "k": key, "v": stream_oracle.link(VALUE), "t": None}], "l": None})
