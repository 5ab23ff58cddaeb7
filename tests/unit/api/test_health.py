"""`/health`: every state of the subscription, and what each of them says."""

from __future__ import annotations

import json
from itertools import chain, combinations

import pytest

from edgerelay.api.health import AWAY_US, answer_health, problems
from edgerelay.relay.upstream import PauseReason, UpstreamState
from tests.snapshots import LAST_SEQ, snapshot

PAUSES = list(chain.from_iterable(combinations(PauseReason, count) for count in range(len(PauseReason) + 1)))
WITHOUT_A_CONNECTION = [UpstreamState.DISCONNECTED, UpstreamState.CONNECTING, UpstreamState.BACKING_OFF]


class TestProblems:
    @pytest.mark.parametrize("state", UpstreamState)
    @pytest.mark.parametrize("pauses", PAUSES)
    def test_every_reason_of_a_pause_is_named_in_any_state(
        self, state: UpstreamState, pauses: tuple[PauseReason, ...]
    ) -> None:
        taken = snapshot(state=str(state), url="", pauses=[str(each) for each in pauses])
        assert problems(taken) == [f"paused: {each.value}" for each in pauses]

    @pytest.mark.parametrize("state", WITHOUT_A_CONNECTION)
    def test_being_away_for_a_moment_is_none(self, state: UpstreamState) -> None:
        assert problems(snapshot(state=str(state), away_us=AWAY_US, last_problem="closed")) == []

    @pytest.mark.parametrize("state", WITHOUT_A_CONNECTION)
    def test_being_away_for_longer_is_one(self, state: UpstreamState) -> None:
        taken = snapshot(state=str(state), away_us=AWAY_US + 1, last_problem="no such host")
        assert problems(taken) == [f"upstream {state.value}: no such host"]

    def test_a_connection_that_lives_is_none_whatever_was_before(self) -> None:
        assert problems(snapshot(state="live", last_problem="closed")) == []

    def test_a_subscription_that_was_stopped_is_one(self) -> None:
        assert problems(snapshot(state="stopped", last_problem="not a host")) == ["stopped: not a host"]

    def test_a_relay_that_shall_not_subscribe_is_well(self) -> None:
        assert problems(snapshot(state="stopped", url="", away_us=10 * AWAY_US, last_problem="no UPSTREAM")) == []

    def test_a_pause_is_not_reported_as_being_away_too(self) -> None:
        taken = snapshot(state="paused", away_us=10 * AWAY_US, pauses=["archive"], last_problem="closed")
        assert problems(taken) == ["paused: archive"]


class TestAnswer:
    def test_well(self) -> None:
        response = answer_health(snapshot())
        assert response.status == 200
        assert json.loads(response.body) == {
            "version": "1.2.3",
            "status": "ok",
            "problems": [],
            "upstream": "live",
            "last_seq": LAST_SEQ,
        }

    def test_not_well(self) -> None:
        response = answer_health(snapshot(state="paused", pauses=["skew", "storage"]))
        body = json.loads(response.body)
        assert response.status == 503
        assert (body["status"], body["problems"]) == ("error", ["paused: skew", "paused: storage"])
        assert body["upstream"] == "paused"

    @pytest.mark.parametrize("pauses", [[], ["identity"]])
    def test_no_answer_is_kept_by_a_cache(self, pauses: list[str]) -> None:
        assert answer_health(snapshot(pauses=pauses)).headers["cache-control"] == "no-store"
