from __future__ import annotations

from time import time

from edgerelay_dev.network.clock import SteppingClock, datetime_text, system_clock


def test_system_clock_counts_microseconds_since_1970() -> None:
    assert abs(system_clock() / 1e6 - time()) < 5


def test_stepping_clock_moves_only_when_it_is_read() -> None:
    clock = SteppingClock(1_000, step_us=7)
    assert [clock(), clock()] == [1_007, 1_014]


def test_datetime_keeps_microseconds_even_if_they_are_zero() -> None:
    assert datetime_text(1_795_417_429_000_001) == "2026-11-23T07:03:49.000001Z"
    assert datetime_text(0) == "1970-01-01T00:00:00.000000Z"
