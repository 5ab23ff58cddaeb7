"""History beyond the hot log: readers get it from the bucket, and nothing is forgotten that is not there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import FORGETFUL, Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, check_equal, seen, wait_until

EVENTS = 4_000
RATE = 300
LIMIT_S = 120.0


class Rig:
    """A relay whose log forgets soon, and the host that it reads."""

    def __init__(self, stack: ExitStack, state_dir: Path) -> None:
        self.background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="archive", accounts=20)))
        self.relay = stack.enter_context(Relay(state_dir, {**upstream_settings(self.background), **FORGETFUL}))
        self.relay.wait_live()

    @property
    def emitted(self) -> int:
        """How many events the host has sent."""
        return len(self.background.network.hosts[0].frames)

    def start(self) -> None:
        self.background.call(lambda network: network.start_traffic(RATE))

    def wait_for(self, events: int) -> None:
        """Wait until the host has sent so many."""
        wait_until(lambda: self.emitted >= events, LIMIT_S, f"{events} events")

    def stop(self) -> list[Seen]:
        """Send no more; returns everything that was sent."""
        self.background.wait_for(self.background.network.stop_traffic())
        return [seen(each.frame) for each in self.background.call(lambda network: list(network.hosts[0].frames))]

    def archive(self) -> dict[str, Any]:
        archive: dict[str, Any] = self.relay.state()["archive"]
        return archive


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path)


def oldest_cursor(rig: Rig) -> int:
    """A time of ours before everything."""
    return int(rig.relay.state()["started_us"]) - 3_600_000_000


def wait_until_mostly_forgotten(rig: Rig, reader: Subscriber) -> None:
    """Go on until the log, which has a size, has forgotten more than half, with some to spare for what still comes."""

    def is_forgotten() -> bool:
        seqs = reader.seqs
        return bisect_right(seqs, rig.relay.forgotten_up_to()) > len(seqs) * 3 // 5

    wait_until(is_forgotten, LIMIT_S, "most of it is forgotten")


def check_readers(rig: Rig, whole: list[Subscriber], expected: list[Seen]) -> None:
    """Those that read everything agree, and readers that begin anywhere see the rest of it."""
    for subscriber in whole:
        subscriber.wait_for(len(expected), LIMIT_S)
    events = whole[0].events
    check_arrived(events, expected)
    assert all(before < after for before, after in pairwise(whole[0].seqs))
    missing_up_to = rig.relay.forgotten_up_to()
    forgotten = [event for event in events if event.seq <= missing_up_to]
    assert len(forgotten) > len(events) // 2, "most of it is in the archive only"
    last_forgotten = forgotten[-1].seq
    cursors = [oldest_cursor(rig), events[len(events) // 3].seq, last_forgotten, last_forgotten + 1, events[-1].seq]
    with ExitStack() as stack:
        readers = [(cursor, stack.enter_context(Subscriber(rig.relay.ws_url, cursor))) for cursor in cursors]
        for cursor, reader in [*readers, *[(0, each) for each in whole]]:
            due = [event for event in events if event.seq >= cursor]
            reader.wait_for(len(due), LIMIT_S)
            check_equal([f"{x.seq} {x.essence}" for x in reader.events], [f"{x.seq} {x.essence}" for x in due])
            assert [each.raw for each in reader.events] == [each.raw for each in due]
            assert not reader.infos
            assert not reader.errors


@pytest.mark.timeout(400)
def test_readers_get_from_the_archive_what_the_log_has_forgotten_while_the_relay_is_killed(rig: Rig) -> None:
    kills = 6
    with ExitStack() as stack:
        live = stack.enter_context(Subscriber(rig.relay.ws_url, oldest_cursor(rig)))
        rig.start()
        for number in range(1, kills + 1):
            rig.wait_for(EVENTS * number // (kills + 1))
            rig.relay.crash()
        rig.wait_for(EVENTS)
        wait_until_mostly_forgotten(rig, live)
        expected = rig.stop()
        check_readers(rig, [live], expected)
        assert rig.archive()["failures"] == 0


@pytest.mark.timeout(400)
def test_a_bucket_that_is_lost_pauses_the_upstream_and_loses_nothing(rig: Rig) -> None:
    with ExitStack() as stack:
        live = stack.enter_context(Subscriber(rig.relay.ws_url, oldest_cursor(rig)))
        rig.relay.rehearse("lose_bucket")
        rig.start()
        wait_until(lambda: "archive" in rig.relay.upstream()["pauses"], LIMIT_S, "paused by a full log")
        assert rig.archive()["failures"] > 0
        assert "lost" in rig.archive()["last_problem"]
        assert rig.relay.forgotten_up_to() == 0
        assert rig.relay.get("/health")[0] == 503
        paused_at = rig.emitted
        rig.relay.rehearse("find_bucket")
        rig.wait_for(max(EVENTS, paused_at + EVENTS // 2))
        wait_until_mostly_forgotten(rig, live)
        expected = rig.stop()
        check_readers(rig, [live], expected)
        assert rig.archive()["last_problem"] == ""
