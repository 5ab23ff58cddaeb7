"""Sockets that do not tell what waits in them: it is what was sent less what a pace has taken away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.pace import BlindPace

NOW_US, S_US = 1_795_000_000_000_000, 1_000_000


def test_what_was_sent_leaves_at_the_pace() -> None:
    pace = BlindPace(1_000)
    assert pace.waiting_bytes(NOW_US) == 0
    pace.sent(2_500, NOW_US)
    waiting = [pace.waiting_bytes(NOW_US + seconds * S_US) for seconds in range(5)]
    assert waiting == [2_500, 1_500, 500, 0, 0]


def test_a_clock_that_was_set_back_says_nothing() -> None:
    pace = BlindPace(1_000)
    pace.sent(10_000, NOW_US)
    assert pace.waiting_bytes(NOW_US - 1) == 0
    pace.sent(2_000, NOW_US - 60 * S_US)
    assert pace.waiting_bytes(NOW_US - 59 * S_US) == 1_000


@given(st.lists(st.tuples(st.integers(0, 5 * S_US), st.integers(0, 1_000_000)), max_size=20), st.integers(1, 10**6))
def test_it_is_a_queue_that_is_emptied_at_the_pace(steps: list[tuple[int, int]], bytes_per_s: int) -> None:
    pace, waiting, now_us = BlindPace(bytes_per_s), 0.0, NOW_US
    for wait_us, size_bytes in steps:
        now_us += wait_us
        waiting = max(0.0, waiting - wait_us * bytes_per_s / S_US)
        assert abs(pace.waiting_bytes(now_us) - waiting) <= len(steps)
        pace.sent(size_bytes, now_us)
        waiting += size_bytes
