"""CAR files. Spec: atproto repository, "CAR File Serialization"; DASL CAR."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto import dagcbor
from edgerelay.atproto.car import MAX_BLOCK_BYTES, MAX_BLOCKS, MAX_CAR_BYTES, Car, parse_car
from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_for_raw, cid_from_link, cid_from_text, cid_to_link
from edgerelay.errors import WireError
from tests.vectors import CAPTURES, base64_bytes, capture, commits, load_json, recording

Block = tuple[Cid, bytes]


def varint(value: int) -> bytes:
    """Write unsigned LEB128."""
    head, rest = value & 0x7F, value >> 7
    return bytes((head | 0x80,)) + varint(rest) if rest else bytes((head,))


def header(*roots: Cid, **fields: object) -> bytes:
    links: list[dagcbor.Value] = [cid_to_link(root) for root in roots]
    data = dagcbor.encode({"roots": links, "version": 1, **fields})  # type: ignore[dict-item]
    return varint(len(data)) + data


def entry(cid: bytes, block: bytes) -> bytes:
    return varint(len(cid) + len(block)) + cid + block


def car(blocks: Iterable[Block], root: Cid | None = None) -> bytes:
    listed = list(blocks)
    first = root or (listed[0][0] if listed else A[0])
    return header(first) + b"".join(entry(*block) for block in listed)


def block_of(data: bytes) -> Block:
    return cid_for_cbor(data), data


A, B, C = block_of(b"\x01"), block_of(b"\x02"), block_of(b"\x03" * 300)
RAW: Block = (cid_for_raw(b"a blob"), b"a blob")


def decoded_root(data: bytes) -> Cid | None:
    """The first root, if this is a header and its length, in one byte, and nothing more."""
    try:
        fields = dagcbor.decode(data[1:])
        assert isinstance(fields, dict)
        roots = fields["roots"]
        assert isinstance(roots, list)
        root = cid_from_link(roots[0])
    except (AssertionError, LookupError, WireError):
        return None
    version = fields.get("version")
    return root if data[0] == len(data) - 1 and type(version) is int and version == 1 else None


def refuse(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_car(data)


def test_blocks_are_found_by_their_cid() -> None:
    parsed = parse_car(car([B, A, C, RAW], root=A[0]))
    assert parsed == Car(A[0], dict([A, B, C, RAW]))


def test_what_is_parsed_cannot_be_changed() -> None:
    parsed = parse_car(car([A]))
    with pytest.raises(TypeError):
        parsed.blocks[B[0]] = B[1]  # type: ignore[index]


@given(st.lists(st.binary(max_size=400).map(block_of), max_size=12), st.randoms())
def test_order_duplicates_and_strangers_are_tolerated(blocks: list[Block], order: object) -> None:
    assert parse_car(car([*blocks, *blocks, A], root=B[0])).blocks == dict([*blocks, A])


def test_further_roots_are_tolerated() -> None:
    assert parse_car(header(A[0], B[0]) + entry(*A)).root == A[0]


def test_only_the_blocks_that_are_wanted_are_taken_and_hashed() -> None:
    data = car([A, (B[0], b"not what hashes to B"), C])
    refuse(data)
    assert parse_car(data, {A[0], C[0], RAW[0]}) == Car(A[0], dict([A, C]))
    with pytest.raises(WireError):
        parse_car(data, {B[0]})


def test_blocks_that_are_not_wanted_must_still_be_blocks() -> None:
    for broken in (header(A[0]) + entry(b"\x00" * 36, b""), car([block_of(bytes(MAX_BLOCK_BYTES + 1))]), car([A])[:-1]):
        with pytest.raises(WireError):
            parse_car(broken, {B[0]})


def test_empty_block_and_no_block_are_tolerated() -> None:
    assert parse_car(car([block_of(b"")])).blocks == dict([block_of(b"")])
    assert parse_car(header(A[0])).blocks == {}


class TestHeader:
    def test_must_be_there(self) -> None:
        refuse(b"")
        refuse(b"\x00")
        refuse(entry(*A))

    def test_must_be_complete(self) -> None:
        whole = header(A[0])
        for length in range(len(whole)):
            refuse(whole[:length])

    @pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None])
    def test_version_is_1(self, version: object) -> None:
        data = dagcbor.encode({"roots": [cid_to_link(A[0])], "version": version})  # type: ignore[dict-item]
        refuse(varint(len(data)) + data + entry(*A))

    @pytest.mark.parametrize("roots", [[], None, {}, [None], ["root"], [CBORTag(42, b"\0\x01\x70\x12\x20" + A[0][4:])]])
    def test_has_a_root(self, roots: dagcbor.Value) -> None:
        data = dagcbor.encode({"roots": roots, "version": 1})
        refuse(varint(len(data)) + data + entry(*A))
        headers: list[dagcbor.Value] = [{"version": 1}, {"roots": [cid_to_link(A[0])]}, []]
        for fields in headers:
            data = dagcbor.encode(fields)
            refuse(varint(len(data)) + data)

    def test_is_deterministic(self) -> None:
        data = header(A[0])
        assert data[1:3] == b"\xa2\x65"
        refuse(b"\x3b\xb8\x02" + data[2:])

    def test_every_byte_of_the_commonest_is_read_as_the_decoder_reads_it(self) -> None:
        usual = header(A[0])
        assert decoded_root(usual) == A[0]
        for at, byte in product(range(len(usual)), range(256)):
            changed = usual[:at] + bytes((byte,)) + usual[at + 1 :]
            root = decoded_root(changed)
            if root is None:
                refuse(changed)
            else:
                assert parse_car(changed) == Car(root, {})


class TestBlocks:
    def test_must_be_complete(self) -> None:
        whole = car([A, C])
        for length in range(len(header(A[0])) + 1, len(whole)):
            if length != len(car([A])):
                refuse(whole[:length])

    def test_must_hash_to_their_cid(self) -> None:
        refuse(car([(A[0], B[1])]))
        refuse(car([A, (RAW[0], b"another blob")]))

    def test_must_start_with_an_allowed_cid(self) -> None:
        for prefix in (b"\x01\x70\x12\x20", b"\x01\x71\x1e\x20", b"\x01\x71\x12\x1f", b"\x00\x71\x12\x20"):
            refuse(header(A[0]) + entry(prefix + A[0][4:], A[1]))
        for length in range(36):
            refuse(header(A[0]) + entry(A[0][:length], b""))

    @pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\x80"])
    def test_lengths_are_bounded(self, length: bytes) -> None:
        refuse(header(A[0]) + length)
        refuse(header(A[0]) + length + A[0] + A[1])
        refuse(length + header(A[0]))

    def test_lengths_have_their_shortest_form(self) -> None:
        assert varint(37) == b"\x25"
        refuse(header(A[0]) + b"\xa5\x00" + A[0] + A[1])


class TestBounds:
    def test_size_of_a_car(self) -> None:
        half = block_of(bytes(MAX_BLOCK_BYTES - 200))
        other = block_of(b"\x01" + bytes(MAX_BLOCK_BYTES - 200))
        data = car([half, other])
        padding = block_of(bytes(MAX_CAR_BYTES - len(data) - 38))
        largest = data + entry(*padding)
        assert len(largest) == MAX_CAR_BYTES
        assert len(parse_car(largest).blocks) == 3
        refuse(largest + entry(*A))

    def test_size_of_a_block(self) -> None:
        largest = block_of(bytes(MAX_BLOCK_BYTES))
        assert parse_car(car([largest])).blocks == dict([largest])
        refuse(car([block_of(bytes(MAX_BLOCK_BYTES + 1))]))

    def test_number_of_blocks(self) -> None:
        assert len(parse_car(car([A] * MAX_BLOCKS)).blocks) == 1
        refuse(car([A] * (MAX_BLOCKS + 1)))


@given(st.data())
def test_nothing_but_a_wire_error_escapes(draw: st.DataObject) -> None:
    whole = car([A, B, C, RAW])
    at = draw.draw(st.integers(0, len(whole)))
    mutated = whole[:at] + draw.draw(st.binary(max_size=8)) + whole[at + draw.draw(st.integers(0, 8)) :]
    for data in (mutated, draw.draw(st.binary(max_size=100))):
        try:
            parsed = parse_car(data)
        except WireError:
            continue
        assert all(cid[4:] == cid_for_cbor(block)[4:] for cid, block in parsed.blocks.items())


class TestVectors:
    def test_reference_fixture(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto/packages/repo/tests/car-file-fixtures.json")
        for case in cases:
            parsed = parse_car(base64_bytes(case["car"]))
            assert parsed.root == cid_from_text(case["root"])
            expected = {cid_from_text(block["cid"]): base64_bytes(block["bytes"]) for block in case["blocks"]}
            assert parsed.blocks == expected
        assert len(cases) == 1

    @pytest.mark.parametrize("name", [*CAPTURES, "recording"])
    def test_real_commits(self, shared_data: Path, name: str) -> None:
        frames = recording(shared_data) if name == "recording" else capture(shared_data, name)
        for commit in commits(frames):
            parsed = parse_car(commit.blocks)
            assert parsed.root == commit.commit
            assert parsed.root in parsed.blocks
            written = {operation.cid for operation in commit.operations} - {None}
            assert written <= set(parsed.blocks)
