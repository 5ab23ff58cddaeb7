"""What hosts said of accounts: believed for a while, bounded, and forgotten when the host speaks by itself."""

from __future__ import annotations

from edgerelay.relay.statuses import KEPT_US, MAX_KEPT, Statuses
from tests.oracle import frames

NOW_US, DID = frames.NOW_US, frames.did(1)


def test_an_answer_is_believed_for_a_while() -> None:
    statuses = Statuses()
    assert statuses.recent(DID, NOW_US) is None
    statuses.told(DID, NOW_US, active=False)
    assert [statuses.recent(DID, NOW_US + later) for later in (0, KEPT_US - 1, KEPT_US)] == [False, False, None]
    statuses.told(DID, NOW_US + KEPT_US, active=True)
    assert statuses.recent(DID, NOW_US + KEPT_US) is True


def test_a_clock_that_steps_back_makes_no_answer_last_longer() -> None:
    statuses = Statuses()
    statuses.told(DID, NOW_US, active=False)
    assert statuses.recent(DID, NOW_US - 1) is None


def test_what_the_host_says_by_itself_ends_it() -> None:
    statuses = Statuses()
    statuses.told(DID, NOW_US, active=False)
    statuses.forget(DID)
    statuses.forget(DID)
    assert statuses.recent(DID, NOW_US) is None


def test_the_oldest_answer_is_forgotten_beyond_the_limit() -> None:
    statuses = Statuses()
    for number in range(MAX_KEPT):
        statuses.told(frames.did(number), NOW_US, active=False)
    statuses.told(frames.did(0), NOW_US, active=False)
    statuses.told(frames.did(MAX_KEPT), NOW_US, active=False)
    kept = [statuses.recent(frames.did(number), NOW_US) for number in (0, 1, MAX_KEPT)]
    assert kept == [False, None, False]
