"""The sequencer: time where it can be, the next number where it cannot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.errors import InvariantError
from edgerelay.relay.sequencer import MIN_TIME_SEQ, Sequencer

NOW_US = 1_795_000_000_000_000


class TestAssign:
    def test_a_number_is_the_time(self) -> None:
        assert Sequencer().assign(1, NOW_US) == NOW_US

    def test_a_clock_that_stands_still_counts_on_by_the_width(self) -> None:
        sequencer = Sequencer()
        assert [sequencer.assign(operations, NOW_US) - NOW_US for operations in (3, 0, 1, 200, 1)] == [0, 3, 4, 5, 205]

    def test_a_clock_that_steps_back_does_not_matter(self) -> None:
        sequencer = Sequencer(NOW_US, 5)
        assert sequencer.assign(1, NOW_US - 1_200_000_000) == NOW_US + 5
        assert sequencer.assign(1, NOW_US + 100) == NOW_US + 100

    def test_a_restart_goes_on_behind_the_width_of_the_last_number(self) -> None:
        before = Sequencer()
        before.assign(7, NOW_US)
        assert Sequencer(before.last_seq, before.last_width).next_free == before.next_free == NOW_US + 7

    def test_a_clock_that_cannot_be_now_is_ours_to_blame(self) -> None:
        with pytest.raises(InvariantError, match="cannot be now"):
            Sequencer().assign(1, MIN_TIME_SEQ - 1)
        assert Sequencer().assign(1, MIN_TIME_SEQ) == MIN_TIME_SEQ

    @given(st.lists(st.tuples(st.integers(0, 200), st.integers(-(10**9), 10**9)), min_size=2))
    def test_every_operation_has_a_number_of_its_own(self, some: list[tuple[int, int]]) -> None:
        sequencer = Sequencer()
        taken = [(sequencer.assign(operations, NOW_US + step), max(1, operations)) for operations, step in some]
        assert all(seq + width <= following for (seq, width), (following, _) in pairwise(taken))
        assert all(seq >= NOW_US + step for (seq, _), (_, step) in zip(taken, some, strict=True))


@pytest.mark.parametrize(("ahead_us", "behind_us"), [(-5, 0), (0, 0), (7, 7)])
def test_how_far_the_clock_lies_behind(ahead_us: int, behind_us: int) -> None:
    sequencer = Sequencer()
    sequencer.assign(9, NOW_US + ahead_us)
    assert sequencer.clock_behind_us(NOW_US) == behind_us
