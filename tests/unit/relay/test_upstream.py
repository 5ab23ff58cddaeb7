"""The subscription: every state with everything that can happen in it, and the times in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.upstream import (
    BACKOFF_BASE_S,
    PauseReason,
    Upstream,
    UpstreamPolicy,
    UpstreamState,
)

S_US = 1_000_000
NOW_US = 1_795_000_000 * S_US
POLICY = UpstreamPolicy(connect_timeout_s=20, silence_s=120, healthy_s=30, backoff_cap_s=60)
DISCONNECTED, CONNECTING, LIVE, BACKING_OFF, PAUSED, STOPPED = UpstreamState
ARCHIVE, IDENTITY = PauseReason.ARCHIVE, PauseReason.IDENTITY


def upstream(*, chance: float = 1.0) -> Upstream:
    """With a chance of 1, pauses have their full length."""
    return Upstream(POLICY, lambda: chance, NOW_US)


def live_since(now_us: int, made: Upstream | None = None) -> Upstream:
    made = made or upstream()
    made.connecting(now_us)
    made.opened(now_us)
    return made


def in_state(state: UpstreamState) -> Upstream:
    made = upstream()
    if state is PAUSED:
        made.pause(ARCHIVE, NOW_US)
    if state is STOPPED:
        made.stop("told to", NOW_US)
    if state in (CONNECTING, LIVE, BACKING_OFF):
        made.connecting(NOW_US)
    if state is LIVE:
        made.opened(NOW_US)
    if state is BACKING_OFF:
        made.lost("refused", NOW_US)
    assert made.state is state
    return made


HAPPENINGS: dict[str, Callable[[Upstream], object]] = {
    "lost": lambda made: made.lost("closed", NOW_US),
    "reconnect": lambda made: made.reconnect("reset", NOW_US),
    "pause": lambda made: made.pause(IDENTITY, NOW_US),
    "resume": lambda made: made.resume(ARCHIVE, NOW_US),
    "resume another": lambda made: made.resume(IDENTITY, NOW_US),
    "stop": lambda made: made.stop("told to", NOW_US),
    "heard": lambda made: made.heard(NOW_US),
}
# What is left out cannot happen: a socket opens only while connecting, and is lost or given up only while there is one.
TABLE = {
    DISCONNECTED: {"pause": PAUSED, "resume": DISCONNECTED, "resume another": DISCONNECTED, "stop": STOPPED},
    CONNECTING: {
        "lost": BACKING_OFF,
        "reconnect": DISCONNECTED,
        "pause": PAUSED,
        "resume": CONNECTING,
        "resume another": CONNECTING,
        "stop": STOPPED,
        "heard": CONNECTING,
    },
    LIVE: {
        "lost": BACKING_OFF,
        "reconnect": DISCONNECTED,
        "pause": PAUSED,
        "resume": LIVE,
        "resume another": LIVE,
        "stop": STOPPED,
        "heard": LIVE,
    },
    BACKING_OFF: {"pause": PAUSED, "resume": BACKING_OFF, "resume another": BACKING_OFF, "stop": STOPPED},
    PAUSED: {
        "lost": PAUSED,
        "reconnect": PAUSED,
        "pause": PAUSED,
        "resume": DISCONNECTED,
        "resume another": PAUSED,
        "stop": STOPPED,
    },
    STOPPED: {"pause": STOPPED, "resume": STOPPED, "resume another": STOPPED, "stop": STOPPED},
}


class TestStates:
    @pytest.mark.parametrize(
        ("state", "happening", "then"),
        [(state, name, then) for state, row in TABLE.items() for name, then in row.items()],
    )
    def test_every_state_with_everything_that_can_happen(
        self, state: UpstreamState, happening: str, then: UpstreamState
    ) -> None:
        made = in_state(state)
        HAPPENINGS[happening](made)
        assert made.state is then

    @pytest.mark.parametrize("state", UpstreamState)
    def test_where_time_alone_matters(self, state: UpstreamState) -> None:
        made = in_state(state)
        after_s = {DISCONNECTED: 0, CONNECTING: 20, LIVE: 120, BACKING_OFF: BACKOFF_BASE_S}.get(state)
        wake_us = made.wake_us()
        assert wake_us == (None if after_s is None else NOW_US + after_s * S_US)
        if wake_us is not None:
            assert not made.connect_due(wake_us - 1)
            assert not made.expired(wake_us - 1)
            assert made.connect_due(wake_us) == (state in (DISCONNECTED, BACKING_OFF))
            assert made.expired(wake_us) == {CONNECTING: "connect_timeout", LIVE: "silence"}.get(state, "")
        assert made.is_open == (state in (CONNECTING, LIVE))

    @pytest.mark.parametrize("state", UpstreamState)
    def test_since_when_it_stands_there(self, state: UpstreamState) -> None:
        made = in_state(state)
        made.pause(IDENTITY, NOW_US + 7)
        assert made.since_us == (NOW_US if state in (PAUSED, STOPPED) else NOW_US + 7)

    def test_every_connection_has_a_number_of_its_own(self) -> None:
        made = Upstream(POLICY, lambda: 0.0, NOW_US, connection=41)
        assert [made.connecting(NOW_US), made.connecting(NOW_US), made.connection] == [42, 43, 43]


class TestPauses:
    def test_it_lasts_until_each_reason_is_gone(self) -> None:
        made = in_state(LIVE)
        made.pause(IDENTITY, NOW_US)
        made.pause(ARCHIVE, NOW_US)
        assert list(made.pauses) == [ARCHIVE, IDENTITY]
        made.resume(IDENTITY, NOW_US)
        assert (made.state, list(made.pauses)) == (PAUSED, [ARCHIVE])
        made.resume(ARCHIVE, NOW_US + 5)
        assert (made.state, list(made.pauses), made.wake_us()) == (DISCONNECTED, [], NOW_US + 5)

    @pytest.mark.parametrize("happening", ["lost", "reconnect"])
    def test_a_socket_that_ends_meanwhile_does_not_end_it(self, happening: str) -> None:
        made = in_state(LIVE)
        made.pause(IDENTITY, NOW_US)
        HAPPENINGS[happening](made)
        assert (made.state, made.connect_due(NOW_US + 3_600 * S_US)) == (PAUSED, False)
        made.resume(IDENTITY, NOW_US + 3_600 * S_US)
        assert made.connect_due(NOW_US + 3_600 * S_US)

    def test_it_does_not_shorten_what_the_host_asked_for(self) -> None:
        made = in_state(CONNECTING)
        made.lost("HTTP 503", NOW_US, retry_after_s=900)
        made.pause(ARCHIVE, NOW_US)
        made.resume(ARCHIVE, NOW_US + 1)
        assert made.wake_us() == NOW_US + 900 * S_US


class TestBackoff:
    def pauses_s(self, made: Upstream, attempts: int, *, lives_s: int = 0) -> list[float]:
        """How long it waits after each of so many attempts."""
        pauses, now_us = [], NOW_US
        for _ in range(attempts):
            live_since(now_us, made)
            now_us += lives_s * S_US
            made.lost("closed", now_us)
            wake_us = made.wake_us()
            assert wake_us is not None
            pauses.append((wake_us - now_us) / S_US)
            now_us = wake_us
        return pauses

    def test_pauses_grow_up_to_the_cap(self) -> None:
        assert self.pauses_s(upstream(), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_half_of_a_pause_is_chance(self) -> None:
        assert self.pauses_s(upstream(chance=0.0), 3) == [0.5, 1, 2]

    def test_a_host_that_accepts_and_closes_is_not_healthy(self) -> None:
        assert self.pauses_s(upstream(), 4, lives_s=29) == [1, 2, 4, 8]

    def test_a_healthy_connection_starts_small_again(self) -> None:
        made = upstream()
        self.pauses_s(made, 5)
        assert self.pauses_s(made, 2, lives_s=30) == [1, 1]

    def test_a_host_may_ask_for_more_time(self) -> None:
        made = in_state(CONNECTING)
        made.lost("HTTP 429", NOW_US, retry_after_s=300)
        assert (made.wake_us(), made.last_problem) == (NOW_US + 300 * S_US, "HTTP 429")

    def test_ages_of_failure_do_not_overflow(self) -> None:
        assert self.pauses_s(upstream(), 2_000)[-1] == 60

    def test_a_socket_that_we_give_up_is_replaced_at_once(self) -> None:
        made = in_state(LIVE)
        made.reconnect("silence", NOW_US + 5)
        assert (made.connect_due(NOW_US + 5), made.last_problem) == (True, "silence")

    @given(st.floats(0, 1, exclude_max=True), st.integers(1, 40))
    def test_no_pause_is_zero_or_beyond_the_cap(self, chance: float, attempts: int) -> None:
        assert all(0.5 <= pause <= 60 for pause in self.pauses_s(upstream(chance=chance), attempts))


class TestSilence:
    def test_it_begins_with_the_attempt_and_anew_with_the_socket(self) -> None:
        made = upstream()
        made.connecting(NOW_US + 7)
        assert made.wake_us() == NOW_US + 7 + 20 * S_US
        made.opened(NOW_US + 9)
        assert made.wake_us() == NOW_US + 9 + 120 * S_US

    def test_whatever_arrives_breaks_it(self) -> None:
        made = in_state(LIVE)
        made.heard(NOW_US + 119 * S_US)
        assert made.expired(NOW_US + 238 * S_US) == ""
        assert made.expired(NOW_US + 239 * S_US) == "silence"


class TestAway:
    def test_attempts_that_fail_do_not_hide_how_long_it_is_away(self) -> None:
        """The state changes with each attempt, and is never old."""
        made = live_since(NOW_US)
        made.lost("closed", NOW_US + 50 * S_US)
        for at_s in (60, 90, 120):
            made.connecting(NOW_US + at_s * S_US)
            made.lost("refused", NOW_US + at_s * S_US + 1)
        assert made.away_us(NOW_US + 130 * S_US) == 80 * S_US

    def test_a_connection_that_does_not_live_does_not_count(self) -> None:
        made = live_since(NOW_US + 10 * S_US)
        assert made.away_us(NOW_US + 12 * S_US) == 0
        made.lost("closed", NOW_US + 12 * S_US)
        assert made.away_us(NOW_US + 15 * S_US) == 15 * S_US

    @pytest.mark.parametrize("happening", ["lost", "reconnect", "pause", "stop"])
    def test_it_begins_when_a_healthy_connection_ends(self, happening: str) -> None:
        made = live_since(NOW_US - 30 * S_US)
        HAPPENINGS[happening](made)
        assert made.away_us(NOW_US + 3) == 3


@pytest.mark.parametrize("state", UpstreamState)
@pytest.mark.parametrize("by_us", [-1_200 * S_US, 1_200 * S_US])
def test_a_clock_that_was_set_changes_nothing(state: UpstreamState, by_us: int) -> None:
    made, shifted = in_state(state), in_state(state)
    shifted.shift_clock(by_us)
    wake_us, shifted_us = made.wake_us(), shifted.wake_us()
    assert (wake_us is None) == (shifted_us is None)
    assert shifted_us is None or wake_us is None or shifted_us - wake_us == by_us
    assert shifted.since_us - made.since_us == by_us
    assert shifted.away_us(NOW_US + by_us) == made.away_us(NOW_US)


class TestPausesForATime:
    def test_it_ends_by_itself(self) -> None:
        made = upstream()
        made.pause(PauseReason.SKEW, NOW_US, for_us=30 * S_US)
        assert made.wake_us() == NOW_US + 30 * S_US
        made.end_pauses(NOW_US + 30 * S_US - 1)
        assert made.state is UpstreamState.PAUSED
        made.end_pauses(NOW_US + 30 * S_US)
        assert (made.state, made.pauses) == (UpstreamState.DISCONNECTED, ())

    def test_a_pause_without_an_end_stays(self) -> None:
        made = upstream()
        made.pause(PauseReason.STORAGE, NOW_US, for_us=S_US)
        made.pause(PauseReason.ARCHIVE, NOW_US)
        made.end_pauses(NOW_US + 3_600 * S_US)
        assert (made.pauses, made.wake_us()) == ((PauseReason.ARCHIVE,), None)

    def test_it_moves_with_a_clock_that_is_set(self) -> None:
        made = upstream()
        made.pause(PauseReason.SKEW, NOW_US, for_us=30 * S_US)
        made.shift_clock(-1_200 * S_US)
        assert made.wake_us() == NOW_US + 30 * S_US - 1_200 * S_US
