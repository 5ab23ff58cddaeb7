"""Batches: what is put in comes out, and whatever is damaged says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgerelay.archive.batch import (
    HEAD_VERSION,
    Batch,
    BatchBuilder,
    BatchError,
    PositionFields,
    decode_head,
    decode_message,
    join_batches,
)
from edgerelay.errors import InvariantError

KINDS = ("#commit", "#sync", "#identity", "#account")


class Sequenced(NamedTuple):
    """One event, as it goes into a batch."""

    distance: int
    kind: str
    did: str
    paths: tuple[str, ...]
    frame: bytes


numbers = st.integers(0, 2**53)
ranges = st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple)
positions: st.SearchStrategy[PositionFields] = st.tuples(numbers, numbers, numbers, ranges, numbers, numbers)
events = st.builds(
    Sequenced,
    st.integers(1, 2**40),
    st.sampled_from(KINDS),
    st.text(max_size=20),
    st.lists(st.text(max_size=9), max_size=3).map(tuple),
    st.binary(max_size=40),
)


def build(
    prev_seq: int,
    some: Sequence[Sequenced],
    positions: Sequence[PositionFields] = (),
    accounts: bytes = b"",
) -> Batch:
    builder, seq = BatchBuilder(prev_seq), prev_seq
    for event in some:
        seq += event.distance
        builder.add(seq, event.kind, event.did, event.paths, event.frame)
    return builder.build(positions, accounts)


THREE = build(
    10,
    [
        Sequenced(5, "#commit", "did:plc:a", ("a.b.c/1", "a.b.c/2"), b"first"),
        Sequenced(1, "#account", "did:plc:b", (), b""),
        Sequenced(9, "#commit", "did:plc:a", ("a.b.c/3", "a.b.c/4", "a.b.c/5"), b"third"),
    ],
    [(1, 0, 7, ((9, 9),), 5, 0)],
    b"record",
)


class TestBuild:
    def test_golden_bytes(self) -> None:
        batch = build(1, [Sequenced(2, "#sync", "d", (), b"frame")], [(1, 2, 3, ((4, 5),), 6, 7)], b"r")
        head = "8a" + "01" + "01" + "03" + "8100" + "4101" + "8105" + "816164" + "8180"
        head += "81" + "86" + "010203" + "81820405" + "0607" + "4172"
        assert batch.head_raw.hex() == head
        assert batch.message() == len(batch.head_raw).to_bytes(4, "big") + bytes.fromhex(head) + b"frame"

    @given(
        st.integers(0, 2**52), st.lists(events, min_size=1, max_size=6), st.lists(positions, max_size=2), st.binary()
    )
    def test_a_batch_comes_back(
        self, prev_seq: int, some: list[Sequenced], rows: list[PositionFields], accounts: bytes
    ) -> None:
        batch = build(prev_seq, some, rows, accounts)
        assert decode_message(batch.message()) == batch
        assert decode_head(batch.head_raw) == batch.head
        assert (batch.head.prev_seq, batch.head.accounts, batch.head.positions) == (prev_seq, accounts, tuple(rows))
        assert [
            after - before for before, after in zip((prev_seq, *batch.head.seqs), batch.head.seqs, strict=False)
        ] == [each.distance for each in some]
        assert list(zip(batch.head.kinds, batch.head.dids, batch.head.paths, strict=True)) == [
            each[1:4] for each in some
        ]
        assert [frame for _, frame in batch.split()] == [each.frame for each in some]

    def test_numbers_must_increase(self) -> None:
        builder = BatchBuilder(10)
        for seq in (10, 9):
            with pytest.raises(InvariantError, match=f"sequence number {seq} does not increase"):
                builder.add(seq, "#sync", "d", (), b"")
        builder.add(11, "#sync", "d", (), b"")
        with pytest.raises(InvariantError, match="sequence number 11 does not increase"):
            builder.add(11, "#sync", "d", (), b"")
        assert len(builder) == 1

    def test_a_batch_without_events_is_refused(self) -> None:
        with pytest.raises(InvariantError, match="without events"):
            BatchBuilder(0).build([], b"")

    def test_the_builder_counts_what_it_holds(self) -> None:
        builder = BatchBuilder(0)
        assert (len(builder), builder.frames_bytes) == (0, 0)
        builder.add(1, "#sync", "d", (), b"12345")
        builder.add(2, "#sync", "d", (), b"123")
        assert (len(builder), builder.frames_bytes) == (2, 8)


class TestJoin:
    @given(st.integers(0, 2**52), st.lists(st.lists(events, min_size=1, max_size=4), min_size=1, max_size=4))
    def test_it_has_the_events_of_all(self, prev_seq: int, parts: list[list[Sequenced]]) -> None:
        batches = list[Batch]()
        for part in parts:
            before = batches[-1].head.last_seq if batches else prev_seq
            batches.append(build(before, part, [(1, 0, 7, (), 5, 0)], b"record"))
        assert join_batches(batches) == build(prev_seq, [event for part in parts for event in part])

    def test_those_that_do_not_follow_are_not_joined(self) -> None:
        with pytest.raises(InvariantError):
            join_batches([THREE, THREE])


class TestRead:
    def test_what_a_head_tells(self) -> None:
        head = THREE.head
        assert (head.prev_seq, head.first_seq, head.last_seq, head.last_width) == (10, 15, 25, 3)
        assert head.frame_starts() == [0, 5, 5, 10]
        assert [head.index_of(seq) for seq in (0, 15, 16, 17, 25, 26)] == [0, 0, 1, 2, 2, 3]
        assert THREE.size_bytes == len(THREE.message()) - 4
        assert list(THREE.split()) == [(15, b"first"), (16, b""), (25, b"third")]

    def test_an_event_without_operations_is_one_wide(self) -> None:
        assert build(0, [Sequenced(1, "#commit", "d", (), b"")]).head.last_width == 1


def changed(index: int, value: object) -> bytes:
    """The head of `THREE` with another field."""
    fields = cbor2.loads(THREE.head_raw)
    fields[index] = value
    return cbor2.dumps(fields)


class TestDamage:
    def test_another_version_is_refused_by_name(self) -> None:
        with pytest.raises(BatchError, match=f"a batch of version 2; this code knows {HEAD_VERSION}"):
            decode_head(changed(0, 2))

    @pytest.mark.parametrize(
        ("index", "value"),
        [
            (1, 15),
            (1, -1),
            (1, "10"),
            (1, 10.0),
            (2, 10),
            (2, None),
            (3, [0, 1]),
            (3, [0, 1, 0]),
            (3, [0, -1, 30]),
            (3, []),
            (3, "abc"),
            (4, b"\x00\x00"),
            (4, b"\x00\x00\x09"),
            (4, [0, 0, -1]),
            (5, [5, 0]),
            (5, [5, 0, "5"]),
            (5, [5, False, 5]),
            (5, [6, -1, 5]),
            (6, ["d"]),
            (6, [1, 2, 3]),
            (6, "abc"),
            (7, [[], []]),
            (7, [[], [], 5]),
            (7, [[], [], [5]]),
            (7, ["ab", [], []]),
            (8, 5),
            (8, [[1, 0, 7, [[9]], 5, 0]]),
            (8, [[1, 0, 7, [], 5]]),
            (8, [[1, 0, 7, [], 5, 0, 0]]),
            (8, [[1, 0, "7", [], 5, 0]]),
            (9, "record"),
        ],
    )
    def test_a_field_that_nobody_wrote_is_refused(self, index: int, value: object) -> None:
        with pytest.raises(BatchError, match="damaged"):
            decode_head(changed(index, value))

    @pytest.mark.parametrize(
        "raw", [b"", b"\x80", b"\x81\x01", b"\x01", b"\x61\xff", b"\xa0", b"\xff", THREE.head_raw[:-1]]
    )
    def test_bytes_that_are_no_head_are_refused(self, raw: bytes) -> None:
        with pytest.raises(BatchError, match="damaged"):
            decode_head(raw)

    def test_frames_must_have_the_lengths_that_the_head_says(self) -> None:
        for message in (THREE.message()[:-1], THREE.message() + b"\x00"):
            with pytest.raises(BatchError, match="lengths"):
                decode_message(message)

    @pytest.mark.parametrize("end", [0, 3, 4, 20])
    def test_a_truncated_message_is_refused(self, end: int) -> None:
        with pytest.raises(BatchError):
            decode_message(THREE.message()[:end])

    @given(st.data())
    def test_mutated_bytes_are_a_batch_or_a_batch_error(self, data: st.DataObject) -> None:
        message = bytearray(THREE.message())
        for _ in range(data.draw(st.integers(1, 3))):
            message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
        _read_everything(bytes(message))

    @given(st.binary())
    @example(b"\x00\x00\x00\x05\xd8\x1c\x81\xd8\x1d")
    def test_any_bytes_are_a_batch_or_a_batch_error(self, message: bytes) -> None:
        _read_everything(message)

    @given(st.integers(0, 9), st.data())
    def test_any_field_is_read_or_a_batch_error(self, index: int, data: st.DataObject) -> None:
        value = data.draw(st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
        head_raw = changed(index, value)
        _read_everything(len(head_raw).to_bytes(4, "big") + head_raw + THREE.frames)


def _read_everything(message: bytes) -> None:
    """What was decoded must be usable: no other error may come later."""
    try:
        batch = decode_message(message)
    except BatchError:
        return
    head = batch.head
    assert head.prev_seq < head.first_seq <= head.last_seq
    assert b"".join(frame for _, frame in batch.split()) == batch.frames
    assert head.frame_starts()[-1] == len(batch.frames)
    assert head.last_width >= 1
    assert BatchBuilder(head.prev_seq).prev_seq == head.prev_seq
    rebuilt = BatchBuilder(head.prev_seq)
    for (seq, frame), kind, did, paths in zip(batch.split(), head.kinds, head.dids, head.paths, strict=True):
        rebuilt.add(seq, kind, did, paths, frame)
    assert rebuilt.build(head.positions, head.accounts).head == head
