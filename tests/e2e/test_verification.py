"""Every event verified, on the real runtime: what is wrong is refused by its reason, and what is right passes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgerelay.relay.reject import RejectReason
from edgerelay_dev.network import MALFORMED, Fate, SimulatedNetwork, inject
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.plc import LookupFault
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, check_equal, seen, wait_until

ARRIVE_LIMIT_S = 90.0
DEADLINE_S = 2

TOO_LARGE_TO_RENUMBER = {"largest_frame"}
"""Right as they come, and refused all the same: with our longer number they would be over the limit."""


@contextmanager
def network(**options: Any) -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="verification", **{"accounts": 6, **options})) as background:
        yield background


def emitted(background: NetworkThread, host: int = 0) -> list[Seen]:
    """Everything that a host has emitted, as long as it is made of right frames only."""
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[host].frames))]


def expect(subscriber: Subscriber, events: list[Seen]) -> None:
    """These events and no others arrive."""
    subscriber.wait_for(len(events), ARRIVE_LIMIT_S)
    check_arrived(subscriber.events, events)
    assert subscriber.seqs == sorted(set(subscriber.seqs))


def first_account(background: NetworkThread) -> Account:
    return background.call(lambda network: next(iter(network.hosts[0].accounts.values())))


def rejects(relay: Relay) -> dict[str, int]:
    return {reason: count for reason, count in relay.upstream()["rejects"].items() if count}


def offer(background: NetworkThread, name: str) -> list[Seen]:
    """Emit a malformed frame; returns the events that are to be kept, it or what a host emits before it."""

    def run(network: SimulatedNetwork) -> list[Seen]:
        host = network.hosts[0]
        before = len(host.frames)
        inject(host, name)
        kind = MALFORMED[name]
        is_kept = kind.fate in (Fate.KEEP, Fate.BREAK) and name not in TOO_LARGE_TO_RENUMBER
        new = host.frames[before:]
        return [seen(each.frame) for each in (new if is_kept else new[:-1])]

    return background.call(run)


def write(background: NetworkThread, count: int = 1) -> list[Seen]:
    """Let accounts write; returns what that emitted."""

    def run(network: SimulatedNetwork) -> list[Seen]:
        before = len(network.hosts[0].frames)
        network.traffic.run(count)
        return [seen(each.frame) for each in network.hosts[0].frames[before:]]

    return background.call(run)


def act(background: NetworkThread, action: Callable[[Host], object], host: int = 0) -> list[Seen]:
    """Let a host do something; returns what it emitted by that."""

    def run(network: SimulatedNetwork) -> list[Seen]:
        before = len(network.hosts[host].frames)
        action(network.hosts[host])
        return [seen(each.frame) for each in network.hosts[host].frames[before:]]

    return background.call(run)


@pytest.mark.timeout(400)
def test_every_malformed_frame_and_every_reason(tmp_path: Path) -> None:
    """One frame of each kind between right events: what is wrong is dropped and counted, the stream goes on."""
    with network() as background:
        settings = {**upstream_settings(background), "IDENTITY_DEADLINE_S": str(DEADLINE_S), "ADMIN_TOKEN": "t"}
        with Relay(tmp_path, settings) as relay, Subscriber(relay.ws_url, 0) as subscriber:
            expected = emitted(background)
            for name in MALFORMED:
                expected += offer(background, name) + write(background)
            expect(subscriber, expected)
            expected += provoke_by_the_directory(background)
            expect(subscriber, expected)
            every = {str(reason) for reason in RejectReason}
            wait_until(lambda: set(rejects(relay)) == every, ARRIVE_LIMIT_S, "every reason is counted")
            host = background.call(lambda network: network.hosts[0].hostname)
            status, report = relay.get(f"/hosts/{host}/rejects")
            assert (status, set(report["reasons"])) == (200, every)
            assert relay.get(f"/admin/hosts/{host}/rejects")[0] == 401
            status, report = relay.get(f"/admin/hosts/{host}/rejects", headers={"authorization": "Bearer t"})
            assert (status, bool(report["reasons"]["bad_car"]["frame"])) == (200, True)
            breaks = sum(kind.fate is Fate.BREAK for kind in MALFORMED.values())
            assert relay.state()["accounts"]["chain_breaks"] >= breaks > 0


def provoke_by_the_directory(background: NetworkThread) -> list[Seen]:
    """Of one account the key goes, of another the document becomes nonsense; returns what still passes."""

    def run(network: SimulatedNetwork) -> list[Seen]:
        host, directory = network.hosts[0], network.directory
        keyless, senseless = [account for account in host.accounts.values() if account.active][:2]
        del directory.documents[keyless.did]["verificationMethod"]
        directory.fail(LookupFault(body=json.dumps({"id": senseless.did, "x": [[]] * 1_000})), did=senseless.did)
        kept = host.announce_identity(keyless)
        host.commit(keyless)
        host.announce_identity(senseless)
        return [seen(kept.frame)]

    return background.call(run)


def test_a_key_that_was_rotated_a_moment_ago(tmp_path: Path) -> None:
    """With `#identity` and without: a signature that does not fit the known key is held against the new one."""
    with (
        network() as background,
        Relay(tmp_path, upstream_settings(background)) as relay,
        Subscriber(relay.ws_url, 0) as subscriber,
    ):
        expected = emitted(background)
        expect(subscriber, expected)
        account = first_account(background)

        def rotate_in_silence(host: Host) -> None:
            account.next_key(host.seed, "p256")
            host.directory.publish(account)
            host.commit(account)

        expected += act(background, lambda host: (host.rotate_key(account), host.commit(account)))
        expect(subscriber, expected)
        expected += act(background, rotate_in_silence)
        expected += act(background, lambda host: host.commit(account))
        expect(subscriber, expected)
        assert (rejects(relay), relay.state()["accounts"]["chain_breaks"]) == ({}, 0)


@pytest.mark.parametrize("fault", [LookupFault(status=503), LookupFault(hangup=True)], ids=["503", "hangs up"])
def test_a_directory_that_is_down_refuses_nothing(tmp_path: Path, fault: LookupFault) -> None:
    with (
        network() as background,
        Relay(tmp_path, {**upstream_settings(background), "IDENTITY_DEADLINE_S": str(DEADLINE_S)}) as relay,
        Subscriber(relay.ws_url, 0) as subscriber,
    ):
        expected = emitted(background)
        expect(subscriber, expected)
        background.call(lambda network: network.directory.fail(fault))
        expected += act(background, lambda host: [host.create_account() for _ in range(4)])
        wait_until(lambda: relay.upstream()["pauses"] == ["identity"], ARRIVE_LIMIT_S, "a pause for the directory")
        assert relay.state()["identity"]["directory_down"]
        assert relay.get("/health")[0] == 503
        expected += write(background, 20)
        background.call(lambda network: network.directory.heal())
        expect(subscriber, expected)
        assert (rejects(relay), relay.upstream()["state"]) == ({}, "live")


def test_accounts_that_move_between_hosts(tmp_path: Path) -> None:
    """The relay follows the first host. Who comes is followed; what is said of who has left is refused."""
    with (
        network(hosts=2) as background,
        Relay(tmp_path, upstream_settings(background)) as relay,
        Subscriber(relay.ws_url, 0) as subscriber,
    ):
        expected = emitted(background)
        expect(subscriber, expected)
        leaver = first_account(background)
        comers = background.call(lambda network: list(network.hosts[1].accounts.values()))

        def come(network: SimulatedNetwork) -> list[Seen]:
            here, there = network.hosts
            moved = here.take_over(comers[0], there)
            # What the reference PDS sends after a migration: the old host's commit under a newer rev. It is refused.
            *announced, _ = here.take_over(comers[1], there, unsigned_import=True)
            written = [here.commit(account) for account in comers[:2]]
            return [seen(each.frame) for each in (*moved, *announced, *written)]

        expected += background.call(come)
        background.call(lambda network: network.hosts[1].take_over(leaver, network.hosts[0]))
        expected += write(background)
        expect(subscriber, expected)
        wait_until(lambda: rejects(relay) == {"commit_mismatch": 1, "wrong_host": 1}, ARRIVE_LIMIT_S, "two refusals")
        assert relay.state()["accounts"]["chain_breaks"] == 0


def test_an_account_that_its_host_took_out_is_asked_about(tmp_path: Path) -> None:
    with (
        network() as background,
        Relay(tmp_path, upstream_settings(background)) as relay,
        Subscriber(relay.ws_url, 0) as subscriber,
    ):
        expected = emitted(background)
        gone, back = background.call(lambda network: list(network.hosts[0].accounts.values())[:2])
        for account in (gone, back):
            expected += act(background, lambda host, account=account: host.set_status(account, "deactivated"))  # type: ignore[misc]
        expect(subscriber, expected)
        assert relay.get(f"/xrpc/com.atproto.sync.getRepoStatus?did={gone.did}") == (
            200,
            {"did": gone.did, "active": False, "status": "deactivated"},
        )
        back.status = None  # its host says so to nobody
        refused = act(background, lambda host: host.commit(gone))
        passed = act(background, lambda host: host.commit(back))
        expected += act(background, lambda host: host.announce_identity(gone))
        subscriber.wait_for(len(expected) + 2, ARRIVE_LIMIT_S)
        essences = [event.essence for event in subscriber.events]
        assert passed[0].essence in essences
        assert refused[0].essence not in essences
        [restated] = [event for event in subscriber.events if event.kind == "#account" and event.body["active"]][-1:]
        assert (restated.did, restated.seq < subscriber.seqs[essences.index(passed[0].essence)]) == (back.did, True)
        wait_until(lambda: rejects(relay) == {"inactive_account": 1}, ARRIVE_LIMIT_S, "one refusal")
        status, answer = relay.get(f"/xrpc/com.atproto.sync.getRepoStatus?did={back.did}")
        assert (status, answer["active"], bool(answer["rev"])) == (200, True, True)


@pytest.mark.timeout(240)
def test_a_relay_behind_a_relay_refuses_nothing(tmp_path: Path) -> None:
    with network() as background, Relay(tmp_path / "first", upstream_settings(background)) as first:
        second_settings = {**upstream_settings(background), "UPSTREAM": first.ws_url}
        with Relay(tmp_path / "second", second_settings) as second, Subscriber(second.ws_url, 0) as subscriber:
            account = first_account(background)
            background.call(lambda network: network.traffic.run(300))
            expect(subscriber, emitted(background))
            act(background, lambda host: (host.rotate_key(account), host.commit(account)))
            expect(subscriber, emitted(background))
            wait_until(lambda: second.upstream()["kind"] == "relay", ARRIVE_LIMIT_S, "the kind of the upstream")
            assert (rejects(first), rejects(second)) == ({}, {})
            assert second.state()["accounts"]["chain_breaks"] == 0


@pytest.mark.timeout(300)
def test_killed_while_one_identity_does_not_come(tmp_path: Path) -> None:
    """The look-ups of one account stall; the others flow, its events come when they do: no break, none twice."""
    events, kills, rate = 2_400, 6, 250
    chance = random.Random(6)
    with ExitStack() as stack:
        background = stack.enter_context(network(accounts=10))
        stalled = first_account(background).did
        background.call(lambda network: network.directory.fail(LookupFault(stall=True), did=stalled))
        settings = {**upstream_settings(background), "IDENTITY_DEADLINE_S": "3600"}
        relay = stack.enter_context(Relay(tmp_path, settings))
        relay.wait_live()
        subscribers = [stack.enter_context(Subscriber(relay.ws_url, 0)) for _ in range(2)]
        background.call(lambda network: network.start_traffic(rate))
        for number in range(1, kills + 1):
            due = events * number // (kills + 1) + chance.randrange(100)
            wait_until(lambda due=due: len(background.network.hosts[0].frames) >= due, 60.0, f"{due} events")  # type: ignore[misc]
            relay.crash()
        wait_until(lambda: len(background.network.hosts[0].frames) >= events, 60.0, "the last event")
        background.wait_for(background.network.stop_traffic())
        expected = emitted(background)
        others = [event for event in expected if event.did != stalled]
        for subscriber in subscribers:
            subscriber.wait_for(len(others), ARRIVE_LIMIT_S)
        check_arrived(subscribers[0].events, others)
        background.call(lambda network: network.directory.heal())
        for subscriber in subscribers:
            subscriber.wait_for(len(expected), ARRIVE_LIMIT_S)
            check_arrived(subscriber.events, expected)
        first, second = subscribers
        check_equal([f"{x.seq} {x.essence}" for x in second.events], [f"{x.seq} {x.essence}" for x in first.events])
        assert (rejects(relay), relay.state()["accounts"]["chain_breaks"]) == ({}, 0)
