"""What keeps the objects alive when nobody asks, and what sleeps meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.websocket import Socket
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, seen, wait_until

LIMIT_S = 60.0
LONGEST_ALARM_S = "60"
SLEEPS_AFTER_S = 10
"""Silence after which the runtime lets an object with nothing but sleeping sockets go."""


@pytest.fixture
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="life", accounts=5)) as network:
        yield network


def end_relay_state(relay: Relay, background: NetworkThread) -> None:
    """End RelayState; from here on nobody asks it anything, which would wake it."""
    relay.wait_live()
    before = subscriptions(background)
    relay.rehearse("abort")
    wait_until(lambda: not subscriptions(background) & before, LIMIT_S, "the end of the subscription")


def break_relay_state(relay: Relay, background: NetworkThread) -> None:
    """Something that RelayState does fails by a defect; it is there again when this returns."""
    relay.wait_live()
    before = subscriptions(background)
    relay.rehearse("break")
    wait_until(lambda: bool(subscriptions(background) - before), LIMIT_S, "another subscription")


def subscriptions(background: NetworkThread) -> set[Socket]:
    """The host's present subscriptions."""
    return background.call(lambda network: set(network.hosts[0].faults.sockets))


def test_the_alarm_brings_relay_state_back(tmp_path: Path, background: NetworkThread) -> None:
    with Relay(tmp_path, {**upstream_settings(background), "ALARM_S": "5"}) as relay:
        for _ in range(2):
            end_relay_state(relay, background)
            wait_until(lambda: bool(subscriptions(background)), LIMIT_S, "a subscription by RelayState")


def test_a_defect_ends_relay_state_and_nothing_else(tmp_path: Path, background: NetworkThread) -> None:
    """The interpreter is shared with the shards, whose readers notice nothing but a pause."""
    with (
        Relay(tmp_path, {**upstream_settings(background), "ALARM_S": "5"}) as relay,
        Subscriber(relay.ws_url, 0, read_limit_s=LIMIT_S) as reader,
    ):
        for _ in range(2):
            reader.wait_for(len(emitted(background)), LIMIT_S)
            break_relay_state(relay, background)
            background.call(lambda network: network.traffic.run(50))
        reader.wait_for(len(emitted(background)), LIMIT_S)
        check_arrived(reader.events, emitted(background))
        assert reader.connections == 1
        assert relay.log_path.read_text().count('"event": "turn_failed"') == 2


def test_the_cron_brings_relay_state_back(tmp_path: Path, background: NetworkThread) -> None:
    with Relay(tmp_path, {**upstream_settings(background), "ALARM_S": LONGEST_ALARM_S}) as relay:
        end_relay_state(relay, background)
        assert not subscriptions(background)
        relay.fire_cron()
        wait_until(lambda: bool(subscriptions(background)), LIMIT_S / 2, "a subscription before the alarm")


def test_a_shard_that_slept_goes_on_exactly(tmp_path: Path, background: NetworkThread) -> None:
    with (
        Relay(tmp_path, upstream_settings(background)) as relay,
        Subscriber(relay.ws_url, 0, read_limit_s=LIMIT_S) as early,
    ):
        early.wait_for(len(emitted(background)), LIMIT_S)
        with Subscriber(relay.ws_url, read_limit_s=LIMIT_S) as live:
            for _ in range(2):
                time.sleep(1.5 * SLEEPS_AFTER_S)  # the silence itself is what is tried
                background.call(lambda network: network.traffic.run(20))
                early.wait_for(len(emitted(background)), LIMIT_S)
                live.wait_for(len(emitted(background)) - (len(early.events) - len(live.events)), LIMIT_S)
            check_arrived(early.events, emitted(background))
            assert live.seqs == early.seqs[-40:]
            assert (early.connections, live.connections) == (1, 1)
        woke = [line["readers"] for line in log_lines(relay) if line["event"] == "shard_woke"]
        assert woke == [1] * 4, "two shards, twice: who began in the past has another than who is live"


def emitted(background: NetworkThread) -> list[Seen]:
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def log_lines(relay: Relay) -> list[dict[str, object]]:
    """The Worker's own lines of the log; wrangler writes others between them."""
    lines = relay.log_path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
