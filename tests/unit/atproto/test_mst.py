"""Tree nodes. Spec: atproto repository v3, "MST Structure"; the twin is `tests.oracle.mst`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_for_raw, cid_from_link
from edgerelay.atproto.mst import (
    EMPTY_ROOT,
    MAX_KEY_BYTES,
    MAX_NODE_ENTRIES,
    MstNode,
    TreeError,
    TreeFault,
    encode_node,
    key_depth,
    parse_node,
)
from edgerelay.errors import WireError
from tests.oracle import mst as twin
from tests.vectors import CAPTURES, capture, commits, lines, load_json

VALUE = cid_for_cbor(b"value")
KEYS = sorted(f"app.bsky.feed.post/{number}".encode() for number in range(400))
LEAF_KEYS = tuple(key for key in KEYS if key_depth(key) == 0)
UPPER_KEYS = tuple(key for key in KEYS if key_depth(key) == 1)
Node = dict[str, Any]


def leaf(*keys: bytes) -> bytes:
    """Encode a node of some keys, all with one value and without subtrees."""
    return encode_node(keys, [VALUE] * len(keys), [None] * (len(keys) + 1))


def link(cid: Cid) -> CBORTag:
    return CBORTag(42, b"\0" + cid)


def assert_malformed(block: bytes) -> None:
    with pytest.raises(TreeError) as caught:
        parse_node(block)
    assert caught.value.fault is TreeFault.MALFORMED


def test_empty_root_is_the_published_one() -> None:
    assert twin.build({}).root == EMPTY_ROOT
    assert parse_node(encode_node([], [], [None])).keys == ()


def test_node_comes_apart_and_together() -> None:
    keys = UPPER_KEYS[:3]
    values = [cid_for_cbor(key) for key in keys]
    links = [cid_for_cbor(b"left"), None, cid_for_cbor(b"middle"), None]
    block = encode_node(keys, values, links)
    node = parse_node(block)
    assert (node.keys, node.values, node.links, node.depth) == (keys, tuple(values), tuple(links), 1)
    assert node.block == block
    for end, present in zip(node.link_ends, links, strict=True):
        assert block[:end].endswith(b"\xf6" if present is None else present)


def test_left_link_is_told_from_a_digest_that_ends_like_its_absence() -> None:
    left = Cid(cid_for_cbor(b"left")[:-3] + b"al\xf6")
    assert parse_node(encode_node(UPPER_KEYS[:1], [VALUE], [left, None])).links == (left, None)


@pytest.mark.parametrize("count", [0, 1, 23, 24, 25, 60])
def test_number_of_entries_has_its_shortest_head(count: int) -> None:
    block = leaf(*LEAF_KEYS[:count])
    assert len(parse_node(block).keys) == count
    assert dumps(loads(block), canonical=True) == block


@pytest.mark.parametrize("length", [1, 22, 23, 24, 255, 256, 257, 830, MAX_KEY_BYTES])
def test_keys_of_every_length(length: int) -> None:
    node = parse_node(leaf(*keys_of_length(length)))
    assert [len(key) for key in node.keys] == [length, length]
    assert dumps(loads(node.block), canonical=True) == node.block


def keys_of_length(length: int) -> list[bytes]:
    """Find two keys of depth 0 that share all but their tails, if they are long."""
    candidates = (f"{number}".rjust(length, "k")[:length].encode() for number in range(100))
    return sorted(islice((key for key in dict.fromkeys(candidates) if key_depth(key) == 0), 2))


class TestMalformed:
    """Every node that is not the one encoding of a valid node is refused, by the twin too."""

    def refuse(self, change: Callable[[Node], object]) -> None:
        node = loads(encode_node(UPPER_KEYS[:3], [VALUE] * 3, [VALUE, VALUE, None, VALUE]))
        change(node)
        self.refuse_bytes(dumps(node, canonical=True))

    def refuse_bytes(self, block: bytes) -> None:
        assert_malformed(block)
        with pytest.raises(twin.RefusedError):
            twin.flatten({cid_for_cbor(block): block}, cid_for_cbor(block))

    def test_fields(self) -> None:
        self.refuse(lambda node: node.pop("l"))
        self.refuse(lambda node: node.pop("e"))
        self.refuse(lambda node: node.update(x=None))
        self.refuse(lambda node: node.update(e=None))
        self.refuse(lambda node: node.update(l=0))
        self.refuse(lambda node: node.update(l=VALUE))
        self.refuse(lambda node: node.update(l=link(cid_for_raw(b""))))
        self.refuse(lambda node: node.update(l=CBORTag(42, b"\0" + VALUE[:-1])))

    @pytest.mark.parametrize("name", ["k", "p", "t", "v"])
    def test_fields_of_entries(self, name: str) -> None:
        self.refuse(lambda node: node["e"][1].pop(name))
        self.refuse(lambda node: node["e"][1].update({name: "text"}))
        self.refuse(lambda node: node["e"][1].update({name: -1}))
        self.refuse(lambda node: node["e"][1].update({name: link(cid_for_raw(b""))}))
        self.refuse(lambda node: node["e"].insert(1, None))

    def test_value_must_be_there(self) -> None:
        self.refuse(lambda node: node["e"][0].update(v=None))

    def test_prefix_compression_is_maximal(self) -> None:
        def shorter(node: Node) -> None:
            entry = node["e"][1]
            entry["p"] -= 1
            entry["k"] = UPPER_KEYS[1][entry["p"] :]

        self.refuse(shorter)
        self.refuse(lambda node: node["e"][1].update(p=0, k=UPPER_KEYS[1]))

    def test_prefix_comes_from_the_key_before(self) -> None:
        self.refuse(lambda node: node["e"][0].update(p=1))
        self.refuse(lambda node: node["e"][1].update(p=len(UPPER_KEYS[0]) + 1))
        self.refuse(lambda node: node["e"][1].update(p=2_000))

    def test_keys_strictly_increase(self) -> None:
        self.refuse(lambda node: node["e"].reverse())
        self.refuse(lambda node: node["e"][1].update(p=len(UPPER_KEYS[0]), k=b""))
        self.refuse_bytes(leaf(LEAF_KEYS[1], LEAF_KEYS[0]))
        self.refuse_bytes(leaf(LEAF_KEYS[0], LEAF_KEYS[0]))

    def test_keys_share_a_depth(self) -> None:
        self.refuse_bytes(leaf(*sorted([LEAF_KEYS[0], LEAF_KEYS[1], UPPER_KEYS[0]])))

    def test_keys_are_printable_and_not_empty(self) -> None:
        self.refuse_bytes(leaf(b""))
        for key in (b"a b", b"a\0b", b"caf\xc3\xa9", b"\xff"):
            self.refuse_bytes(leaf(key))

    def test_keys_are_bounded(self) -> None:
        self.refuse_bytes(dumps({"e": [{"p": 0, "k": b"a" * 1025, "v": link(VALUE), "t": None}], "l": None}))
        first = keys_of_length(1000)[0]
        tails = (f"{number}".rjust(25, "a").encode() for number in range(100))
        tail = next(tail for tail in tails if key_depth(first + tail) == 0)
        node = loads(leaf(first))
        node["e"].append({"p": 1000, "k": tail, "v": link(VALUE), "t": None})
        self.refuse_bytes(dumps(node, canonical=True))

    def test_entries_are_bounded(self) -> None:
        keys = sorted(key for number in range(1000) if key_depth(key := f"k/{number}".encode()) == 0)
        assert len(keys) > MAX_NODE_ENTRIES
        assert len(parse_node(leaf(*keys[:MAX_NODE_ENTRIES])).keys) == MAX_NODE_ENTRIES
        assert_malformed(leaf(*keys[: MAX_NODE_ENTRIES + 1]))

    def test_encoding_is_the_only_one(self) -> None:
        block = encode_node(UPPER_KEYS[:2], [VALUE] * 2, [VALUE, None, VALUE])
        parse_node(block)
        for changed in (
            b"",
            block + b"\0",
            b"\0" + block,
            block[:-1],
            block.replace(b"\xa2ae\x82", b"\xa2ae\x98\x02"),
            block.replace(b"\xa2ae\x82", b"\xa2ae\x9f"),
            block.replace(b"\xa2ae\x82", b"\xa2ae\x81"),
            block.replace(b"\xa2ae\x82", b"\xa2ae\x83"),
            block.replace(b"ap\x00", b"ap\x18\x00"),
            block.replace(b"\xa4ak", b"\xa4\x78\x01k"),
            dumps(dict(reversed(loads(block).items()))),
        ):
            assert changed != block
            assert_malformed(changed)

    def test_bytes_between_entries(self) -> None:
        block = leaf(*LEAF_KEYS[:2])
        second = block.rindex(b"\xa4ak")
        for junk in (b"\0", b"\xf6", b"al\xf6", b"\xa4ak"):
            assert_malformed(block[:second] + junk + block[second:])
            assert_malformed(block[:4] + junk + block[4:])
            assert_malformed(block[:-3] + junk + block[-3:])

    @pytest.mark.parametrize("tail", [b"al\xf6", b"al" + encode_node([], [], [VALUE])[6:]], ids=["null", "link"])
    def test_bytes_before_an_entry_that_ends_with_the_left_link(self, tail: bytes) -> None:
        entry = leaf(LEAF_KEYS[0])[4:-3]
        kept = entry[: len(entry) - min(len(tail), 32)]
        # As many bytes too much before the entry as its digest takes of the left link: the lengths alone add up.
        block = b"\xa2ae\x81" + b"\x9b" * (len(entry) - len(kept)) + kept + tail
        assert_malformed(block)


@given(st.data())
def test_mutated_nodes_get_the_twins_verdict(draw: st.DataObject) -> None:
    keys = sorted(draw.draw(st.sets(st.sampled_from(LEAF_KEYS), min_size=1, max_size=6)))
    block = leaf(*keys)
    at = draw.draw(st.integers(0, len(block) - 1))
    mutated = block[:at] + draw.draw(st.binary(max_size=3)) + block[at + draw.draw(st.integers(0, 3)) :]
    try:
        node = parse_node(mutated)
    except TreeError:
        with pytest.raises(twin.RefusedError):
            twin.flatten({cid_for_cbor(mutated): mutated}, cid_for_cbor(mutated))
    else:
        assert encode_node(node.keys, node.values, node.links) == mutated


@given(st.binary(max_size=200), st.booleans())
def test_nothing_but_a_wire_error_escapes(data: bytes, with_head: bool) -> None:
    try:
        node = parse_node(b"\xa2ae\x81\xa4ak" + data if with_head else data)
    except WireError:
        return
    assert isinstance(node, MstNode)


class TestVectors:
    def test_key_heights(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/mst/key_heights.json")
        for case in cases:
            assert key_depth(case["key"].encode()) == case["height"]
            assert twin.depth(case["key"].encode()) == case["height"]
        assert len(cases) == 9

    def test_example_keys_say_their_depth(self, shared_data: Path) -> None:
        keys = lines(shared_data / "vectors/atproto-interop-tests/mst/example_keys.txt")
        assert all(key_depth(key.encode()) == int(key[1]) for key in keys)
        assert len(keys) == 156

    def test_common_prefix(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/mst/common_prefix.json")
        for case in cases:
            left, right = case["left"].encode(), case["right"].encode()
            node = loads(encode_node([left, right], [VALUE] * 2, [None] * 3))
            assert node["e"][1]["p"] == case["len"]
        assert len(cases) == 13

    def test_trees_over_seven_keys(self, shared_data: Path) -> None:
        cars = sorted((shared_data / "vectors/mst-test-suite/cars/exhaustive").glob("*.car"))
        for path in cars:
            car = parse_car(path.read_bytes())
            records: dict[bytes, Cid] = {}
            for block in car.blocks.values():
                node = parse_node(block)
                assert encode_node(node.keys, node.values, node.links) == block
                records |= zip(node.keys, node.values, strict=True)
            tree = twin.build(records)
            assert tree.root == car.root
            assert tree.blocks == dict(car.blocks)
        assert len(cars) == 128

    @pytest.mark.parametrize("name", CAPTURES)
    def test_real_nodes(self, shared_data: Path, name: str) -> None:
        seen = 0
        for commit in commits(capture(shared_data, name)):
            for block in parse_car(commit.blocks).blocks.values():
                if block.startswith(b"\xa2ae"):
                    node = parse_node(block)
                    assert encode_node(node.keys, node.values, node.links) == block
                    seen += 1
        assert seen > 100

    @pytest.mark.parametrize(
        "path",
        [
            "indigo/testing/testdata/fakermaker.repo.car",
            "indigo/testing/testdata/paul_staging.repo.car",
            "indigo/testing/testdata/greenground.repo.car",
            "jetstream/internal/corpus/testdata/repo.car",
            "arroba/arroba/tests/snarfed2.car",
        ],
    )
    def test_whole_repositories_are_rebuilt(self, shared_data: Path, path: str) -> None:
        car = parse_car((shared_data / "vectors" / path).read_bytes())
        # Two of these are of version 2, whose trees are the same.
        data = cid_from_link(loads(car.blocks[car.root])["data"])
        records = [item for item in twin.flatten(car.blocks, data) if isinstance(item, twin.Record)]
        tree = twin.build(dict(records))
        assert tree.root == data
        assert len(records) > 1
        for cid in tree.blocks:
            parse_node(car.blocks[cid])
