"""The lines of Jetstream v1, byte for byte; the twin is `tests.oracle.jetstream`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.jetstream import (
    MAX_RECORDS_BYTES,
    Line,
    LineKind,
    RenderError,
    Rendering,
    Skipped,
    SkipReason,
    render,
)
from edgerelay.atproto.car import MAX_BLOCK_BYTES
from edgerelay.atproto.cid import cid_for_cbor, cid_to_text
from edgerelay.atproto.fast_commit import read_common_commit
from edgerelay.atproto.frames import Frame, decode_frame, encode_error, encode_info, renumber
from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.sequencer import Sequencer
from tests.oracle import frames
from tests.oracle import jetstream as twin
from tests.vectors import CAPTURES, capture, expected_lines, recording

DID, REV = frames.did(1), frames.tid(2**60)
SEQ = frames.NOW_US


def car(blocks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a CAR of (CID, block); lengths of two bytes and more are all that is needed."""

    def entry(data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return length + bytes([size]) + data

    return entry(dumps({"roots": [frames.link(b"")], "version": 1}, canonical=True)) + b"".join(
        [entry(cid + block) for cid, block in blocks]
    )


def commit(ops: Sequence[tuple[str, str, bytes | None]], blocks: bytes | None = None, **fields: Any) -> bytes:
    """A commit of (action, path, record), with the CAR that belongs to it."""
    written = [block for _, _, block in ops if block is not None]
    listed = [
        {"action": action, "path": path, "cid": None if block is None else frames.link(block)}
        | ({} if action == "create" else {"prev": frames.link(b"before")})
        for action, path, block in ops
    ]
    held = car([(cid_for_cbor(block), block) for block in written]) if blocks is None else blocks
    _, body = frames.parts(frames.commit(SEQ, DID, REV))
    return frames.frame("#commit", {**body, "ops": listed, "blocks": held, "prevData": frames.link(b""), **fields})


def create(record: Any, path: str = "a.b.c/self") -> tuple[str, str, bytes]:
    return "create", path, record if isinstance(record, bytes) else dumps(record, canonical=True)


def only(raw: bytes) -> Line:
    [line], skipped = render(raw)
    assert skipped == ()
    return line


def texts(rendering: Rendering) -> list[str]:
    return [line.json.decode() for line in rendering.lines]


class TestCommits:
    def test_a_create_has_its_record_and_cid(self) -> None:
        block = dumps({"$type": "a.b.c", "n": 1}, canonical=True)
        line = only(commit([create(block, "a.b.c/k~:.-_")]))
        assert line == Line(SEQ, LineKind.COMMIT, DID, "a.b.c", line.json)
        assert line.json.decode() == (
            f'{{"did":"{DID}","time_us":{SEQ},"kind":"commit","commit":{{"rev":"{REV}","operation":"create",'
            '"collection":"a.b.c","rkey":"k~:.-_","record":{"$type":"a.b.c","n":1},'
            f'"cid":"{cid_to_text(cid_for_cbor(block))}"}}}}'
        )

    def test_an_update_is_a_create_by_another_name(self) -> None:
        record = create({"a": 1})
        updated = only(commit([("update", *record[1:])])).json
        assert updated == only(commit([record])).json.replace(b'"create"', b'"update"')

    def test_a_delete_has_neither_record_nor_cid(self) -> None:
        assert only(commit([("delete", "a.b.c/self", None)])).json.decode() == (
            f'{{"did":"{DID}","time_us":{SEQ},"kind":"commit","commit":{{"rev":"{REV}","operation":"delete",'
            '"collection":"a.b.c","rkey":"self"}}'
        )

    def test_each_operation_has_a_number_of_its_own(self) -> None:
        ops = [create({"n": n}, f"a.b.c{n}/self") for n in range(MAX_OPS - 1)]
        lines, skipped = render(commit([*ops, ("delete", "z.z.z/self", None)]))
        assert [line.time_us for line in lines] == list(range(SEQ, SEQ + MAX_OPS))
        assert [json.loads(line.json)["time_us"] for line in lines] == list(range(SEQ, SEQ + MAX_OPS))
        assert [line.collection for line in lines] == [*(path.split("/")[0] for _, path, _ in ops), "z.z.z"]
        assert skipped == ()

    def test_a_commit_without_operations_has_no_lines(self) -> None:
        assert render(commit([])) == Rendering()

    def test_a_record_that_is_written_twice_has_two_lines(self) -> None:
        lines, _ = render(commit([create({}, "a.b.c/a"), create({}, "a.b.c/b")]))
        assert [line.time_us for line in lines] == [SEQ, SEQ + 1]

    def test_accounts_of_any_method(self) -> None:
        raw = commit([create({})], repo="did:web:under_score.example%3A80")
        assert json.loads(only(raw).json)["did"] == only(raw).did == "did:web:under_score.example%3A80"

    def test_the_common_shape_is_rendered_like_any_other(self) -> None:
        path = f"app.bsky.feed.like/{REV}"
        usual = commit([create({"v": "<"}, path)])
        unusual = commit([create({"v": "<"}, path)], future=1)
        assert read_common_commit(usual) is not None
        assert read_common_commit(unusual) is None
        assert render(usual) == render(unusual)


class TestSkippedOperations:
    OPS = (create({"n": 1}, "a.b.c/a"), create({"n": 2}, "a.b.c/b"), ("delete", "a.b.c/c", None))

    def held(self, *blocks: bytes | None) -> bytes:
        return car([(cid_for_cbor(block), block) for block in blocks if block])

    def test_a_record_that_is_missing_skips_its_operation_and_no_number(self) -> None:
        lines, skipped = render(commit(self.OPS, self.held(self.OPS[1][2])))
        assert skipped == (Skipped("a.b.c/a", SkipReason.NO_BLOCK),)
        assert [line.time_us for line in lines] == [SEQ + 1, SEQ + 2]

    @pytest.mark.parametrize(
        "record",
        [
            {"v": 0.5},
            {"v": {"$link": 1}},
            {"v": {"$bytes": "=", "more": 1}},
            {"$type": ""},
            [],
            b"",
            b"\xa1\x61a\xff",
            b"\x81" * 9_000,
            b"\xa1\x61a" + b"\x9a\x00\x0f\x00\x00" + bytes(0xF0000),
        ],
        ids=repr,
    )
    def test_a_record_without_json_skips_its_operation_and_no_number(self, record: Any) -> None:
        lines, skipped = render(commit([self.OPS[0], create(record, "a.b.c/odd"), self.OPS[2]]))
        assert skipped == (Skipped("a.b.c/odd", SkipReason.NO_JSON),)
        assert [line.time_us for line in lines] == [SEQ, SEQ + 2]

    @pytest.mark.parametrize(
        "blocks", [b"", b"\x00", b"\xff" * 40, car([])[:-1], car([(cid_for_cbor(create({"n": 2})[2]), b"another")])]
    )
    def test_blocks_that_cannot_be_read_skip_all(self, blocks: bytes) -> None:
        lines, skipped = render(commit(self.OPS, blocks))
        assert (lines, {each.reason for each in skipped}, len(skipped)) == ((), {SkipReason.BAD_CAR}, 3)

    def test_a_commit_that_is_too_big_has_no_lines(self) -> None:
        lines, skipped = render(commit(self.OPS, tooBig=True))
        assert (lines, {each.reason for each in skipped}, len(skipped)) == ((), {SkipReason.TOO_BIG}, 3)

    def test_the_largest_record_is_rendered(self) -> None:
        block = dumps({"v": "&" * (MAX_BLOCK_BYTES - 9)}, canonical=True)
        assert len(only(commit([create(block)])).json) > 6 * (MAX_BLOCK_BYTES - 9)

    def test_a_large_record_that_is_repeated_does_not_fill_the_memory(self) -> None:
        block = dumps({"v": "x" * (MAX_BLOCK_BYTES - 9)}, canonical=True)
        ops = [create(block, f"a.b.c/{number:03}") for number in range(MAX_OPS - 1)]
        held = car([(cid_for_cbor(block), block)])
        lines, skipped = render(commit([*ops, ("delete", "a.b.c/self", None)], held))
        assert [line.time_us - SEQ for line in lines] == [*range(15), MAX_OPS - 1]
        assert {each.reason for each in skipped} == {SkipReason.TOO_MUCH}
        assert len(lines) + len(skipped) == MAX_OPS
        assert 0 <= MAX_RECORDS_BYTES - sum(len(line.json) for line in lines) < len(block)

    def test_what_cannot_come_of_repeating_is_never_too_much(self) -> None:
        """Two megabytes of what is escaped the longest."""
        ops = [create({"v": "\b" * 990_000, "n": number}, f"a.b.c/{number}") for number in range(2)]
        assert len(render(commit(ops)).lines) == 2


class TestIdentitiesAndAccounts:
    def test_an_identity_passes_its_handle_on_if_it_has_one(self) -> None:
        time = frames.datetime_text(SEQ)
        start = f'{{"did":"{DID}","time_us":{SEQ},"kind":"identity","identity":{{"did":"{DID}",'
        line = only(frames.identity(SEQ, DID))
        assert line == Line(SEQ, LineKind.IDENTITY, DID, "", line.json)
        assert line.json.decode() == start + f'"seq":{SEQ},"time":"{time}"}}}}'
        with_handle = only(frames.identity(SEQ, DID, handle="a<b\n.example"))
        assert with_handle.json.decode() == start + f'"handle":"a\\u003cb\\n.example","seq":{SEQ},"time":"{time}"}}}}'
        assert b'"handle":"",' in only(frames.identity(SEQ, DID, handle="")).json

    def test_an_account_passes_its_status_on_if_it_has_one(self) -> None:
        time = frames.datetime_text(SEQ)
        start = f'{{"did":"{DID}","time_us":{SEQ},"kind":"account","account":{{"active":'
        line = only(frames.account(SEQ, DID))
        assert line == Line(SEQ, LineKind.ACCOUNT, DID, "", line.json)
        assert line.json.decode() == start + f'true,"did":"{DID}","seq":{SEQ},"time":"{time}"}}}}'
        gone = only(frames.account(SEQ, DID, active=False, status='"deleted"'))
        assert gone.json.decode() == start + (
            f'false,"did":"{DID}","seq":{SEQ},"status":"\\"deleted\\"","time":"{time}"}}}}'
        )

    def test_a_sync_has_no_lines(self) -> None:
        assert render(frames.sync(SEQ, DID, REV)) == Rendering()


def test_what_was_purged_has_no_lines() -> None:
    assert render(b"") == Rendering()


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        frames.commit(SEQ, DID, REV)[:-1],
        frames.identity(SEQ, "did:nobody"),
        frames.frame("#unknown", {"seq": SEQ}),
        encode_info("OutdatedCursor", ""),
        encode_error("FutureCursor", ""),
    ],
    ids=repr,
)
def test_what_is_no_kept_frame_is_an_error_of_ours(raw: bytes) -> None:
    with pytest.raises(RenderError):
        render(raw)


RECORDS = st.dictionaries(
    st.sampled_from(["$type", "text", "z", "aa"]),
    st.text(max_size=9) | st.integers(-9, 9) | st.binary(max_size=5) | st.just(frames.link(b"x")) | st.just(0.5),
    max_size=4,
).map(lambda record: dumps(record, canonical=True))
ACTIONS = st.sampled_from(["create", "update", "delete"])


@given(
    st.lists(st.tuples(ACTIONS, RECORDS, st.sampled_from([0, 0, 0, 1])), max_size=6),
    st.booleans(),
    st.integers(0, 3),
)
def test_the_twin_agrees(writes: list[tuple[str, bytes, int]], too_big: bool, cut: int) -> None:
    ops = [
        (action, f"a.b.c/{index}", None if action == "delete" else record)
        for index, (action, record, _) in enumerate(writes)
    ]
    held = [(cid_for_cbor(record), record) for _, record, is_missing in writes if not is_missing]
    blocks = car(held)
    raw = commit(ops, blocks[: len(blocks) - cut], tooBig=too_big)
    rendering = render(raw)
    expected = twin.lines(raw)
    assert texts(rendering) == [text for text in expected if text]
    assert [each.path for each in rendering.skipped] == [
        op[1] for op, text in zip(ops, expected, strict=True) if not text
    ]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), max_size=20))
def test_numbers_of_lines_increase_and_are_unique(events: list[tuple[int, int]]) -> None:
    """Whatever the clock does: the sequencer leaves room for every operation."""
    sequencer = Sequencer()
    times_us = []
    for operations, drift_us in events:
        seq = sequencer.assign(operations, SEQ + drift_us)
        ops = [create({}, f"a.b.c/{index}") for index in range(operations)]
        raw = commit(ops, seq=seq) if ops else frames.identity(seq, DID)
        times_us += [line.time_us for line in render(raw).lines]
    assert all(before < after for before, after in pairwise(times_us))


class TestRecorded:
    """What production served for 150 frames of the whole network."""

    def test_lines_of_the_whole_network(self, shared_data: Path) -> None:
        recorded = recording(shared_data)
        expected = [_unnumbered(line) for line in expected_lines(shared_data)]
        found = []
        for raw in recorded:
            rendering = render(raw)
            found += [_unnumbered(text) for text in texts(rendering)]
            assert rendering.skipped == ()
        # Jetstream keeps the order of each account's events only.
        assert sorted(found) == sorted(expected)
        assert len(found) == 152

    def test_lines_bear_our_number(self, shared_data: Path) -> None:
        next_us = SEQ
        for raw in recording(shared_data):
            frame = decode_frame(raw)
            assert isinstance(frame, Frame)
            lines, _ = render(renumber(frame, next_us))
            assert [line.time_us for line in lines] == list(range(next_us, next_us + len(lines)))
            for line in lines:
                event = json.loads(line.json)
                assert (event["time_us"], event["did"], event["kind"]) == (line.time_us, line.did, line.kind)
                assert event.get("commit", {"collection": ""})["collection"] == line.collection
                assert event.get(line.kind, {}).get("seq", next_us) == next_us
            next_us += len(lines)

    @pytest.mark.parametrize("name", [*CAPTURES, "recording"])
    def test_the_twin_agrees(self, shared_data: Path, name: str) -> None:
        count = 0
        for raw in recording(shared_data) if name == "recording" else capture(shared_data, name):
            frame = decode_frame(raw)
            if isinstance(frame, Frame) and frame.kind in ("#commit", "#sync", "#identity", "#account"):
                rendering = render(raw)
                assert texts(rendering) == twin.lines(raw)
                count += len(rendering.lines)
        assert count >= 120


def _unnumbered(line: str) -> str:
    """A line without what only its server can know."""
    return re.sub(r'"time_us":\d+', '"time_us":0', line)
