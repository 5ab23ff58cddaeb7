"""Frames: framing and header, strict and lenient, and the one change that a relay makes to a frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from cbor2 import CBORTag, dumps, undefined
from hypothesis import example, given
from hypothesis import strategies as st

from edgerelay.atproto.dagcbor import MAX_DEPTH, Value, encode
from edgerelay.atproto.frames import (
    MAX_FRAME_BYTES,
    MAX_GROWTH_BYTES,
    MAX_SEQ,
    ErrorFrame,
    Frame,
    FrameError,
    decode_frame,
    encode_error,
    encode_frame,
    encode_info,
    renumber,
)
from edgerelay.errors import InvariantError
from tests import vectors
from tests.oracle import frames

DID, REV = frames.did(1), frames.tid(2**60)
COMMIT = frames.commit(5, DID, REV, paths=["app.bsky.feed.post/a"])
# From the specification, and as seen on the wire.
HEADERS = {
    "#commit": "a261746723636f6d6d6974626f7001",
    "#identity": "a2617469236964656e74697479626f7001",
    "#account": "a2617468236163636f756e74626f7001",
    "#sync": "a26174652373796e63626f7001",
    "#info": "a261746523696e666f626f7001",
}
BODY = encode({"seq": 1})
HEADER = bytes.fromhex(HEADERS["#sync"])

seqs = st.integers(1, MAX_SEQ)
links = st.binary(min_size=32, max_size=32).map(lambda digest: CBORTag(42, b"\x00\x01\x71\x12\x20" + digest))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | links
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
kinds = st.sampled_from(sorted(HEADERS)) | st.text()


def code_of(raw: bytes, *, strict: bool = True) -> str:
    with pytest.raises(FrameError) as raised:
        decode_frame(raw, strict=strict)
    return raised.value.code


def decoded(raw: bytes, *, strict: bool = True) -> Frame:
    frame = decode_frame(raw, strict=strict)
    assert isinstance(frame, Frame)
    return frame


class TestDecode:
    @pytest.mark.parametrize("kind", HEADERS)
    def test_every_kind_is_known_by_its_header(self, kind: str) -> None:
        raw = bytes.fromhex(HEADERS[kind]) + BODY
        assert decode_frame(raw) == Frame(kind, {"seq": 1}, raw)

    def test_a_kind_that_nobody_knows_is_still_a_frame(self) -> None:
        raw = frames.frame("#label", {"seq": 1})
        assert decode_frame(raw) == Frame("#label", {"seq": 1}, raw)

    def test_unknown_fields_stay_in_header_and_body(self) -> None:
        raw = frames.frame("#sync", {"seq": 1, "new": [{}]}, extra=None)
        assert decode_frame(raw) == Frame("#sync", {"seq": 1, "new": [{}]}, raw)

    def test_an_error_frame_has_a_name_and_a_message(self) -> None:
        assert decode_frame(frames.error("FutureCursor", "no")) == ErrorFrame("FutureCursor", "no")
        assert decode_frame(encode({"op": -1}) + encode({"error": 5})) == ErrorFrame("", "")

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"", "encoding"),
            (HEADER, "encoding"),
            (HEADER + BODY + b"\x00", "encoding"),
            (HEADER + BODY[:-1], "encoding"),
            (HEADER + encode([1]), "encoding"),
            (HEADER + b"\xa1\x63seq\x18\x01", "encoding"),
            (HEADER + dumps({"seq": 1.5}), "encoding"),
            (HEADER + b"\xa1\x61a\x62\xff\xff", "encoding"),
            (encode("t") + BODY, "header"),
            (encode({"t": "#sync"}) + BODY, "header"),
            (encode({"op": True, "t": "#sync"}) + BODY, "header"),
            (encode({"op": "1", "t": "#sync"}) + BODY, "header"),
            (encode({"op": 1}) + BODY, "header"),
            (encode({"op": 1, "t": None}) + BODY, "header"),
            (encode({"op": 2, "t": "#sync"}) + BODY, "unknown_op"),
            (encode({"op": 0}) + BODY, "unknown_op"),
            (encode({"op": -1}) + encode("error"), "encoding"),
            (dumps({"op": 1, "t": "#sync"}) + BODY, "encoding"),
            (HEADER + b"\x81" * MAX_DEPTH + BODY, "encoding"),
        ],
    )
    def test_what_is_refused_has_a_code(self, raw: bytes, code: str) -> None:
        assert code_of(raw) == code

    def test_the_limit_is_five_million_bytes(self) -> None:
        overhead = len(frames.sync(1, DID, REV, blocks=bytes(2**16))) - 2**16
        raw = frames.sync(1, DID, REV, blocks=bytes(MAX_FRAME_BYTES - overhead))
        size_bytes, is_kept = len(raw), decoded(raw).raw is raw
        assert (size_bytes, is_kept) == (MAX_FRAME_BYTES, True)
        assert code_of(raw + b"\x00") == "oversize"

    @given(kinds, st.dictionaries(st.text(), values, max_size=6))
    def test_what_a_host_encodes_comes_back(self, kind: str, body: dict[str, Value]) -> None:
        raw = frames.frame(kind, body)
        assert decode_frame(raw) == decode_frame(raw, strict=False) == Frame(kind, body, raw)

    @given(st.binary() | st.binary().map(HEADER.__add__), st.booleans())
    @example(encode({"op": 1, "t": "#sync"}) + dumps({"x": undefined}), False)
    @example(dumps({"op": 2**20000}), False)
    @example(HEADER + bytes.fromhex("a16178d81c81d81d00"), False)
    @example(HEADER + b"\x9f" * 5_000, False)
    @example(HEADER + bytes.fromhex("a16178c5821b7fffffffffffffff03"), False)
    @example(HEADER + bytes.fromhex("a1a0a0"), False)
    def test_whatever_is_no_frame_is_a_frame_error(self, raw: bytes, strict: bool) -> None:
        try:
            code = decode_frame(raw, strict=strict).__class__.__name__
        except FrameError as error:
            code = error.code
        assert code in {"Frame", "ErrorFrame", "encoding", "header", "unknown_op"}

    @pytest.mark.parametrize("name", vectors.CAPTURES)
    def test_recorded_frames_decode(self, shared_data: Path, name: str) -> None:
        for raw in vectors.capture(shared_data, name):
            frame = decoded(raw)
            header, body = frames.parts(raw)
            assert (frame.kind, frame.body) == (header["t"], body)


class TestLenient:
    UNORDERED = dumps({"op": 1, "t": "#sync"}) + b"\xbf\x63seq\x18\x05\x61a\x9f\xff\xff"

    def test_a_frame_in_another_encoding_is_encoded_anew(self) -> None:
        assert code_of(self.UNORDERED) == "encoding"
        frame = decoded(self.UNORDERED, strict=False)
        assert frame == Frame("#sync", {"seq": 5, "a": []}, frames.frame("#sync", {"seq": 5, "a": []}))

    def test_a_deterministic_frame_keeps_its_bytes(self) -> None:
        assert decoded(COMMIT, strict=False).raw is COMMIT

    @pytest.mark.parametrize(
        "body",
        [
            dumps({"seq": 1, "x": 1.5}),
            dumps({"seq": 1, "x": undefined}),
            dumps({"seq": 1, "x": CBORTag(42, b"\x00")}),
            dumps({"seq": 1, 2: 3}),
            dumps({"seq": 1, "x": 2**64}),
            bytes.fromhex("a16178d81c81d81d00"),
            BODY + b"\x00",
        ],
        ids=["float", "undefined", "link", "key", "bignum", "cycle", "trailing"],
    )
    def test_what_the_data_model_does_not_have_stays_refused(self, body: bytes) -> None:
        assert code_of(HEADER + body, strict=False) == "encoding"

    def test_a_wrong_header_is_no_matter_of_encoding(self) -> None:
        assert code_of(encode({"op": 7}) + BODY, strict=False) == "unknown_op"


class TestEncode:
    def test_our_frames_are_what_a_host_would_write(self) -> None:
        body: dict[str, Value] = {"seq": 1, "did": DID}
        assert encode_frame("#identity", body) == frames.frame("#identity", body)
        assert encode_info("OutdatedCursor", "old") == frames.frame(
            "#info", {"name": "OutdatedCursor", "message": "old"}
        )

    def test_an_error_frame(self) -> None:
        assert encode_error("FutureCursor", "no") == frames.error("FutureCursor", "no")
        assert encode_error("E", "").startswith(bytes.fromhex("a1626f7020"))


class TestRenumber:
    @given(seqs, seqs, st.sampled_from(sorted(HEADERS)), st.dictionaries(st.text(max_size=4), values, max_size=4))
    def test_only_the_number_changes(self, old: int, new: int, kind: str, body: dict[str, Value]) -> None:
        body["seq"] = old
        raw = frames.frame(kind, body)
        changed = renumber(decoded(raw), new)
        assert decoded(changed).body == {**body, "seq": new}
        at = len(bytes.fromhex(HEADERS[kind])) + _offset_of_seq(body)
        assert raw[:at] == changed[:at]
        assert raw[at + len(dumps(old)) :] == changed[at + len(dumps(new)) :]
        assert len(changed) <= len(raw) + MAX_GROWTH_BYTES

    @given(seqs, seqs, st.sampled_from(["a", "seo", "ser", "zzzzz"]), st.binary(max_size=3), st.booleans())
    def test_bytes_that_look_like_the_number_elsewhere_are_kept(
        self, old: int, new: int, key: str, around: bytes, in_header: bool
    ) -> None:
        field = dumps("seq") + dumps(old)
        body = {"seq": old, key: [around + field + around, field[1:].decode("latin-1"), {"seq": old}]}
        extra = {"seq": old} if in_header else {}
        changed = decoded(renumber(decoded(frames.frame("#sync", body, **extra)), new))
        assert changed.body == {**body, "seq": new}
        assert changed.kind == "#sync"

    @given(seqs, seqs, st.binary(max_size=20), st.sampled_from([b"", 7, None]))
    def test_what_blocks_hold_does_not_matter(self, old: int, new: int, around: bytes, other: Value) -> None:
        for blocks in (around + dumps("seq") + dumps(old) + around, other):
            body = {"seq": old, "blocks": blocks, "a": around}
            assert decoded(renumber(decoded(frames.frame("#sync", body)), new)).body == {**body, "seq": new}

    @pytest.mark.parametrize("text", [b"cseq\x1a", b"\x63seq\x1a\x63seq\x1a"])
    def test_a_number_that_looks_like_its_own_key_is_found(self, text: bytes) -> None:
        """0x63736571 is `cseq` in ASCII: the field overlaps with what may stand before it."""
        body = {"aaa": text, "seq": 0x63736571, "z": text}
        assert decoded(renumber(decoded(frames.frame("#sync", body)), 7)).body == {**body, "seq": 7}

    def test_a_lenient_frame_is_renumbered_as_if_it_had_been_strict(self) -> None:
        """The number stands there in a long form, and its short form within a value."""
        raw = HEADER + b"\xa2\x63seq\x1b" + (5).to_bytes(8, "big") + dumps("blocks") + dumps(dumps("seq") + dumps(5))
        changed = renumber(decoded(raw, strict=False), MAX_SEQ)
        assert decoded(changed).body == {"seq": MAX_SEQ, "blocks": dumps("seq") + dumps(5)}

    @pytest.mark.parametrize("seq", [0, -1, MAX_SEQ + 1])
    def test_a_number_out_of_range_is_ours_to_blame(self, seq: int) -> None:
        with pytest.raises(InvariantError, match="out of range"):
            renumber(decoded(COMMIT), seq)

    @pytest.mark.parametrize("name", vectors.CAPTURES)
    def test_recorded_frames_keep_every_other_field(self, shared_data: Path, name: str) -> None:
        for raw in vectors.capture(shared_data, name):
            header, body = frames.parts(raw)
            assert frames.parts(renumber(decoded(raw), MAX_SEQ)) == (header, {**body, "seq": MAX_SEQ})


def _offset_of_seq(body: dict[str, Value]) -> int:
    """Where the value of `seq` stands in the body: behind the keys that are sorted before it, and their values."""
    before = [key for key in body if (len(key.encode()), key.encode()) < (3, b"seq")]
    return (
        len(dumps(dict.fromkeys(body)))
        - sum(len(dumps(key)) + 1 for key in body)
        + sum(len(dumps(key)) + len(dumps(body[key], canonical=True)) for key in before)
        + len(dumps("seq"))
    )
