"""Cursors: what each kind of number asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.cursor import FUTURE_SKEW_US, Start, Window, resolve_cursor, resolve_jetstream_cursor
from edgerelay.relay.sequencer import MIN_TIME_SEQ

HOUR_US = 3_600_000_000
NOW_US = 1_795_000_000_000_000
WINDOW = Window(72 * HOUR_US, 62 * 24 * HOUR_US)
OLDEST = NOW_US - WINDOW.retention_us
DEFAULT = NOW_US - WINDOW.default_us
NEWEST = NOW_US - 1_000


def resolved(cursor: int | None, *, last_seq: int = NEWEST) -> Start:
    return resolve_cursor(cursor, WINDOW, last_seq=last_seq, now_us=NOW_US)


class TestRules:
    def test_none_is_the_live_edge(self) -> None:
        assert resolved(None) == Start(None)

    def test_zero_is_the_default_window_and_nothing_is_said(self) -> None:
        assert resolved(0) == Start(DEFAULT)

    @pytest.mark.parametrize("cursor", [1, 31_527_015_322, MIN_TIME_SEQ - 1])
    def test_a_number_of_another_relay_is_the_default_window_and_is_called_outdated(self, cursor: int) -> None:
        assert resolved(cursor) == Start(DEFAULT, outdated=True)

    @pytest.mark.parametrize("cursor", [OLDEST, OLDEST + 1, DEFAULT, NEWEST - 1, NEWEST])
    def test_a_time_of_ours_is_taken_as_it_is(self, cursor: int) -> None:
        assert resolved(cursor) == Start(cursor, strict=True)

    @pytest.mark.parametrize("cursor", [MIN_TIME_SEQ, OLDEST - 1])
    def test_a_time_before_the_window_starts_at_the_oldest_and_is_called_outdated(self, cursor: int) -> None:
        assert resolved(cursor) == Start(OLDEST, outdated=True)


class TestWholeWindow:
    @pytest.mark.parametrize("cursor", [0, 1, MIN_TIME_SEQ - 1])
    def test_what_is_no_time_is_all_that_is_kept(self, cursor: int) -> None:
        start = resolve_cursor(cursor, WINDOW.whole(), last_seq=NEWEST, now_us=NOW_US)
        assert start == Start(OLDEST, outdated=cursor != 0)

    @pytest.mark.parametrize("cursor", [None, OLDEST, NEWEST, 2**53 - 1])
    def test_times_are_taken_as_ever(self, cursor: int | None) -> None:
        assert resolve_cursor(cursor, WINDOW.whole(), last_seq=NEWEST, now_us=NOW_US) == resolved(cursor)


class TestFuture:
    @pytest.mark.parametrize("cursor", [NEWEST + 1, NOW_US, NOW_US + FUTURE_SKEW_US])
    def test_a_little_ahead_of_the_clock_waits(self, cursor: int) -> None:
        assert resolved(cursor) == Start(cursor, strict=True)

    @pytest.mark.parametrize("cursor", [NOW_US + FUTURE_SKEW_US + 1, 2**53 - 1])
    def test_beyond_the_clock_and_the_last_number_is_refused(self, cursor: int) -> None:
        assert resolved(cursor) == Start(cursor, strict=True, future=True)

    def test_a_number_that_was_given_out_is_never_in_the_future(self) -> None:
        ahead = NOW_US + 1_200_000_000
        assert resolved(ahead, last_seq=ahead) == Start(ahead, strict=True)
        assert resolved(ahead + 1, last_seq=ahead).future


@given(st.none() | st.integers(0, 2**53 - 1), st.integers(0, 2 * NOW_US), st.integers(0, 2 * NOW_US))
def test_a_start_is_never_older_than_the_window_or_what_was_asked_for(
    cursor: int | None, last_seq: int, now_us: int
) -> None:
    start = resolve_cursor(cursor, WINDOW, last_seq=last_seq, now_us=now_us)
    if start.cursor is not None:
        assert cursor is not None
        assert start.cursor >= max(0, now_us - WINDOW.retention_us)
        assert start.cursor == cursor or start.outdated or cursor == 0
    assert start.future == (cursor is not None and cursor > max(last_seq, now_us + FUTURE_SKEW_US))


def jetstream(cursor: int | None, *, last_seq: int = NEWEST) -> Start:
    return resolve_jetstream_cursor(cursor, WINDOW, last_seq=last_seq, now_us=NOW_US)


class TestJetstream:
    def test_none_is_the_live_edge(self) -> None:
        assert jetstream(None) == Start(None)

    @pytest.mark.parametrize("cursor", [OLDEST, DEFAULT, NEWEST, NEWEST + 1, NOW_US])
    def test_a_time_is_taken_as_it_is_up_to_now(self, cursor: int) -> None:
        assert jetstream(cursor) == Start(cursor, strict=True)

    @pytest.mark.parametrize("cursor", [NOW_US + 1, NOW_US + FUTURE_SKEW_US, 2**63 - 1])
    def test_the_future_is_live(self, cursor: int) -> None:
        assert jetstream(cursor) == Start(cursor, future=True, live_if_future=True)

    def test_an_operation_of_the_newest_event_is_no_future(self) -> None:
        ahead = NOW_US + 1_000_000
        assert jetstream(ahead + MAX_OPS - 1, last_seq=ahead) == Start(ahead + MAX_OPS - 1, strict=True)
        assert jetstream(ahead + MAX_OPS, last_seq=ahead).future

    @pytest.mark.parametrize("cursor", [-(2**63), -1, 0, 5, 10**9 - 1, 31_527_015_322, 10**14])
    def test_what_is_no_time_is_the_default_window(self, cursor: int) -> None:
        assert jetstream(cursor) == Start(DEFAULT, outdated=True)

    @pytest.mark.parametrize("missing", [3, 6])
    def test_seconds_and_milliseconds_are_times_too(self, missing: int) -> None:
        cursor = NEWEST // 10**missing
        assert jetstream(cursor) == Start(cursor * 10**missing, strict=True)
        assert jetstream(NOW_US // 10**missing + 1) == Start(DEFAULT, outdated=True)

    @pytest.mark.parametrize("cursor", [MIN_TIME_SEQ, OLDEST - 1])
    def test_what_is_too_old_is_the_oldest(self, cursor: int) -> None:
        assert jetstream(cursor) == Start(OLDEST, outdated=True)
