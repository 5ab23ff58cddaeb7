from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay_dev.network.tid import TidClock, tid_text

TIMES = st.integers(0, (1 << 53) - 1)
CLOCK_IDS = st.integers(0, 1023)


@given(TIMES, TIMES, CLOCK_IDS)
def test_tids_sort_like_their_times(first: int, second: int, clock_id: int) -> None:
    assert (tid_text(first, clock_id) < tid_text(second, clock_id)) == (first < second)


def test_tid_of_a_recorded_commit() -> None:
    assert tid_text(1_795_419_229_227_081, 19).startswith("3n2xmi")
    assert tid_text(0, 0) == "2" * 13


@given(st.lists(TIMES, min_size=2), CLOCK_IDS)
def test_clock_never_repeats_or_steps_back(times: list[int], clock_id: int) -> None:
    clock = TidClock(clock_id)
    tids = [clock.next(time) for time in times]
    assert tids == sorted(set(tids))
