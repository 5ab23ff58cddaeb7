"""Hosts that misbehave and clocks that are wrong: counted or named, and nothing lost or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgerelay_dev.network import SimulatedNetwork, StreamRules
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, seen, wait_until

ARRIVE_LIMIT_S = 60.0


@contextmanager
def host(**options: object) -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="hosts", accounts=5, **options)) as background:  # type: ignore[arg-type]
        yield background


def settings(background: NetworkThread, **more: str) -> dict[str, str]:
    return {**upstream_settings(background), "BACKOFF_CAP_S": "2", **more}


def emit(background: NetworkThread, count: int) -> list[Seen]:
    """Let the host emit, and return what it emitted."""

    def run(network: SimulatedNetwork) -> list[Seen]:
        before = len(network.hosts[0].frames)
        network.traffic.run(count)
        return [seen(each.frame) for each in network.hosts[0].frames[before:]]

    return background.call(run)


def first_events(background: NetworkThread) -> list[Seen]:
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def expect(subscriber: Subscriber, events: list[Seen]) -> None:
    """These events and no others arrive, in this order."""
    subscriber.wait_for(len(events), ARRIVE_LIMIT_S)
    check_arrived(subscriber.events, events)
    assert subscriber.seqs == sorted(set(subscriber.seqs))


@pytest.mark.parametrize("admits", [True, False], ids=["future-cursor", "newer-rev"])
def test_a_host_that_starts_its_numbers_anew(tmp_path: Path, admits: bool) -> None:
    with (
        host(rules=StreamRules(checks_future_cursor=admits)) as background,
        Relay(tmp_path, settings(background)) as relay,
    ):
        expected = first_events(background) + emit(background, 100)
        with Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, expected)
            background.call(lambda network: network.hosts[0].reset_sequence())
            background.call(lambda network: network.hosts[0].faults.drop())
            expected += emit(background, 50)
            wait_until(lambda: relay.upstream()["connection"] > 1, ARRIVE_LIMIT_S, "a new connection")
            relay.wait_live()
            expected += emit(background, 1)  # a host that does not mind a future cursor shows its numbers only now
            expect(subscriber, expected)
            wait_until(lambda: relay.upstream()["epoch"] == 1, ARRIVE_LIMIT_S, "a new epoch")
            relay.crash()
            expected += emit(background, 10)
            expect(subscriber, expected)
        assert relay.upstream()["epoch"] == 1


def test_a_host_that_always_answers_future_cursor(tmp_path: Path) -> None:
    with host() as background, Relay(tmp_path, settings(background)) as relay:
        expected = first_events(background) + emit(background, 30)
        with Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, expected)
            background.call(lambda network: network.hosts[0].faults.set(future_cursor=True))
            background.call(lambda network: network.hosts[0].faults.drop())
            wait_until(
                lambda: (
                    relay.upstream()["state"] == "backing_off" and "FutureCursor" in relay.upstream()["last_problem"]
                ),
                ARRIVE_LIMIT_S,
                "backing off from FutureCursor",
            )
            background.call(lambda network: network.hosts[0].faults.clear())
            expected += emit(background, 30)
            expect(subscriber, expected)
        assert relay.upstream()["epoch"] == 1


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"close_after_frames": 0}, "closed"),
        ({"upgrade_status": 503, "retry_after_s": 1}, "HTTP 503"),
        ({"upgrade_status": 200}, "HTTP 200"),
        ({"hangup": True}, "network"),
    ],
    ids=["closes at once", "503", "no upgrade", "hangs up"],
)
def test_a_host_that_cannot_be_subscribed_to(tmp_path: Path, fault: dict[str, object], problem: str) -> None:
    with host() as background:
        background.call(lambda network: network.hosts[0].faults.set(**fault))
        with Relay(tmp_path, settings(background)) as relay:
            wait_until(
                lambda: relay.upstream()["state"] == "backing_off" and problem in relay.upstream()["last_problem"],
                ARRIVE_LIMIT_S,
                f"backing off: {problem}",
            )
            background.call(lambda network: network.hosts[0].faults.clear())
            with Subscriber(relay.ws_url, 0) as subscriber:
                expect(subscriber, first_events(background))


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    with Relay(tmp_path, {"UPSTREAM": "ws://no-such-host.invalid", "BACKOFF_CAP_S": "1"}) as relay:
        wait_until(lambda: relay.upstream()["state"] == "backing_off", ARRIVE_LIMIT_S, "backing off")
        assert relay.upstream()["last_problem"].startswith("network")
        wait_until(lambda: relay.upstream()["connection"] >= 3, ARRIVE_LIMIT_S, "further attempts")
        assert relay.get("/")[0] == 200


def test_a_silent_host_is_subscribed_to_again(tmp_path: Path) -> None:
    with host() as background, Relay(tmp_path, settings(background, SILENCE_S="5", ALARM_S="5")) as relay:
        expected = first_events(background)
        with Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, expected)
            background.call(lambda network: network.hosts[0].faults.set(stall=True))
            expected += emit(background, 5)
            wait_until(lambda: relay.upstream()["connection"] >= 2, ARRIVE_LIMIT_S, "a second connection")
            background.call(lambda network: network.hosts[0].faults.clear())
            expect(subscriber, expected)


class TestClocks:
    def test_a_host_whose_clock_differs(self, tmp_path: Path) -> None:
        with host() as background:
            background.call(lambda network: network.hosts[0].faults.set(date_skew_s=-1200))
            with Relay(tmp_path, settings(background)) as relay:
                wait_until(lambda: relay.upstream()["pauses"] == ["skew"], ARRIVE_LIMIT_S, "a pause for skew")
                status, health = relay.get("/health")
                assert (status, health["problems"]) == (503, ["paused: skew"])
                assert relay.state()["events"] == 0
                background.call(lambda network: network.hosts[0].faults.clear())
                with Subscriber(relay.ws_url, 0) as subscriber:
                    expect(subscriber, first_events(background))

    def test_our_clock_is_twenty_minutes_ahead_and_then_right(self, tmp_path: Path) -> None:
        with host() as background:
            with Relay(tmp_path, settings(background, REHEARSAL_CLOCK_S="1200")) as relay:
                wait_until(lambda: relay.upstream()["pauses"] == ["skew"], ARRIVE_LIMIT_S, "a pause for skew")
                assert relay.state()["events"] == 0
            with Relay(tmp_path, settings(background)) as relay, Subscriber(relay.ws_url, 0) as subscriber:
                expect(subscriber, first_events(background))

    def test_our_clock_steps_back(self, tmp_path: Path) -> None:
        with host() as background:
            expected = first_events(background)
            ahead = settings(background, REHEARSAL_CLOCK_S="200")
            with Relay(tmp_path, ahead) as relay, Subscriber(relay.ws_url, 0) as subscriber:
                expect(subscriber, expected)
                before = subscriber.seqs
            expected += emit(background, 40)
            with Relay(tmp_path, settings(background)) as relay, Subscriber(relay.ws_url, 0) as subscriber:
                expect(subscriber, expected)
                assert subscriber.seqs[: len(before)] == before
                wait_until(lambda: relay.state()["clock_behind"] == 1, ARRIVE_LIMIT_S, "the alert")
