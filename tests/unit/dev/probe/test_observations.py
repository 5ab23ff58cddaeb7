"""Lives, sockets and flush times, drawn from what /state says over time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay_dev.probe.observations import Observations, new_samples, spread

START_US = 1_795_000_000_000_000
START = START_US / 1_000_000


def state(**changes: Any) -> dict[str, Any]:
    """What /state answers, as far as the probe reads it."""
    upstream = {"state": "live", "connection": 1, "since_us": START_US, "last_problem": ""}
    upstream |= changes.pop("upstream", {})
    base = {"version": "0.1.0", "protocol": 1, "environment": "develop", "verify": "strict", "shards": []}
    return base | {"started_us": START_US, "isolate": "a", "upstream": upstream, "flush_ms": []} | changes


def observe(*states: dict[str, Any], every_s: float = 10.0) -> Observations:
    observations = Observations()
    for number, each in enumerate(states, start=1):
        observations.answered(each, START + number * every_s, 5.0)
    return observations


def test_an_object_lives_as_long_as_it_says_the_same_start() -> None:
    report = observe(state(), state(), state()).report()["object"]
    assert (report["constructed_anew"], report["longest_s"]) == (0, 30.0)


def test_an_object_constructed_anew_is_another_life() -> None:
    report = observe(state(), state(), state(started_us=START_US + 25_000_000)).report()
    assert report["object"]["constructed_anew"] == 1
    assert [life["age_s"] for life in report["object"]["lives"]] == [20.0, 5.0]
    assert [change["what"] for change in report["changes"]] == ["object"]


def test_sockets_are_told_by_their_connection_and_their_object() -> None:
    lost = {"state": "backing_off", "last_problem": "closed 1006"}
    report = observe(
        state(),
        state(),
        state(upstream=lost),
        state(upstream={"connection": 2, "since_us": START_US + 35_000_000}),
        state(started_us=START_US + 45_000_000, upstream={"since_us": START_US + 45_000_000}),
    ).report()["upstream"]
    assert [(x["connection"], x["age_s"], x["ended"]) for x in report["lives"]] == [
        (1, 20.0, "closed 1006"),
        (2, 5.0, ""),
        (1, 5.0, ""),
    ]


def test_a_new_version_is_told_and_kept() -> None:
    observations = observe(state())
    lines = observations.answered(state(version="0.2.0"), START + 20, 5.0)
    assert lines == ["version changed from 0.1.0 to 0.2.0"]
    assert observations.report()["changes"][0]["after"] == "0.2.0"
    assert observations.present["version"] == "0.2.0"


def test_nothing_new_is_worth_no_line() -> None:
    assert observe(state()).answered(state(), START + 20, 5.0) == []


def test_flush_times_are_counted_once_and_start_over_with_the_object() -> None:
    report = observe(
        state(flush_ms=[3, 4]),
        state(flush_ms=[3, 4, 3]),
        state(flush_ms=[4, 3, 9]),
        state(flush_ms=[4, 3, 9], started_us=START_US + 1),
    ).report()
    assert report["flush_ms"]["samples"] == 7
    assert report["flush_ms"]["max"] == 9


@pytest.mark.parametrize(
    ("shards", "shared", "buffered"),
    [
        ([], None, None),
        ([{"name": "live-0"}], None, None),
        ([{"name": "live-0", "isolate": "a", "buffered_amount": True}], True, True),
        ([{"name": "live-0", "isolate": "b", "buffered_amount": False}], False, False),
    ],
)
def test_what_the_relay_does_not_tell_stays_unknown(
    shards: list[dict[str, Any]], shared: bool | None, buffered: bool | None
) -> None:
    report = observe(state(shards=shards)).report()
    assert (report["isolate"]["shared"], report["buffered_amount"]) == (shared, buffered)


def test_failures_are_kept_with_their_time() -> None:
    observations = Observations()
    observations.failed("no answer", START)
    report = observations.report()
    assert report["failures"] == [{"at": "2026-11-18T11:06:40Z", "problem": "no answer"}]
    assert report["flush_ms"] == {"samples": 0}


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)), st.integers(1, 5))
def test_new_samples_are_a_shortest_continuation(before: list[int], more: list[int], window: int) -> None:
    now = (before + more)[-window:]
    fresh = new_samples(before[-window:], now)
    assert (before[-window:] + fresh)[-window:][-len(now) :] == now if now else fresh == []
    assert len(fresh) <= len(more)


def test_a_spread_of_one_value_is_that_value() -> None:
    assert spread([2.0]) == {"samples": 1, "p50": 2.0, "p99": 2.0, "max": 2.0}
