"""The snapshot of a node: every field from a little traffic, and the rates between two of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, get_type_hints

import pytest

from edgerelay import __version__
from edgerelay.api.snapshot import (
    AccountsState,
    ArchiveState,
    HotLogState,
    IdentityState,
    ShardState,
    Snapshot,
    StorageState,
    UpstreamReport,
)
from edgerelay.archive.batch import Batch
from edgerelay.archive.codec import ZlibCodec
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.config import Settings
from edgerelay.relay.events import (
    Event,
    FramesReceived,
    LogFilled,
    ShardAcked,
    ShardAsked,
    ShardOpened,
    StatusTold,
    TextReceived,
    TimePassed,
    UpstreamClosed,
    UpstreamOpened,
)
from edgerelay.relay.lookups import Inquiry, LookupAnswer
from edgerelay.relay.reject import TOLERABLE, RejectReason
from edgerelay.relay.roster import ShardLoad
from edgerelay.relay.vetting import CheckSignatures, IdentitiesResolved, LookupsDue
from edgerelay.runtime.interpreter import Ports
from edgerelay.runtime.memory import MemoryObjects, MemoryQueue
from edgerelay.runtime.node import Node
from edgerelay.runtime.ports import Verifier
from edgerelay.runtime.schema import SCHEMA_VERSION
from edgerelay.runtime.snapshot import SnapshotTaker
from edgerelay.runtime.sql import Sqlite
from edgerelay.runtime.verification import HeldVerifier
from tests.coroutines import finished, no_pause
from tests.oracle import frames

START_US = frames.NOW_US
S_US = 1_000_000
ALICE, BOB = frames.did(1), frames.did(2)
OBJECTS = [
    ("", Snapshot),
    ("upstream", UpstreamReport),
    ("identity", IdentityState),
    ("accounts", AccountsState),
    ("hot_log", HotLogState),
    ("archive", ArchiveState),
    ("storage", StorageState),
]


class Platform:
    """A platform on which every call succeeds and nothing happens by itself."""

    now_us = START_US

    def __init__(self) -> None:
        self.inquiries: list[Inquiry] = []
        self.asked: list[str] = []

    def clock(self) -> int:
        return self.now_us

    def open(self, connection: int, cursor: int | None) -> None:
        pass

    def close(self, name: int | str) -> None:
        pass

    def dial(self, shard: str, region: str) -> None:
        pass

    def send_batch(self, shard: str, batch: Batch) -> None:
        pass

    def send_head(self, shard: str, last_seq: int) -> None:
        pass

    def set(self, at_us: int) -> None:
        pass

    def check(self, batch: CheckSignatures) -> None:
        pass

    def look_up(self, inquiry: Inquiry) -> None:
        self.inquiries.append(inquiry)

    def ask_status(self, did: str, origin: str) -> None:
        self.asked.append(did)

    def write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        pass


class Life:
    """A node on `Platform`, and the snapshots that are taken of it."""

    def __init__(self, **settings: str) -> None:
        self.platform = platform = Platform()
        chosen = Settings.from_mapping(
            {"UPSTREAM": "wss://pds.test", "UPSTREAM_START": "oldest", "VERIFY": "trusted", **settings}
        )
        self.sql = Sqlite()
        self.objects = MemoryObjects()
        ports = Ports(
            upstream=platform,
            shards=platform,
            signatures=platform,
            identities=platform,
            objects=self.objects,
            queue=MemoryQueue(),
            codec=ZlibCodec(),
            timer=platform,
            lookup_timer=platform,
            log=platform,
            clock=platform.clock,
            random=lambda: 0.0,
            intercept=self.hold,
        )
        self.node = Node(chosen, self.sql, ports)
        finished(self.node.recover(no_pause))
        self.taker = SnapshotTaker(chosen, self.node, self.sql, "isolate-1", START_US)
        self.node.turn(TimePassed())

    def hold(self, verifier: Verifier) -> Verifier:
        self.held = HeldVerifier(verifier, self.deliver)
        return self.held

    def deliver(self, event: Event) -> None:
        self.node.turn(event)

    def at(self, after_us: int) -> Life:
        """Set the clock."""
        self.platform.now_us = START_US + after_us
        return self

    def connect(self) -> None:
        self.node.turn(UpstreamOpened(self.node.relay.host.upstream.connection, None, "pds"))

    def receive(self, some: Sequence[bytes]) -> None:
        """Frames arrive, and what they became is flushed."""
        self.node.turn(FramesReceived(self.node.relay.host.upstream.connection, list(some)))
        self.platform.now_us += S_US // 10
        self.node.turn(TimePassed())

    def resolve(self, answer: LookupAnswer) -> None:
        """Everything that was asked for gets the same answer."""
        inquiries, self.platform.inquiries = self.platform.inquiries, []
        for inquiry in inquiries:
            self.node.turn(IdentitiesResolved(inquiry, [answer] * len(inquiry.dids)))
        self.receive([])

    def take(self, flush_ms: Sequence[float] = ()) -> Snapshot:
        return self.taker.take(self.platform.now_us, list(flush_ms))


Live = Callable[..., Life]


@pytest.fixture
def live() -> Iterator[Live]:
    """Makes nodes, by their settings."""
    with ExitStack() as stack:

        def make(**settings: str) -> Life:
            life = Life(**settings)
            stack.callback(life.sql.close)
            return life

        yield make


def identities(first: int, count: int, did: str = ALICE) -> list[bytes]:
    return [frames.identity(seq, did, time_us=START_US - S_US) for seq in range(first, first + count)]


class TestShape:
    @pytest.mark.parametrize(("name", "kind"), OBJECTS)
    def test_every_field_is_there_and_of_its_type(self, live: Live, name: str, kind: Any) -> None:
        life = live()
        life.connect()
        life.receive(identities(1, 3))
        taken: Any = life.take([1.5])
        part, hints = (taken[name] if name else taken), get_type_hints(kind)
        assert part.keys() == hints.keys()
        plain = {key: hint for key, hint in hints.items() if hint in (str, int, float)}
        assert {key: hint for key, hint in plain.items() if not isinstance(part[key], hint)} == {}

    def test_it_crosses_as_json_and_comes_out_the_same(self, live: Live) -> None:
        life = live()
        life.connect()
        life.node.turn(ShardAsked("live-0", "weur"))
        life.receive([*identities(1, 3), b"\xa0"])
        life.node.turn(LogFilled(full=True))
        taken = life.take([1.5])
        assert json.loads(json.dumps(taken)) == taken
        assert taken["shards"][0].keys() == get_type_hints(ShardState).keys()

    def test_it_says_who_it_is(self, live: Live) -> None:
        taken = live(VERIFY="lenient").at(5 * S_US).take([2.5, 3.5])
        assert (taken["version"], taken["isolate"], taken["verify"]) == (__version__, "isolate-1", "lenient")
        assert (taken["environment"], taken["retention_days"]) == ("develop", 62)
        assert (taken["started_us"], taken["now_us"]) == (START_US, START_US + 5 * S_US)
        assert taken["flush_ms"] == [2.5, 3.5]


class TestUpstream:
    def test_before_anything_arrived(self, live: Live) -> None:
        upstream = live().at(3 * S_US).take()["upstream"]
        assert (upstream["url"], upstream["kind"], upstream["state"]) == ("wss://pds.test", "", "connecting")
        assert (upstream["since_us"], upstream["away_us"]) == (START_US, 3 * S_US)
        assert (upstream["connection"], upstream["sockets"], upstream["frames"]) == (1, 0, 0)
        assert (upstream["newest_time_us"], upstream["lag_us"]) == (0, 0)
        assert upstream["rejects"] == dict.fromkeys(map(str, RejectReason), 0)

    def test_what_arrived(self, live: Live) -> None:
        life = live().at(S_US)
        life.connect()
        some = [*identities(1, 3), b"\xa0", *identities(3, 1)]
        life.receive(some)
        life.node.turn(TextReceived(1))
        upstream = life.at(9 * S_US).take()["upstream"]
        assert (upstream["state"], upstream["since_us"], upstream["away_us"]) == ("live", START_US + S_US, 0)
        assert (upstream["kind"], upstream["sockets"], upstream["low"]) == ("pds", 1, 3)
        assert (upstream["frames"], upstream["bytes"]) == (5, sum(map(len, some)))
        counted = {reason: count for reason, count in upstream["rejects"].items() if count}
        assert counted == {"bad_header": 1, "seq_order": 1, "text_frame": 1}
        assert (upstream["newest_time_us"], upstream["lag_us"]) == (START_US - S_US, 10 * S_US)

    def test_a_host_whose_clock_is_ahead_has_no_lag(self, live: Live) -> None:
        life = live()
        life.connect()
        life.receive([frames.identity(1, ALICE, time_us=START_US + 5 * S_US)])
        assert life.take()["upstream"]["lag_us"] == 0

    def test_what_waits_and_what_is_done_behind_it(self, live: Live) -> None:
        life = live()
        life.connect()
        life.held.hold(ALICE)
        life.receive([*identities(1, 1), *identities(2, 2, ALICE), *identities(4, 3, BOB)])
        upstream = life.take()["upstream"]
        assert (upstream["in_flight"], upstream["waiting_accounts"]) == (3, 1)
        assert (upstream["low"], upstream["done"]) == (0, [[4, 6]])
        life.held.release()
        upstream = life.take()["upstream"]
        assert (upstream["in_flight"], upstream["waiting_accounts"]) == (0, 0)
        assert (upstream["low"], upstream["done"]) == (6, [])

    def test_repeats_after_a_reconnect_and_a_host_that_began_anew(self, live: Live) -> None:
        life = live()
        life.connect()
        life.receive(identities(1, 3))
        life.node.turn(UpstreamClosed(1, "closed 1006"))
        life.at(9 * S_US).node.turn(TimePassed())
        life.connect()
        life.receive(identities(2, 3))
        upstream = life.take()["upstream"]
        assert (upstream["repeats"], upstream["resets"], upstream["epoch"], upstream["low"]) == (2, 0, 0, 4)
        assert (upstream["connection"], upstream["sockets"]) == (2, 2)
        life.receive([frames.error("FutureCursor", "cursor in the future")])
        upstream = life.take()["upstream"]
        assert (upstream["repeats"], upstream["resets"], upstream["epoch"], upstream["low"]) == (2, 1, 1, 0)

    def test_problems_and_pauses_by_name(self, live: Live) -> None:
        life = live()
        life.connect()
        life.node.turn(UpstreamClosed(1, "closed 1006"))
        upstream = life.take()["upstream"]
        assert (upstream["state"], upstream["last_problem"]) == ("backing_off", "closed 1006")
        life.node.turn(LogFilled(full=True))
        upstream = life.take()["upstream"]
        assert (upstream["state"], upstream["pauses"]) == ("paused", ["archive"])

    def test_a_relay_that_shall_not_subscribe(self, live: Live) -> None:
        upstream = live(UPSTREAM="").take()["upstream"]
        assert (upstream["url"], upstream["state"], upstream["connection"]) == ("", "stopped", 0)


class TestIdentities:
    """A PDS whose directory answers as the test says."""

    def test_before_anybody_was_asked_for(self, live: Live) -> None:
        nothing = {"directory_down": False, "waiting": 0, "refused": 0, "asked": 0, "failed": 0}
        assert live(VERIFY="strict").take()["identity"] == nothing

    def test_who_waits_and_who_was_found(self, live: Live) -> None:
        life = live(VERIFY="strict")
        life.connect()
        life.receive([*identities(1, 2, ALICE), *identities(3, 1, BOB)])
        taken = life.take()
        assert (taken["identity"]["waiting"], taken["identity"]["asked"]) == (2, 2)
        assert (taken["upstream"]["in_flight"], taken["upstream"]["waiting_accounts"]) == (3, 2)
        life.resolve(Identity(ALICE, None, "https://pds.test", None))
        taken = life.take()
        assert (taken["identity"]["waiting"], taken["identity"]["failed"], taken["events"]) == (0, 0, 3)

    def test_who_was_not_found_is_remembered(self, live: Live) -> None:
        life = live(VERIFY="strict", IDENTITY_DEADLINE_S="1")
        life.connect()
        life.receive(identities(1, 1))
        life.resolve(Absence.NOT_FOUND)
        life.at(2 * S_US).node.turn(LookupsDue())
        life.resolve(Absence.NOT_FOUND)
        taken = life.take()
        assert (taken["identity"]["refused"], taken["identity"]["asked"]) == (1, 2)
        assert taken["upstream"]["rejects"]["no_identity"] == 1

    def test_a_directory_that_is_down(self, live: Live) -> None:
        life = live(VERIFY="strict")
        life.connect()
        life.receive([frames.identity(seq, frames.did(seq), time_us=START_US) for seq in range(1, 11)])
        life.resolve(LookupFailure("HTTP 503", is_directory=True, is_final=False, retry_after_s=0))
        taken = life.take()
        assert (taken["identity"]["directory_down"], taken["identity"]["failed"]) == (True, 10)
        assert (taken["upstream"]["state"], taken["upstream"]["pauses"]) == ("paused", ["identity"])

    def test_what_is_tolerated_is_counted_by_reason_from_zero(self, live: Live) -> None:
        life = live(VERIFY="lenient", IDENTITY_DEADLINE_S="1")
        assert life.take()["upstream"]["tolerated"] == dict.fromkeys(map(str, sorted(TOLERABLE)), 0)
        life.connect()
        life.receive(identities(1, 2))
        life.resolve(Absence.NOT_FOUND)
        life.at(2 * S_US).node.turn(LookupsDue())
        life.resolve(Absence.NOT_FOUND)
        taken = life.take()
        assert {reason: count for reason, count in taken["upstream"]["tolerated"].items() if count} == {
            "no_identity": 2
        }
        assert (taken["events"], taken["upstream"]["rejects"]["no_identity"]) == (2, 0)


class TestAccounts:
    def test_what_breaks_a_chain_is_counted(self, live: Live) -> None:
        life = live()
        life.connect()
        life.receive([frames.commit(1, ALICE, frames.tid(7)), frames.commit(2, ALICE, frames.tid(9))])
        assert life.take()["accounts"] == {"chain_breaks": 1, "restated": 0}

    def test_what_is_said_in_place_of_a_host_is_counted(self, live: Live) -> None:
        life = live()
        life.connect()
        life.receive([frames.account(1, ALICE, active=False), frames.commit(2, ALICE, frames.tid(7))])
        assert (life.platform.asked, life.take()["events"]) == ([ALICE], 1)
        life.node.turn(StatusTold(ALICE, active=True))
        life.receive([])
        assert (life.take()["accounts"]["restated"], life.take()["events"]) == (1, 3)


class TestLogAndShards:
    def test_an_empty_log(self, live: Live) -> None:
        log = live().take()["hot_log"]
        assert set(log.values()) == {0}

    def test_what_was_stored(self, live: Live) -> None:
        life = live().at(S_US)
        life.connect()
        life.receive(identities(1, 2))
        life.receive(identities(3, 1))
        taken = life.take()
        log, storage = taken["hot_log"], taken["storage"]
        assert (log["oldest_seq"], log["last_seq"]) == (START_US + S_US, START_US + S_US + S_US // 10)
        assert (log["batches"], log["missing_up_to"]) == (2, 0)
        # Our numbers take nine bytes in a frame, where the host's took one.
        assert taken["bytes"] == sum(map(len, identities(1, 3))) + 3 * 8
        assert log["bytes"] > taken["bytes"]
        assert log["ring_bytes"] > 0
        assert (taken["events"], storage["flushes"], storage["failures"]) == (3, 2, 0)
        assert storage["schema_version"] == SCHEMA_VERSION

    def test_what_waits_for_the_archive_and_what_is_in_it(self, live: Live) -> None:
        life = live().at(S_US)
        life.connect()
        life.receive(identities(1, 2))
        waiting = life.take()["archive"]
        assert waiting["waiting_bytes"] == life.take()["hot_log"]["bytes"] > 0
        assert {waiting[name] for name in ("archived_seq", "groups", "bytes", "failures")} == {0}
        life.at(120 * S_US)
        life.objects.problem = "no bucket"
        finished(life.node.archivist.run(lambda: asyncio.sleep(0)))
        failed = life.take()["archive"]
        assert (failed["failures"], failed["last_problem"], failed["groups"]) == (1, "no bucket", 0)
        life.at(240 * S_US)
        life.objects.problem = ""
        finished(life.node.archivist.run(lambda: asyncio.sleep(0)))
        taken = life.take()
        stored = taken["archive"]
        assert (stored["archived_seq"], stored["waiting_bytes"]) == (taken["hot_log"]["last_seq"], 0)
        assert (stored["groups"], stored["failures"], stored["last_problem"]) == (1, 1, "")
        assert stored["bytes"] == sum(len(data) for key, data in life.objects.objects.items() if key.endswith(".ers"))

    def test_a_clock_that_fell_behind_the_numbers_is_counted(self, live: Live) -> None:
        life = live().at(1_200 * S_US)
        life.connect()
        life.receive(identities(1, 1))
        assert life.take()["clock_behind"] == 0
        life.at(0).receive(identities(2, 1))
        assert life.take()["clock_behind"] == 1

    def test_a_checkpoint(self, live: Live) -> None:
        life = live(CHECKPOINT_S="5")
        life.connect()
        life.receive(identities(1, 1))
        assert life.take()["storage"]["checkpoint_seq"] == 0
        life.at(6 * S_US).node.turn(TimePassed())
        taken = life.take()
        assert taken["storage"]["checkpoint_seq"] == taken["hot_log"]["last_seq"]

    def test_a_storage_that_refuses_is_told_with_its_words(self, live: Live) -> None:
        life = live()
        life.connect()
        life.receive(identities(1, 1))
        life.sql.execute("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no room'); END")
        life.receive(identities(2, 1))
        taken = life.take()
        assert (taken["storage"]["failures"], taken["upstream"]["pauses"]) == (1, ["storage"])
        assert "no room" in taken["upstream"]["last_problem"]
        assert (taken["hot_log"]["batches"], taken["upstream"]["low"], taken["upstream"]["connection"]) == (1, 1, 1)

    def test_shards_with_readers(self, live: Live) -> None:
        life = live()
        life.node.turn(ShardAsked("live-0", "weur"))
        assert [each["state"] for each in life.take()["shards"]] == ["dialing"]
        life.node.turn(ShardOpened("live-0"))
        load = ShardLoad(1, 60, 3_000, 1_000, {"gone": 2})
        life.node.turn(ShardAcked("live-0", 7, 3, "an isolate", buffered_amount=True, load=load))
        told: dict[str, object] = {"behind": 1, "deliveries_per_s": 60, "deliveries": 3_000, "prepared": 1_000}
        told |= {"isolate": "an isolate", "buffered_amount": True}
        assert life.take()["shards"] == [
            {"name": "live-0", "region": "weur", "state": "open", "clients": 3, "acked_seq": 7, **told}
        ]
        life.node.turn(ShardAcked("live-0", 7, 0, load=ShardLoad(endings={"gone": 1, "too_slow": 1})))
        assert (life.take()["shards"], life.take()["endings"]) == ([], {"gone": 3, "too_slow": 1})


class TestRate:
    def write(self, life: Life, rows: int) -> None:
        for _ in range(rows):
            life.sql.execute("INSERT OR REPLACE INTO hosts VALUES (9, '')")

    def rate(self, life: Life, after_us: int) -> float:
        return life.at(after_us).take()["storage"]["rows_per_s"]

    def test_rows_between_two_snapshots(self, live: Live) -> None:
        life = live()
        self.write(life, 30)
        assert self.rate(life, 2 * S_US) == 15.0
        self.write(life, 10)
        assert self.rate(life, 6 * S_US) == 2.5
        assert self.rate(life, 7 * S_US) == 0.0

    def test_snapshots_in_quick_succession_keep_the_rate_of_the_second_before(self, live: Live) -> None:
        life = live()
        self.write(life, 20)
        assert self.rate(life, S_US) == 20.0
        self.write(life, 500)
        assert [self.rate(life, S_US + after_us) for after_us in (0, 1, S_US - 1)] == [20.0] * 3
        assert self.rate(life, 2 * S_US) == 500.0

    def test_a_rate_is_rounded_and_the_total_is_not(self, live: Live) -> None:
        life = live()
        before = life.sql.rows_written
        self.write(life, 10)
        storage = life.at(3 * S_US).take()["storage"]
        assert (storage["rows_per_s"], storage["rows_written"]) == (3.3, before + 10)

    def test_a_clock_that_steps_back_does_not_stop_it(self, live: Live) -> None:
        life = live()
        self.write(life, 20)
        assert self.rate(life, 1_200 * S_US) == 0.0
        assert self.rate(life, 0) == 0.0
        self.write(life, 40)
        assert self.rate(life, 2 * S_US) == 20.0
