"""Deterministic CBOR. Spec: atproto data model; DASL DRISL; the twin is `tests.oracle.dagcbor`."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cbor2 import CBORTag, dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import cid_for_cbor, cid_for_raw, cid_from_link, cid_from_text, cid_to_link, cid_to_text
from edgerelay.atproto.dagcbor import (
    MAX_DEPTH,
    MAX_ITEM_BYTES,
    MAX_VALUES,
    Value,
    decode,
    decode_pair,
    decode_prefix,
    encode,
    scan,
)
from edgerelay.errors import WireError
from tests.oracle import dagcbor as twin
from tests.vectors import CAPTURES, base64_bytes, capture, load_json, recording

LINKS = st.binary(max_size=8).map(lambda data: cid_to_link(cid_for_cbor(data)))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, -24, -25]),
    st.binary(max_size=300),
    st.text(max_size=300),
    LINKS,
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=30) | st.dictionaries(st.text(max_size=30), children, max_size=30),
    max_leaves=40,
)


def same(left: object, right: object) -> bool:
    """Compare with types: `1 == True` in Python, never on the wire."""
    return repr(left) == repr(right)


@given(VALUES)
def test_values_survive_and_the_twin_agrees(value: Value) -> None:
    data = encode(value)
    assert same(encode(decode(data)), data)
    assert same(decode(data), twin.decode(data))


def mutations(data: bytes, draw: st.DataObject) -> Iterator[bytes]:
    """Change a byte, drop some, repeat some, or put some in."""
    at = draw.draw(st.integers(0, len(data)))
    length = draw.draw(st.integers(1, 4))
    yield data[:at] + draw.draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :]
    yield data[:at] + data[at + length :]
    yield data[: at + length] + data[at:]
    yield data[:at] + draw.draw(st.binary(min_size=1, max_size=9)) + data[at:]


@given(VALUES, st.data())
def test_twin_agrees_on_mutated_bytes(value: Value, draw: st.DataObject) -> None:
    for data in mutations(encode(value), draw):
        assert_same_verdict(data)


@given(st.binary(max_size=60))
def test_twin_agrees_on_arbitrary_bytes(data: bytes) -> None:
    assert_same_verdict(data)


@given(st.lists(st.sampled_from([bytes((byte,)) for byte in range(256)]), max_size=8).map(b"".join))
def test_twin_agrees_on_sequences_of_heads(data: bytes) -> None:
    assert_same_verdict(data)


def assert_same_verdict(data: bytes) -> None:
    try:
        expected = twin.decode(data)
    except twin.NotStrictError:
        with pytest.raises(WireError):
            decode(data)
    else:
        assert same(decode(data), expected)
        # What is accepted is the one encoding of its value.
        assert dumps(expected, canonical=True) == data


@pytest.mark.parametrize("initial", range(256))
def test_every_initial_byte_gets_the_twins_verdict(initial: int) -> None:
    for tail in (b"", b"\0" * 8, b"\x18" * 40, b"\xff" * 8, b"a" * 300):
        assert_same_verdict(bytes((initial,)) + tail)
        assert_same_verdict(b"\x81" + bytes((initial,)) + tail)
        assert_same_verdict(b"\xa1" + bytes((initial,)) + tail)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("nothing", ""),
        ("trailing bytes", "0000"),
        ("integer not in its shortest form", "1817"),
        ("integer not in its shortest form", "1900ff"),
        ("integer not in its shortest form", "1a0000ffff"),
        ("integer not in its shortest form", "1b00000000ffffffff"),
        ("length not in its shortest form", "780161"),
        ("length not in its shortest form", "580100"),
        ("length not in its shortest form", "980100"),
        ("length not in its shortest form", "b8016100f6"),
        ("tag not in its shortest form", "d9002a582500" + cid_for_raw(b"").hex()),
        ("indefinite bytes", "5f4100ff"),
        ("indefinite text", "7f6100ff"),
        ("indefinite array", "9f00ff"),
        ("indefinite map", "bf616100ff"),
        ("break", "ff"),
        ("reserved", "1c"),
        ("keys out of order: bytes", "a2616200616100"),
        ("keys out of order: length", "a262616100616200"),
        ("key twice", "a2616100616100"),
        ("key that is a number", "a10000"),
        ("key that is bytes", "a1416100"),
        ("key that is a link", "a1d82a582500" + cid_for_raw(b"").hex() + "00"),
        ("text that is not UTF-8", "62c328"),
        ("key that is not UTF-8", "a161ff00"),
        ("surrogate", "63eda080"),
        ("float", "fb3ff8000000000000"),
        ("half float", "f93e00"),
        ("single float", "fa3fc00000"),
        ("undefined", "f7"),
        ("simple value", "e0"),
        ("simple value", "f8ff"),
        ("above 64 bits", "1b8000000000000000"),
        ("below 64 bits", "3b8000000000000000"),
        ("big integer", "c249010000000000000000"),
        ("date", "c0743230313330332d32315432303a30343a30305a"),
        ("shared value", "d81c80"),
        ("self-described", "d9d9f700"),
        ("link to text", "d82a6100"),
        ("link without the zero", "d82a5824" + cid_for_raw(b"").hex()),
        ("link that ends early", "d82a58250001711220"),
        ("length beyond the end", "5b7fffffffffffffff00"),
        ("count beyond the end", "9b00000000ffffffff"),
        ("count beyond the end", "84000000"),
    ],
)
def test_decode_refuses(why: str, data: str) -> None:
    with pytest.raises(WireError):
        decode(bytes.fromhex(data))
    with pytest.raises(twin.NotStrictError):
        twin.decode(bytes.fromhex(data))


def test_depth_is_bounded() -> None:
    deepest = b"\x81" * MAX_DEPTH + b"\x00"
    assert encode(decode(deepest)) == deepest
    for bomb in (b"\x81" + deepest, b"\x81" * 1_000_000 + b"\x00", b"\xa1\x61a" * 1_000_000):
        with pytest.raises(WireError, match="deep"):
            decode(bomb)


def test_number_of_values_is_bounded_before_anything_is_made() -> None:
    most = encode([0] * (MAX_VALUES - 1))
    assert len(decode(most)) == MAX_VALUES - 1  # type: ignore[arg-type]
    for bomb in (encode([0] * MAX_VALUES), b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8, b"\x9a\x00\x4c\x4b\x40"):
        with pytest.raises(WireError, match="much"):
            decode(bomb + b"\x80" * MAX_VALUES)


def test_size_is_bounded() -> None:
    with pytest.raises(WireError, match="longer"):
        decode(encode(bytes(MAX_ITEM_BYTES)))
    largest = bytes(MAX_ITEM_BYTES - 5)
    assert decode(encode(largest)) == largest


def test_floats_are_skipped_where_they_are_allowed() -> None:
    for data in (b"\xfb" + bytes(8), b"\x82\xfb" + bytes(8) + b"\x01", b"\xa1\x61a\xfb" + bytes(8)):
        assert scan(data, floats=True) == len(data)
        with pytest.raises(WireError):
            scan(data)
        with pytest.raises(WireError):
            scan(data[:-2], floats=True)
    for narrow in (b"\xf9\x00\x00", b"\xfa" + bytes(4), b"\xfc", b"\xf7"):
        with pytest.raises(WireError):
            scan(narrow, floats=True)


def test_links_stay_tags_that_hold_a_checked_cid() -> None:
    cid = cid_for_cbor(b"x")
    link = decode(encode(cid_to_link(cid)))
    assert isinstance(link, CBORTag)
    assert cid_from_link(link) == cid


def test_pair_is_two_items_and_nothing_more() -> None:
    header, body = encode({"op": 1, "t": "#x"}), encode({"seq": 1})
    assert decode_pair(header + body) == ({"t": "#x", "op": 1}, {"seq": 1})
    for frame in (header, header + body + b"\0", header + body[:-1], b""):
        with pytest.raises(WireError):
            decode_pair(frame)


def test_prefix_says_where_the_item_ends() -> None:
    data = encode("a") + encode(["b"]) + b"\xff"
    assert decode_prefix(data) == ("a", 2)
    assert decode_prefix(data, 2) == (["b"], 5)
    assert scan(data, 2) == 5
    for offset in (5, len(data), len(data) + 1):
        with pytest.raises(WireError):
            decode_prefix(data, offset)


class TestVectors:
    """Published cases; atproto is stricter than the general format."""

    # Neither floats nor integers beyond 64 bits nor CIDs of other hashes exist in atproto.
    STRICTER = frozenset(
        {
            "Big DASL CID",
            "64-bit floats only",
            "64-bit subnormal number",
            "zero float64",
            "largest CBOR integer, 2^64-1",
            "smallest CBOR integer, -(2^64)",
        }
    )
    TAGS = frozenset({"basic", "dag-cbor", "dasl-cid"})

    def test_dasl(self, shared_data: Path) -> None:
        seen = 0
        for path in sorted((shared_data / "vectors/dasl-testing/fixtures/cbor").glob("*.json")):
            for case in load_json(path):
                if not self.TAGS & set(case["tags"]):
                    continue
                seen += 1
                data = bytes.fromhex(case["data"])
                if case["type"] == "roundtrip" and case["name"] not in self.STRICTER:
                    assert encode(decode(data)) == data, case["name"]
                elif case["type"] != "invalid_out":
                    with pytest.raises(WireError):
                        decode(data)
                assert_same_verdict(data)
        assert seen > 60

    def test_ipld_codec_fixtures(self, shared_data: Path) -> None:
        accepted = refused = 0
        for path in (shared_data / "vectors/ipld-codec-fixtures/fixtures").glob("*/*.dag-cbor"):
            data = path.read_bytes()
            assert_same_verdict(data)
            try:
                decode(data)
            except WireError:
                # Floats, garbage that holds floats, and links of other codecs and hashes.
                assert path.parent.name.startswith(("float-", "garbage-", "cid-", "dagpb_", "int-")), path
                refused += 1
            else:
                accepted += 1
                assert cid_from_text(path.stem) == cid_for_cbor(data)
        assert (accepted, refused) == (69, 59)

    def test_ipld_duplicate_keys(self, shared_data: Path) -> None:
        path = shared_data / "vectors/ipld-codec-fixtures/negative-fixtures/dag-cbor/decode/duplicate-keys.json"
        for case in load_json(path):
            with pytest.raises(WireError):
                decode(bytes.fromhex(case["hex"]))

    def test_interop_data_model(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/data-model/data-model-fixtures.json")
        for case in cases:
            data = base64_bytes(case["cbor_base64"])
            value = decode(data)
            assert json.loads(json.dumps(value, default=_to_json)) == case["json"]
            assert encode(value) == data
            assert cid_for_cbor(data) == cid_from_text(case["cid"])
        assert len(cases) == 3

    @pytest.mark.parametrize("name", [*CAPTURES, "recording"])
    def test_real_frames_have_their_one_encoding(self, shared_data: Path, name: str) -> None:
        frames = recording(shared_data) if name == "recording" else capture(shared_data, name)
        for frame in frames:
            header, body = decode_pair(frame)
            assert encode(header) + encode(body) == frame
        assert len(frames) >= 136


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode().rstrip("=")}
    return {"$link": cid_to_text(cid_from_link(value))}
