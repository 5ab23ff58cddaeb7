"""The ring: one unbroken run of batches, bounded in bytes, that answers only what it is sure of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.relay.ring import Ring


def batch(prev_seq: int, *seqs: int, frame: bytes = b"") -> Batch:
    builder = BatchBuilder(prev_seq)
    for seq in seqs:
        builder.add(seq, "#sync", "d", (), frame)
    return builder.build([], b"")


def ring(*batches: Batch, limit_bytes: int = 10**6) -> Ring[Batch]:
    made: Ring[Batch] = Ring(limit_bytes)
    for each in batches:
        made.append(each)
    return made


FIRST, SECOND, THIRD = batch(10, 15, 20), batch(20, 30), batch(30, 31, 40)


class TestFind:
    def test_an_empty_ring_knows_nothing(self) -> None:
        assert ring().find(1) is None

    def test_the_batch_that_holds_the_cursor_or_the_first_event_behind_it(self) -> None:
        made = ring(FIRST, SECOND, THIRD)
        expected = {11: FIRST, 15: FIRST, 20: FIRST, 21: SECOND, 30: SECOND, 31: THIRD, 40: THIRD}
        assert {cursor: made.find(cursor) for cursor in expected} == expected

    def test_before_the_ring_an_older_batch_could_hold_it(self) -> None:
        made = ring(FIRST, SECOND)
        assert made.find(10) is None
        assert made.find(0) is None

    def test_beyond_the_ring_there_is_nothing_yet(self) -> None:
        assert ring(FIRST, SECOND).find(31) is None


class TestBounds:
    def test_the_oldest_are_forgotten_beyond_the_limit(self) -> None:
        made = ring(FIRST, SECOND, THIRD, limit_bytes=SECOND.size_bytes + THIRD.size_bytes)
        assert (len(made), made.find(20), made.find(21)) == (2, None, SECOND)
        assert made.size_bytes == SECOND.size_bytes + THIRD.size_bytes

    def test_one_batch_is_always_kept(self) -> None:
        large = batch(20, 30, frame=bytes(5_000))
        made = ring(FIRST, large, limit_bytes=100)
        assert (len(made), made.find(21)) == (1, large)

    def test_a_batch_that_does_not_follow_starts_anew(self) -> None:
        made = ring(FIRST, THIRD)
        assert (len(made), made.find(20), made.find(31)) == (1, None, THIRD)
        assert made.size_bytes == THIRD.size_bytes

    def test_clear(self) -> None:
        made = ring(FIRST)
        made.clear()
        assert (len(made), made.size_bytes, made.find(15)) == (0, 0, None)


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 5), min_size=1, max_size=4)), max_size=12),
    st.integers(1, 400),
    st.integers(0, 200),
)
def test_what_is_found_is_what_a_list_of_all_batches_would_find(
    steps: list[tuple[bool, list[int]]], limit_bytes: int, cursor: int
) -> None:
    made, run, seq = ring(limit_bytes=limit_bytes), list[Batch](), 0
    for is_gap, distances in steps:
        prev_seq = seq = seq + 3 if is_gap else seq
        seqs = [seq := seq + distance for distance in distances]
        newest = batch(prev_seq, *seqs)
        made.append(newest)
        run = [*run, newest] if run and run[-1].head.last_seq == prev_seq else [newest]
    kept = run[len(run) - len(made) :]
    assert made.size_bytes == sum(each.size_bytes for each in kept)
    assert made.size_bytes <= limit_bytes or len(made) == 1
    holders = [each for each in kept if cursor <= each.head.last_seq]
    is_sure = bool(kept) and cursor > kept[0].head.prev_seq
    assert made.find(cursor) == (holders[0] if is_sure and holders else None)
    assert list(made.since(cursor)) == (holders if is_sure else [])
