"""Meters: the rate of the last span, and none of a clock that was set."""

from __future__ import annotations

from edgerelay.relay.meter import SPAN_US, Meter

NOW_US = 1_795_000_000_000_000


def test_the_rate_is_that_of_the_last_span() -> None:
    meter = Meter()
    assert meter.per_s(5, NOW_US) == 0
    assert meter.per_s(900, NOW_US + SPAN_US - 1) == 0, "the span is not over"
    assert meter.per_s(1_005, NOW_US + SPAN_US) == 500
    assert meter.per_s(9_000, NOW_US + SPAN_US + 1) == 500
    assert meter.per_s(1_005, NOW_US + 2 * SPAN_US) == 0, "nothing happened since"


def test_a_long_silence_evens_out() -> None:
    meter = Meter()
    meter.per_s(0, NOW_US)
    assert meter.per_s(1_000, NOW_US + 100_000_000) == 10


def test_a_clock_that_was_set_back_begins_anew() -> None:
    meter = Meter()
    meter.per_s(100, NOW_US)
    assert meter.per_s(200, NOW_US - 1) == 0
    assert meter.per_s(400, NOW_US - 1 + SPAN_US) == 100
