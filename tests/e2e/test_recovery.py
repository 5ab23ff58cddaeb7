"""RelayState's storage is lost: the archive and the host give the stream back, and readers go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, seen, wait_until
from tests.e2e.test_state import database

LIMIT_S = 90.0
SETTINGS = {"SEAL_S": "1", "ALARM_S": "5", "BACKOFF_CAP_S": "2"}


@pytest.fixture
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="recovery", hosts=2, accounts=12)) as network:
        yield network


def relay_of(background: NetworkThread, state_dir: Path, **more: str) -> Relay:
    return Relay(state_dir, {**upstream_settings(background), **SETTINGS, **more})


def emit(background: NetworkThread, events: int) -> list[Seen]:
    """The host emits some more; returns all that it ever did."""
    background.call(lambda network: network.traffic.run(events))
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def wait_archived(relay: Relay) -> None:
    def is_archived() -> bool:
        state = relay.state()
        return bool(state["archive"]["archived_seq"] == state["hot_log"]["last_seq"] > 0)

    wait_until(is_archived, LIMIT_S, "everything is archived")


def lose_storage(state_dir: Path) -> None:
    """RelayState's file is gone, with what stands beside it; the bucket's is not."""
    path = database(state_dir)
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


@pytest.mark.timeout(400)
def test_a_relay_without_its_storage_goes_on_where_the_archive_ends(tmp_path: Path, background: NetworkThread) -> None:
    with ExitStack() as stack:
        relay = stack.enter_context(relay_of(background, tmp_path))
        reader = stack.enter_context(Subscriber(relay.ws_url, 0))
        archived = emit(background, 150)
        reader.wait_for(len(archived), LIMIT_S)
        wait_archived(relay)
        relay.rehearse("lose_bucket")
        shown = emit(background, 100)
        reader.wait_for(len(shown), LIMIT_S)
        before, last_shown = reader.events, reader.seqs[-1]
    lose_storage(tmp_path)
    emitted = emit(background, 50)
    with relay_of(background, tmp_path) as relay:
        with Subscriber(relay.ws_url, before[0].seq) as whole, Subscriber(relay.ws_url, last_shown + 1) as other:
            whole.wait_for(len(emitted), LIMIT_S)
            check_arrived(whole.events, emitted)
            assert [each.raw for each in whole.events[: len(archived)]] == [
                each.raw for each in before[: len(archived)]
            ]
            assert all(first < second for first, second in pairwise(whole.seqs))
            assert whole.seqs[len(archived)] > last_shown, "what was lost has new numbers"
            other.wait_for(len(emitted) - len(archived), LIMIT_S)
            assert [each.raw for each in other.events] == [each.raw for each in whole.events[len(archived) :]]
            assert not whole.infos
            assert not other.infos
            emitted = emit(background, 20)
            whole.wait_for(len(emitted), LIMIT_S)
            check_arrived(whole.events, emitted)
        assert relay.upstream()["rejects"]["stale_rev"] == 0


@pytest.mark.timeout(400)
def test_what_neither_the_archive_nor_the_host_tells_is_a_hole_that_is_told(
    tmp_path: Path, background: NetworkThread
) -> None:
    with relay_of(background, tmp_path) as relay, Subscriber(relay.ws_url, 0) as reader:
        archived = emit(background, 60)
        reader.wait_for(len(archived), LIMIT_S)
        wait_archived(relay)
        first_seq = reader.seqs[0]
    lose_storage(tmp_path)
    other = background.call(lambda network: network.hosts[1].ws_url)
    with relay_of(background, tmp_path, UPSTREAM=other) as relay:
        relay.wait_live()
        with Subscriber(relay.ws_url, first_seq) as reader:
            wait_until(lambda: bool(reader.infos), LIMIT_S, "the hole is told")
            wait_until(lambda: len(reader.events) > len(archived), LIMIT_S, "events of the other host")
            check_arrived(reader.events[: len(archived)], archived)
            assert len(reader.infos) == 1
