"""Positions: beside a twin that remembers everything, and the cases by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.position import Position, PositionRow, Seen
from tests.oracle.position import SlowPosition

Ranges = tuple[tuple[int, int], ...]


def position(low: int = 0, done: Ranges = (), *, epoch: int = 0, newest: int = 0, replay: int = 0) -> Position:
    return Position(PositionRow(3, epoch, low, done, newest, replay))


def kept(position: Position) -> int:
    """How many things it remembers."""
    return sum(len(value) for value in vars(position).values() if isinstance(value, list | dict))


def stored(position: Position) -> tuple[int, Ranges]:
    row = position.row()
    return row.low, row.done


class TestOrder:
    def test_what_finishes_in_order_leaves_nothing_behind(self) -> None:
        made = position()
        for seq in (1, 2, 5):
            made.receive(seq)
            made.finish(seq)
        assert stored(made) == (5, ())

    def test_low_stays_below_what_is_not_finished(self) -> None:
        made = position()
        for seq in (1, 2, 3, 7, 8):
            made.receive(seq)
        for seq in (2, 3, 8):
            made.finish(seq)
        assert stored(made) == (0, ((2, 3), (8, 8)))
        made.finish(1)
        assert stored(made) == (3, ((8, 8),))
        made.finish(7)
        assert stored(made) == (8, ())

    def test_one_that_comes_late_is_not_finished_by_those_around_it(self) -> None:
        """A host that skipped a number may send it on the next connection, which begins at `low` again."""
        made = position()
        for seq in (1, 5):
            made.receive(seq)
        made.finish(5)
        made.receive(3)
        assert {seq: made.seen(seq) for seq in (3, 4, 5)} == {3: Seen.PENDING, 4: Seen.NEW, 5: Seen.DONE}
        made.finish(1)
        assert stored(made) == (1, ((5, 5),))
        made.finish(3)
        assert stored(made) == (5, ())

    def test_however_many_finish_behind_one_that_waits_it_is_one_run(self) -> None:
        made = position()
        made.receive(1)
        for seq in range(2, 5_000, 3):
            made.receive(seq)
            made.finish(seq)
        assert stored(made) == (0, ((2, 4_997),))

    def test_what_is_passed_over_needs_nothing(self) -> None:
        made = position(10)
        made.pass_over(12)
        assert stored(made) == (12, ())
        made.receive(14)
        made.pass_over(15)
        made.pass_over(14)
        made.pass_over(11)
        assert (stored(made), made.seen(14)) == ((12, ((15, 15),)), Seen.PENDING)

    def test_what_was_never_received_cannot_finish(self) -> None:
        made = position(10)
        made.receive(20)
        for seq in (5, 15, 25):
            made.finish(seq)
        assert stored(made) == (10, ())


class TestSeen:
    def test_every_answer(self) -> None:
        made = position(10, ((15, 16), (19, 19)))
        made.receive(12)
        made.receive(13)
        made.finish(13)
        assert {seq: made.seen(seq) for seq in (1, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20)} == {
            1: Seen.BELOW,
            10: Seen.BELOW,
            11: Seen.NEW,
            12: Seen.PENDING,
            13: Seen.DONE,
            14: Seen.NEW,
            15: Seen.DONE,
            16: Seen.DONE,
            17: Seen.NEW,
            19: Seen.DONE,
            20: Seen.NEW,
        }


class TestRestart:
    def test_a_row_comes_back(self) -> None:
        row = PositionRow(3, 2, 10, ((12, 15), (20, 20)), 77, 66)
        assert Position(row).row() == row

    def test_what_was_finished_before_a_restart_is_passed_over(self) -> None:
        """Ranges are used up as the host sends the same events again."""
        made = position(10, ((12, 15), (20, 20)))
        made.receive(11)
        for seq in (12, 14, 15):
            assert made.seen(seq) is Seen.DONE
            made.pass_over(seq)
        made.receive(16)
        assert stored(made) == (10, ((12, 15), (20, 20)))
        made.finish(11)
        made.finish(16)
        assert stored(made) == (16, ((20, 20),))
        made.pass_over(20)
        assert stored(made) == (20, ())

    def test_a_host_that_starts_anew_is_read_from_its_beginning(self) -> None:
        made = position(10, ((12, 15),), newest=77)
        made.receive(11)
        made.receive(12)
        made.finish(12)
        made.restart()
        assert made.row() == PositionRow(3, 1, 0, (), 77, 77)
        made.receive(11)
        assert (made.seen(11), made.seen(12), stored(made)) == (Seen.PENDING, Seen.NEW, (0, ()))

    def test_a_replay_ends_with_the_first_later_time(self) -> None:
        made = position(newest=77)
        made.restart()
        made.heard_of(77)
        assert made.row().replay_until_us == 77
        made.heard_of(78)
        assert made.row().replay_until_us == 0

    def test_only_what_is_finished_is_told_by_its_time_after_a_restart(self) -> None:
        """The time of an event that waits must not count: read again, it would be taken for a repeat, and be lost."""
        made = position(10, newest=77)
        made.receive(11)
        made.receive(12)
        made.heard_of(90)
        made.finish(12)
        assert (made.newest_time_us, made.row().newest_time_us) == (90, 77)
        made.receive(13)
        made.finish(11)
        assert (made.low, made.row().newest_time_us) == (12, 77)
        made.restart()
        assert made.replay_until_us == 77
        made.receive(1)
        made.finish(1)
        made.heard_of(80)
        assert (made.newest_time_us, made.row().newest_time_us) == (90, 90)


class TestStart:
    def test_a_host_that_was_never_read_is_untouched(self) -> None:
        assert position().untouched
        assert not position(1).untouched
        assert not position(epoch=1).untouched
        assert not position(0, ((2, 3),)).untouched

    def test_the_first_event_from_the_live_edge_says_where_the_host_begins(self) -> None:
        made = position()
        made.start_before(100)
        assert (stored(made), made.untouched) == ((99, ()), False)
        made.start_before(200)
        assert stored(made) == (99, ())

    def test_an_event_with_the_number_one_is_a_beginning_too(self) -> None:
        made = position()
        made.start_before(1)
        made.receive(1)
        assert not made.untouched


@given(st.data(), st.integers(0, 3), st.sets(st.integers(5, 20), max_size=6))
def test_it_is_its_twin(data: st.DataObject, low: int, done_before: set[int]) -> None:
    """Numbers come in order or between others; what is received finishes in any order, or never."""
    ranges = tuple(
        (seq, seq + data.draw(st.integers(0, 1))) for seq in sorted(done_before) if seq - 1 not in done_before
    )
    made, twin = position(low, ranges), SlowPosition(low, ranges)
    for _ in range(data.draw(st.integers(0, 50))):
        seq = data.draw(st.integers(1, 25) | st.just(twin.newest + 1) | st.just(twin.newest + 2))
        action = data.draw(st.sampled_from(["receive", "receive", "finish", "pass_over", "reopen"]))
        if action == "receive" and made.seen(seq) is Seen.NEW:
            made.receive(seq)
            twin.finished[seq] = False
        elif action == "pass_over" and made.seen(seq) in (Seen.NEW, Seen.DONE):
            made.pass_over(seq)
            twin.finished[seq] = True
        elif action == "finish" and False in twin.finished.values():
            pending = data.draw(st.sampled_from([each for each, finished in twin.finished.items() if not finished]))
            made.finish(pending)
            twin.finished[pending] = True
        elif action == "reopen":
            made, twin = Position(made.row()), SlowPosition(twin.low, twin.done)
        assert stored(made) == (twin.low, twin.done)
        near = range(1, twin.newest + 4)
        assert [made.seen(each) for each in near] == [twin.seen(each) for each in near]
        waiting = sum(not finished for finished in twin.finished.values())
        assert kept(made) <= 2 * waiting + len(ranges) + len(twin.stored)


@pytest.mark.parametrize("waiting", [1, 50])
def test_memory_is_bounded_by_what_waits(waiting: int) -> None:
    made = position()
    for seq in range(1, 2_000):
        made.receive(seq)
        if seq % (2_000 // waiting) != 1:
            made.finish(seq)
    assert len(made.row().done) <= waiting
    assert kept(made) <= 2 * waiting
