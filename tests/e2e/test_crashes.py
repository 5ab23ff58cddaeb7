"""Nothing lost, nothing twice, nothing out of order, while everything that can die dies (invariants 1, 2 and 4)."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError

import pytest

from edgerelay_dev.network import SimulatedNetwork, StreamRules
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, check_equal, seen, wait_until

SUBSCRIBERS = 3
CATCH_UP_LIMIT_S = 120.0


def emitted(background: NetworkThread) -> list[Seen]:
    """Everything that the host has emitted, as a subscriber of it would see it."""
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def check_same(subscribers: list[Subscriber], expected: list[Seen]) -> None:
    """Each saw every event once, in order, under the same numbers as the others."""
    first = subscribers[0]
    check_arrived(first.events, expected)
    assert all(before < after for before, after in pairwise(first.seqs))
    for subscriber in subscribers:
        check_equal([f"{x.seq} {x.essence}" for x in subscriber.events], [f"{x.seq} {x.essence}" for x in first.events])
        assert not subscriber.infos
        assert not subscriber.errors


@pytest.mark.timeout(600)
def test_kills_and_drops_lose_nothing(tmp_path: Path) -> None:
    events, kills, drops, rate = 20_000, 20, 20, 350
    chance = random.Random(20)
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="crashes", accounts=20)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        subscribers = [stack.enter_context(Subscriber(relay.ws_url, 0)) for _ in range(SUBSCRIBERS)]
        background.call(lambda network: network.start_traffic(rate))
        blows = ["kill"] * kills + ["drop"] * drops
        chance.shuffle(blows)
        for number, blow in enumerate(blows, start=1):
            due = events * number // (len(blows) + 1)
            wait_until(lambda due=due: len(background.network.hosts[0].frames) >= due, 60.0, f"{due} events")  # type: ignore[misc]
            time.sleep(chance.random() / 10)  # anywhere within a flush, a batch, a commit
            if blow == "kill":
                relay.crash()
            else:
                background.call(lambda network: network.hosts[0].faults.drop())
        wait_until(lambda: len(background.network.hosts[0].frames) >= events, 120.0, "the last event")
        background.wait_for(background.network.stop_traffic())
        expected = emitted(background)
        for subscriber in subscribers:
            subscriber.wait_for(len(expected), CATCH_UP_LIMIT_S)
        check_same(subscribers, expected)
        assert all(subscriber.connections > kills // 2 for subscriber in subscribers)


@pytest.mark.timeout(300)
def test_readers_that_are_back_at_once_need_not_come_again(tmp_path: Path) -> None:
    """RelayState dials the shard of before, finds nobody there yet, and closes while readers arrive."""
    events, kills = 300, 3
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="back", accounts=5)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        subscribers = [
            stack.enter_context(Subscriber(relay.ws_url, 0, read_limit_s=2 * CATCH_UP_LIMIT_S))
            for _ in range(SUBSCRIBERS)
        ]
        for _ in range(kills):
            background.call(lambda network: network.traffic.run(events))
            expected = emitted(background)
            for subscriber in subscribers:
                subscriber.wait_for(len(expected), CATCH_UP_LIMIT_S)
            relay.crash()
        background.call(lambda network: network.traffic.run(events))
        expected = emitted(background)
        for subscriber in subscribers:
            subscriber.wait_for(len(expected), CATCH_UP_LIMIT_S)
        check_same(subscribers, expected)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("inclusive", [False, True], ids=["exclusive", "inclusive"])
def test_an_account_that_is_held_back_holds_up_nobody(tmp_path: Path, inclusive: bool) -> None:
    events, blows, rate = 3_000, 8, 300
    with ExitStack() as stack:
        network = SimulatedNetwork(seed="held", accounts=10, rules=StreamRules(inclusive=inclusive))
        background = stack.enter_context(NetworkThread(network))
        held = background.call(lambda network: next(iter(network.hosts[0].accounts)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        subscribers = [stack.enter_context(Subscriber(relay.ws_url, 0)) for _ in range(SUBSCRIBERS)]
        relay.rehearse("hold", held)
        background.call(lambda network: network.start_traffic(rate))
        for number in range(1, blows + 1):
            due = events * number // (blows + 1)
            wait_until(lambda due=due: len(network.hosts[0].frames) >= due, 60.0, f"{due} events")  # type: ignore[misc]
            if number % 2:
                relay.kill_workerd()
                hold_again(relay, held)
            else:
                background.call(lambda network: network.hosts[0].faults.drop())
        wait_until(lambda: len(network.hosts[0].frames) >= events, 60.0, "the last event")
        background.wait_for(network.stop_traffic())
        expected = emitted(background)
        others = [event for event in expected if event.did != held]
        before = [event for event in subscribers[0].events if event.did == held]
        for subscriber in subscribers:
            subscriber.wait_for(len(others) + len(before), CATCH_UP_LIMIT_S)
        wait_until(lambda: held_back(relay), CATCH_UP_LIMIT_S, "its events wait, and those behind them are finished")
        relay.rehearse("release")
        for subscriber in subscribers:
            subscriber.wait_for(len(expected), CATCH_UP_LIMIT_S)
        check_same(subscribers, expected)


def held_back(relay: Relay) -> bool:
    """Whether anything waits while later events of others have been passed on."""
    upstream = relay.upstream()
    return bool(upstream["in_flight"] and upstream["done"])


def hold_again(relay: Relay, did: str) -> None:
    """The hold died with the process; it is back before the host is subscribed to, or soon after."""

    def held() -> bool:
        try:
            relay.rehearse("hold", did)
        except (URLError, OSError):
            return False
        return True

    wait_until(held, 60.0, "the relay is back")
