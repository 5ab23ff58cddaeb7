"""Operation inversion. Spec: atproto sync, "Commit Validation"; the twin is `tests.oracle.mst.invert`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cbor2 import CBORTag, dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_from_text, cid_to_text
from edgerelay.atproto.commit import announced_commit
from edgerelay.atproto.inversion import check_inversion, previous_root
from edgerelay.atproto.mst import EMPTY_ROOT, TreeError, TreeFault, encode_node, key_depth
from edgerelay.errors import WireError
from tests.oracle import mst as twin
from tests.oracle.mst import Op, Tree
from tests.vectors import (
    CAPTURES,
    Commit,
    base64_bytes,
    capture,
    commits,
    exhaustive_diffs,
    load_json,
    recording,
)

Records = dict[bytes, Cid]
SAMPLE = 37
"""Every 37th of the exhaustive differences: a prime, so that all starts and ends occur."""


def operations(before: Records, after: Records) -> list[Op]:
    """List what turns one state into another."""
    return [
        Op(path.decode(), after.get(path), before.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def verdict(blocks: Mapping[Cid, bytes], root: Cid, ops: Iterable[Op]) -> Cid | None:
    """Undo operations, and have the twin do the same; None if they refuse."""
    try:
        result = previous_root(blocks, root, ops)
    except TreeError:
        with pytest.raises(twin.RefusedError):
            twin.invert(blocks, root, ops)
        return None
    assert twin.invert(blocks, root, ops) == result
    return result


def fault(blocks: Mapping[Cid, bytes], root: Cid, *ops: Op) -> TreeFault:
    with pytest.raises(TreeError) as caught:
        previous_root(blocks, root, ops)
    return caught.value.fault


def value(text: str) -> Cid:
    return cid_for_cbor(text.encode())


def keys_of_depth(depth: int, count: int) -> list[bytes]:
    """List keys of a depth, in order."""
    found = (key for number in range(100_000) if key_depth(key := f"k/{number:05}".encode()) == depth)
    return [next(found) for _ in range(count)]


def keys_of_depths(*depths: int) -> list[bytes]:
    """Find keys, in order, that have these depths one after the other."""
    found: list[bytes] = []
    for key in (f"k/{number:05}".encode() for number in range(100_000)):
        if len(found) < len(depths) and key_depth(key) == depths[len(found)]:
            found.append(key)
    return found


SEVEN = keys_of_depths(0, 1, 0, 2, 0, 1, 0)


def subset(mask: int) -> Records:
    return {key: value(key.decode()) for index, key in enumerate(SEVEN) if mask >> index & 1}


TREES = [twin.build(subset(mask)) for mask in range(1 << len(SEVEN))]


class TestSevenKeys:
    """All trees over seven keys on three levels, from each to each other."""

    @pytest.mark.parametrize("start", range(0, 128, 8))
    def test_with_all_blocks_of_the_new_tree(self, start: int) -> None:
        for after in range(start, 128, 64):
            for before in range(128):
                ops = operations(subset(before), subset(after))
                assert previous_root(TREES[after].blocks, TREES[after].root, ops) == TREES[before].root

    @pytest.mark.slow
    def test_all_pairs_and_the_twin(self) -> None:
        for after in range(128):
            for before in range(128):
                ops = operations(subset(before), subset(after))
                assert verdict(TREES[after].blocks, TREES[after].root, ops) == TREES[before].root

    @pytest.mark.parametrize("seed", range(8))
    def test_twin_agrees_on_parts_of_trees(self, seed: int) -> None:
        draw = random.Random(seed)
        verdicts = []
        for _ in range(60):
            before, after = draw.randrange(128), draw.randrange(128)
            tree = TREES[after]
            part = {cid: block for cid, block in tree.blocks.items() if draw.random() < 0.7}
            ops = operations(subset(before), subset(after))
            draw.shuffle(ops)
            result = verdict(part, tree.root, ops)
            verdicts.append(None if result is None else result == TREES[before].root)
        assert {None, True} <= set(verdicts)

    def test_dishonest_operations_never_lead_back(self) -> None:
        for before in range(0, 128, 17):
            for after in range(0, 128, 13):
                tree, root = TREES[after], TREES[before].root
                ops = operations(subset(before), subset(after))
                for index, op in enumerate(ops):
                    rest = ops[:index] + ops[index + 1 :]
                    assert verdict(tree.blocks, tree.root, rest) != root
                    lie = value("a lie")
                    for other in (op._replace(cid=op.cid and lie), op._replace(prev=op.prev and lie)):
                        assert other == op or verdict(tree.blocks, tree.root, [*rest, other]) != root
                for key in SEVEN:
                    unchanged = subset(after).get(key)
                    if unchanged is not None and subset(before).get(key) == unchanged:
                        extra = Op(key.decode(), unchanged, None)
                        assert verdict(tree.blocks, tree.root, [*ops, extra]) != root


class TestLargeTrees:
    """Random repositories with random operations, as a server would send them."""

    @pytest.mark.parametrize("seed", range(5))
    def test_twin_agrees(self, seed: int) -> None:
        draw = random.Random(seed)
        before = {f"app.bsky.feed.like/{draw.getrandbits(64):016x}".encode(): value(str(i)) for i in range(250)}
        accepted = 0
        for step in range(6):
            after = dict(before)
            for _ in range(draw.choice([1, 1, 1, 5, 40])):
                match draw.choice(["create", "create", "update", "delete"]):
                    case "create":
                        after[f"app.bsky.feed.post/{draw.getrandbits(64):016x}".encode()] = value(f"new {step}")
                    case "update":
                        after[draw.choice(sorted(after))] = value(f"changed {step}")
                    case _:
                        del after[draw.choice(sorted(after))]
            ops = operations(before, after)
            old, new = twin.build(before), twin.build(after)
            assert verdict(new.blocks, new.root, ops) == old.root
            for proof in (self.changed(old, new), self.with_neighbours(old, new, ops)):
                result = verdict(proof, new.root, ops)
                assert result in (None, old.root)
                accepted += result is not None
            before = after
        assert accepted >= 6

    @staticmethod
    def changed(old: Tree, new: Tree) -> dict[Cid, bytes]:
        return {cid: block for cid, block in new.blocks.items() if cid not in old.blocks}

    def with_neighbours(self, old: Tree, new: Tree, ops: list[Op]) -> dict[Cid, bytes]:
        """Add what lies on the way to the keys beside each operation, as the reference server does."""
        proof = self.changed(old, new)
        keys = sorted(item.key for item in twin.flatten(new.blocks, new.root) if isinstance(item, twin.Record))
        for op in ops:
            path = op.path.encode()
            near = [max((key for key in keys if key < path), default=None), path]
            for key in [*near, min((key for key in keys if key > path), default=None)]:
                if key is not None:
                    proof |= self.search_path(new, key)
        return proof

    @staticmethod
    def search_path(tree: Tree, key: bytes) -> dict[Cid, bytes]:
        found: dict[Cid, bytes] = {}
        cid: Cid | None = tree.root
        while cid is not None:
            found[cid] = tree.blocks[cid]
            node = loads(found[cid])
            below, previous = node["l"], b""
            for entry in node["e"]:
                previous = previous[: entry["p"]] + entry["k"]
                if previous > key:
                    break
                below = entry["t"]
            cid = below and Cid(below.value[1:])
        return found


class TestRules:
    LOW, MID, HIGH, TOP = SEVEN[0], SEVEN[1], SEVEN[2], keys_of_depth(3, 1)[0]

    def test_without_operations_nothing_is_read(self) -> None:
        assert previous_root({}, value("any"), []) == value("any")
        check_inversion({}, value("any"), [], value("any"))
        with pytest.raises(TreeError) as caught:
            check_inversion({}, value("any"), [], value("other"))
        assert caught.value.fault is TreeFault.MISMATCH

    def test_first_commit_inverts_to_the_empty_tree(self) -> None:
        after = subset(127)
        tree = twin.build(after)
        check_inversion(tree.blocks, tree.root, operations({}, after), EMPTY_ROOT)

    def test_last_delete_needs_no_block_of_the_empty_tree(self) -> None:
        before = {self.LOW: value("x")}
        assert previous_root({}, EMPTY_ROOT, operations(before, {})) == twin.build(before).root

    def test_mismatch(self) -> None:
        tree = twin.build(subset(127))
        with pytest.raises(TreeError) as caught:
            check_inversion(tree.blocks, tree.root, operations(subset(126), subset(127)), TREES[125].root)
        assert caught.value.fault is TreeFault.MISMATCH

    def test_operations_that_are_none(self) -> None:
        tree = twin.build(subset(127))
        path, present = SEVEN[0].decode(), value(SEVEN[0].decode())
        for ops in (
            [Op(path, None, None)],
            [Op(path, present, present)],
            [Op(path, present, None), Op(path, present, None)],
            [Op(path, None, present), Op(path, present, None)],
            [Op("", present, None)],
            [Op("", None, present)],
            [Op("k/" + "a" * 1_024, None, present)],
        ):
            assert fault(tree.blocks, tree.root, *ops) is TreeFault.OPERATIONS

    @pytest.mark.parametrize("action", ["create", "update", "delete", "", "other"])
    def test_actions_have_what_they_need(self, action: str) -> None:
        class Declared(NamedTuple):
            action: str
            path: str
            cid: Cid | None
            prev: Cid | None

        tree = twin.build(subset(127))
        path, present = SEVEN[0].decode(), value(SEVEN[0].decode())
        for cid, prev in ((present, None), (present, value("old")), (None, present)):
            if Op(path, cid, prev).action != action:
                with pytest.raises(TreeError) as caught:
                    previous_root(tree.blocks, tree.root, [Declared(action, path, cid, prev)])
                assert caught.value.fault is TreeFault.OPERATIONS

    def test_operations_that_contradict_the_tree(self) -> None:
        tree = twin.build(subset(127))
        path, present, other = SEVEN[3].decode(), value(SEVEN[3].decode()), value("other")
        for op in (
            Op(path, other, None),
            Op(path, other, present),
            Op(path, None, present),
            Op("k/never", present, None),
            Op("k/never", present, other),
            Op("zzz", present, None),
        ):
            assert fault(tree.blocks, tree.root, op) is TreeFault.OPERATIONS
            assert verdict(tree.blocks, tree.root, [op]) is None

    def test_missing_nodes(self) -> None:
        tree = twin.build(subset(127))
        assert fault({}, tree.root, Op(SEVEN[0].decode(), value("x"), None)) is TreeFault.PARTIAL
        top = SEVEN[3]
        root_only = {tree.root: tree.blocks[tree.root]}
        removal = Op(top.decode(), value(top.decode()), None)
        assert fault(root_only, tree.root, removal) is TreeFault.PARTIAL
        assert fault(root_only, tree.root, Op("k/00000", None, value("x"))) is TreeFault.PARTIAL

    def test_insertions_come_first(self) -> None:
        draw = random.Random(3)
        for _ in range(300):
            before, after = draw.randrange(128), draw.randrange(128)
            ops = operations(subset(before), subset(after))
            expected = previous_root(TREES[after].blocks, TREES[after].root, ops)
            draw.shuffle(ops)
            assert previous_root(TREES[after].blocks, TREES[after].root, ops) == expected

    def test_key_that_grows_the_tree(self) -> None:
        records = {self.TOP: value("top"), **subset(127)}
        for before, after in ((records, subset(127)), (subset(127), records), (records, subset(0)), ({}, records)):
            tree = twin.build(after)
            assert verdict(tree.blocks, tree.root, operations(before, after)) == twin.build(before).root

    def test_untouched_nodes_are_not_read(self) -> None:
        records = {f"k/{number:05}".encode(): value(str(number)) for number in range(500)}
        tree = twin.build(records)
        path = f"k/{77:05}"
        read: list[Cid] = []

        class Watched(dict[Cid, bytes]):
            def get(self, key: Cid, default: Any = None) -> Any:
                read.append(key)
                return super().get(key, default)

        previous_root(Watched(tree.blocks), tree.root, [Op(path, value("77"), value("old"))])
        assert len(read) <= 8 < len(tree.blocks)


class TestMalformedTrees:
    """Nodes that are valid by themselves, in places where they cannot be."""

    LEAVES = keys_of_depth(0, 6)
    UPPERS = keys_of_depth(1, 3)

    def tree(self, keys: list[bytes], links: list[Cid | None], *below: bytes) -> Tree:
        block = encode_node(keys, [value("v")] * len(keys), links)
        blocks = {cid_for_cbor(node): node for node in (block, *below)}
        return Tree(cid_for_cbor(block), blocks)

    def assert_malformed(self, tree: Tree, path: bytes) -> None:
        for op in (Op(path.decode(), value("v"), None), Op(path.decode(), value("v"), value("old"))):
            assert fault(tree.blocks, tree.root, op) is TreeFault.MALFORMED
            assert verdict(tree.blocks, tree.root, [op]) is None

    def leaf(self, *keys: bytes) -> bytes:
        return encode_node(keys, [value("v")] * len(keys), [None] * (len(keys) + 1))

    def test_level_zero_has_no_subtrees(self) -> None:
        self.assert_malformed(self.tree([self.LEAVES[0]], [value("x"), None]), self.LEAVES[0])

    def test_root_has_keys(self) -> None:
        below = self.leaf(self.LEAVES[0])
        self.assert_malformed(self.tree([], [cid_for_cbor(below)], below), self.LEAVES[0])

    def test_subtrees_are_one_level_down(self) -> None:
        top = keys_of_depth(2, 1)[0]
        first = next(key for key in self.LEAVES if key < top)
        below = self.leaf(first)
        self.assert_malformed(self.tree([top], [cid_for_cbor(below), None], below), first)

    def test_subtrees_hold_keys(self) -> None:
        top = keys_of_depth(2, 1)[0]
        empty = encode_node([], [], [None])
        keyless = encode_node([], [], [cid_for_cbor(empty)])
        first = next(key for key in self.LEAVES if key < top)
        self.assert_malformed(self.tree([top], [cid_for_cbor(empty), None], empty), first)
        self.assert_malformed(self.tree([top], [cid_for_cbor(keyless), None], keyless, empty), first)

    def test_subtrees_lie_between_their_keys(self) -> None:
        upper = self.UPPERS[0]
        above = max(self.LEAVES, default=b"")
        assert above > upper
        wrong = self.leaf(above)
        low = self.leaf(min(self.LEAVES))
        assert min(self.LEAVES) < upper
        for tree in (
            self.tree([upper], [cid_for_cbor(wrong), None], wrong),
            self.tree([upper], [None, cid_for_cbor(low)], low),
        ):
            op = Op(upper.decode(), value("v"), None)
            assert fault(tree.blocks, tree.root, op) is TreeFault.MALFORMED
            assert verdict(tree.blocks, tree.root, [op]) is None

    def test_block_that_is_no_node(self) -> None:
        block = dumps({"text": "a record"})
        tree = Tree(cid_for_cbor(block), {cid_for_cbor(block): block})
        assert fault(tree.blocks, tree.root, Op("k/1", value("v"), None)) is TreeFault.MALFORMED

    def test_node_below_itself(self) -> None:
        # Without hashes that match this would be a cycle; levels still end it.
        upper = self.UPPERS[0]
        cid = value("not its hash")
        blocks = {cid: encode_node([upper], [value("v")], [cid, cid])}
        assert fault(blocks, cid, Op(upper.decode(), value("v"), None)) is TreeFault.MALFORMED


@given(st.data())
def test_nothing_but_a_wire_error_escapes_from_mutated_trees(draw: st.DataObject) -> None:
    after, before = draw.draw(st.integers(1, 127)), draw.draw(st.integers(0, 127))
    tree = TREES[after]
    cid = draw.draw(st.sampled_from(sorted(tree.blocks)))
    block = tree.blocks[cid]
    at = draw.draw(st.integers(0, len(block)))
    mutated = block[:at] + draw.draw(st.binary(max_size=4)) + block[at + draw.draw(st.integers(0, 4)) :]
    ops = operations(subset(before), subset(after))
    try:
        result = previous_root(tree.blocks | {cid: mutated}, tree.root, ops)
    except WireError:
        return
    # Whatever was not noticed was not needed, or was the same bytes.
    assert result == TREES[before].root or mutated != block


@given(st.data())
def test_twin_agrees_on_forged_nodes(draw: st.DataObject) -> None:
    """Change one link or key of a node and hash everything above it anew: a tree that somebody made wrong."""
    after, before = draw.draw(st.integers(1, 127)), draw.draw(st.integers(0, 127))
    blocks = dict(TREES[after].blocks)
    node = loads(blocks[TREES[after].root])
    places = [node, *node["e"]]
    place = draw.draw(st.sampled_from(places))
    field = draw.draw(st.sampled_from(sorted(set(place) - {"e"})))
    other = draw.draw(st.sampled_from(sorted(cid for tree in TREES for cid in tree.blocks)))
    blocks |= {cid: block for tree in TREES for cid, block in tree.blocks.items() if cid == other}
    changes = {"k": st.sampled_from(SEVEN), "p": st.integers(0, 5)}
    place[field] = draw.draw(changes.get(field, st.sampled_from([CBORTag(42, b"\0" + other), None])))
    block = dumps(node, canonical=True)
    blocks[cid_for_cbor(block)] = block
    ops = operations(subset(before), subset(after))
    try:
        result = previous_root(blocks, cid_for_cbor(block), ops)
    except TreeError:
        return
    # The twin reads more, so it may refuse what we need not look at. It never comes to another tree, and what it
    # refuses never leads to a tree that is right.
    try:
        assert twin.invert(blocks, cid_for_cbor(block), ops) == result
    except twin.RefusedError:
        assert ops == [] or result not in {tree.root for tree in TREES}


class TestVectors:
    def exhaustive(self, shared_data: Path, every: int) -> int:
        folder = shared_data / "vectors/mst-test-suite"
        cars: dict[str, Any] = {}
        seen = 0
        for case in exhaustive_diffs(shared_data, every):
            for name in case["inputs"].values():
                cars.setdefault(name, parse_car((folder / name).read_bytes()))
            before, after = cars[case["inputs"]["mst_a"]], cars[case["inputs"]["mst_b"]]
            proof = {cid_from_text(text) for text in case["results"]["inductive_proof_nodes"]}
            ops = [
                Op(op["rpath"], _cid(op["new_value"]), _cid(op["old_value"])) for op in case["results"]["record_ops"]
            ]
            blocks = {cid: block for cid, block in after.blocks.items() if cid in proof}
            assert previous_root(blocks, after.root, ops) == before.root
            seen += 1
        return seen

    def test_exhaustive_differences_sampled(self, shared_data: Path) -> None:
        assert self.exhaustive(shared_data, SAMPLE) == 443

    @pytest.mark.slow
    def test_exhaustive_differences(self, shared_data: Path) -> None:
        assert self.exhaustive(shared_data, 1) == 16_384

    def test_commit_proofs(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/firehose/commit-proof-fixtures.json")
        for case in cases:
            leaf = cid_from_text(case["leafValue"])
            before = dict.fromkeys((key.encode() for key in case["keys"]), leaf)
            after = before | dict.fromkeys((key.encode() for key in case["adds"]), leaf)
            after = {key: cid for key, cid in after.items() if key.decode() not in case["dels"]}
            tree = twin.build(after)
            assert cid_to_text(tree.root) == case["rootAfterCommit"]
            proof = {cid: tree.blocks[cid] for cid in map(cid_from_text, case["blocksInProof"])}
            result = verdict(proof, tree.root, operations(before, after))
            assert result == cid_from_text(case["rootBeforeCommit"]), case["comment"]
        assert len(cases) == 6

    @pytest.mark.parametrize("name", CAPTURES)
    def test_real_commits(self, shared_data: Path, name: str) -> None:
        seen = 0
        for commit in commits(capture(shared_data, name)):
            self.check(commit, with_twin=seen % 10 == 0)
            seen += 1
        assert seen == {"pds1": 835, "deep": 300, "arroba": 117}[name]

    def test_recorded_commits_of_the_network(self, shared_data: Path) -> None:
        recorded = list(commits(recording(shared_data)))
        for commit in recorded:
            self.check(commit)
        assert len(recorded) == 148

    @staticmethod
    def check(commit: Commit, *, with_twin: bool = True) -> None:
        car = parse_car(commit.blocks)
        data = announced_commit(car, commit.did, commit.rev, commit.commit).data
        prev_data = EMPTY_ROOT if commit.prev_data is None else commit.prev_data
        assert commit.prev_data is not None or commit.since is None
        check_inversion(car.blocks, data, commit.operations, prev_data)
        if with_twin and commit.operations:
            assert twin.invert(car.blocks, data, commit.operations) == prev_data

    @pytest.mark.parametrize(
        ("seq", "number_of_ops", "expected"),
        [
            (4621317030, 1, TreeFault.PARTIAL),
            (4621317332, 1, TreeFault.PARTIAL),
        ],
    )
    def test_old_commits_without_the_nodes_beside(
        self, shared_data: Path, seq: int, number_of_ops: int, expected: TreeFault
    ) -> None:
        body = load_json(shared_data / f"vectors/indigo/atproto/repo/testdata/firehose_commit_{seq}.json")
        car = parse_car(base64_bytes(body["blocks"]["$bytes"]))
        data = announced_commit(car, body["repo"], body["rev"]).data
        ops = [Op(op["path"], _cid(op["cid"] and op["cid"]["$link"]), None) for op in body["ops"]]
        assert len(ops) == number_of_ops
        assert fault(car.blocks, data, *ops) is expected


def _cid(text: str | None) -> Cid | None:
    return None if text is None else cid_from_text(text)
