"""A whole relay without its platform: what is durable, what was shown, and what a restart finds.

`World` plays the host, one shard, the clock and the storage. The last test lets chance write history and compares what
is in the log with what the host did.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch
from edgerelay.archive.codec import ZLIB, ZlibCodec
from edgerelay.archive.firehose_block import open_batch
from edgerelay.atproto.frames import MAX_FRAME_BYTES
from edgerelay.atproto.identity import Identity
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.config import Settings
from edgerelay.errors import InvariantError, SchemaError
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.events import EventsVerified, ShardAsked, TimePassed
from edgerelay.relay.intake import Candidate
from edgerelay.relay.lookups import LOST_US
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.relay import STORAGE_RETRY_US
from edgerelay.relay.shard_commands import History
from edgerelay.relay.upstream import PauseReason, UpstreamState
from edgerelay.relay.vetting import LookupsDue
from edgerelay.runtime.archive_reader import ArchiveReader
from edgerelay.runtime.interpreter import Ports
from edgerelay.runtime.kept_lines import KeptLines
from edgerelay.runtime.memory import (
    ManualClock,
    ManualTimer,
    MemoryDirectory,
    MemoryLog,
    MemoryObjects,
    MemoryQueue,
    MemoryShards,
    MemorySignatures,
    MemoryUpstream,
)
from edgerelay.runtime.node import READ_BATCHES, READ_BYTES, Node
from edgerelay.runtime.replay import Replay
from edgerelay.runtime.schema import MIGRATIONS, SCHEMA_VERSION
from edgerelay.runtime.sql import Row, Sql, SqlError, Sqlite, SqlValue
from tests.coroutines import finished, no_pause
from tests.effects import Effects, LedObjects, LedQueue
from tests.oracle import frames
from tests.oracle.host import Happening, SlowHost
from tests.oracle.repo import Repo, is_signed

S_US = 1_000_000
ALICE, BOB = frames.did(1), frames.did(2)
SETTINGS = {"UPSTREAM": "wss://pds.test", "UPSTREAM_START": "oldest", "BACKOFF_CAP_S": "1", "CHECKPOINT_S": "5"}


class FullDisk:
    """Passes statements on; refuses writes from the one on that it is told."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self.writes_left: int | None = None

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        if self.writes_left is not None and not statement.startswith("SELECT"):
            if self.writes_left == 0:
                raise SqlError("database or disk is full")
            self.writes_left -= 1
        return self._sql.execute(statement, *params)

    def transaction(self, body: Callable[[], None]) -> None:
        self._sql.transaction(body)

    @property
    def rows_written(self) -> int:
        return self._sql.rows_written


class WitnessedShards(MemoryShards):
    """Looks into the file, as another process would, before it lets a batch out."""

    def __init__(self, deliver: Callable[[Any], None], file: Path) -> None:
        super().__init__(deliver)
        self._file = file

    def send_batch(self, shard: str, batch: Batch) -> None:
        witness = Sqlite(self._file)
        ((last_seq,),) = witness.execute("SELECT max(last_seq) FROM log")
        witness.close()
        assert last_seq >= batch.head.last_seq, "nothing is visible before it is durable"
        super().send_batch(shard, batch)


class SlowVerifier:
    """Keeps the events of some accounts until it is told otherwise, and refuses some for good."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.waiting: list[Candidate] = []

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        settled = []
        for each in candidates:
            if each.message.did in self._world.held:
                self.waiting.append(each)
            else:
                settled.append(self.judge(each))
        return settled

    def judge(self, candidate: Candidate) -> Candidate:
        is_bad = candidate.message.time in self._world.refused
        candidate.verdict = RejectReason.BAD_VALUE if is_bad else True
        return candidate

    def release(self, dids: set[str]) -> list[Candidate]:
        released = [each for each in self.waiting if each.message.did in dids]
        self.waiting = [each for each in self.waiting if each not in released]
        return [self.judge(each) for each in released]


class World:
    """A node, and everything around it."""

    def __init__(self, file: Path, **settings: str) -> None:
        self.file = file
        self.settings = Settings.from_mapping({**SETTINGS, **settings})
        self.clock = ManualClock(frames.NOW_US)
        self.host = SlowHost(inclusive=False, says_future=True)
        self.held: set[str] = set()
        self.refused: set[str] = set()
        self.shown: list[tuple[int, bytes]] = []
        self.sqlite: Sqlite | None = None
        self.objects = MemoryObjects()
        self.queue = MemoryQueue()
        self.effects = Effects()
        self.open()

    def open(self) -> None:
        """A node starts; whatever the one before it had in memory is gone."""
        self.sqlite = self.connect()
        self.sql = FullDisk(self.sqlite)
        self.verifier = SlowVerifier(self)
        self.log = MemoryLog()
        self.upstream = MemoryUpstream(self.deliver)
        self.shards = WitnessedShards(self.deliver, self.file)
        self.timer = ManualTimer(self.clock, lambda: self.deliver(TimePassed()))
        self.lookup_timer = ManualTimer(self.clock, lambda: self.deliver(LookupsDue()))
        self.signatures, self.directory = MemorySignatures(self.deliver), MemoryDirectory(self.deliver)
        ports = Ports(
            upstream=self.upstream,
            shards=self.shards,
            signatures=self.signatures,
            identities=self.directory,
            objects=LedObjects(self.effects, self.objects),
            queue=LedQueue(self.effects, self.queue),
            codec=ZlibCodec(),
            timer=self.timer,
            lookup_timer=self.lookup_timer,
            log=self.log,
            clock=self.clock,
            random=lambda: 0.5,
            intercept=lambda _: self.verifier,
        )
        self.node = Node(self.settings, self.sql, ports)
        finished(self.node.recover(no_pause))
        self.node.turn(TimePassed())

    def connect(self) -> Sqlite:
        """The storage, opened again."""
        if self.sqlite is not None:
            self.sqlite.close()
        return Sqlite(self.file)

    def deliver(self, event: Any) -> None:
        self.node.turn(event)

    def lose(self) -> None:
        """The storage is gone, and a node starts without it."""
        self.put_back(b"")

    def copy(self) -> bytes:
        """The storage as it is, between two nodes."""
        assert self.sqlite is not None
        self.sqlite.close()
        copied = self.file.read_bytes()
        self.open()
        return copied

    def put_back(self, copied: bytes) -> None:
        """A node starts with a copy of the storage, or with none."""
        assert self.sqlite is not None
        self.sqlite.close()
        for path in self.file.parent.glob(f"{self.file.name}*"):
            path.unlink()
        if copied:
            self.file.write_bytes(copied)
        self.open()

    def archive(self) -> None:
        """Store what is due."""
        finished(self.node.archivist.run(no_pause))

    # the host

    def happen(self, kind: str, account: int = 1, distance: int = 1) -> Happening:
        newest_us = self.host.events[-1].time_us if self.host.events else 0
        return self.host.happen(kind, account, max(newest_us + 1, self.clock.now_us), distance)

    def answer(self, host_time_us: int | None = None) -> None:
        """The host answers an attempt, if there is one."""
        if self.upstream.connection is None or self.upstream.is_open:
            return
        is_accepted = self.host.subscribe(self.upstream.cursor)
        self.upstream.accept(host_time_us, "pds")
        if not is_accepted:
            self.upstream.send(frames.error("FutureCursor", "that is not yet"))

    def send(self, count: int = 10**6) -> None:
        """What the host has to say arrives."""
        if self.upstream.is_open:
            taken = self.host.take(count)
            if taken:
                self.upstream.send(*taken)

    # time

    def wait(self, seconds: float) -> None:
        self.clock.now_us += int(seconds * S_US)
        self.timer.go_off()

    def live(self) -> World:
        self.answer()
        assert self.state is UpstreamState.LIVE
        return self

    def settle(self) -> None:
        """Time passes until nothing moves any more."""
        for _ in range(200):
            before = (self.node.relay.last_seq, self.upstream.connection, self.node.relay.in_flight.count)
            self.wait(1)
            self.answer()
            self.send()
            self.directory.tell(active=True)
            self.shard()
            if before == (self.node.relay.last_seq, self.upstream.connection, self.node.relay.in_flight.count):
                return
        raise AssertionError("it never comes to rest")

    def release(self) -> None:
        dids, self.held = self.held, set()
        self.deliver(EventsVerified(self.verifier.release(dids)))

    # the shard

    def join(self) -> None:
        self.deliver(ShardAsked("live", ""))
        self.shards.accept("live")

    def shard(self) -> None:
        """The shard takes what it was sent, reads what it missed, and acknowledges."""
        if "live" in self.shards.dialed:
            self.shards.accept("live")
        sent, self.shards.fed["live"] = self.shards.fed.get("live", []), []
        for each in sent:
            head = self.shown[-1][0] if self.shown else 0
            if isinstance(each, int):
                self.read_up_to(each)
            elif each.head.prev_seq != head:
                self.read_up_to(each.head.last_seq)
            else:
                self.shown += each.split()
        if sent:
            self.shards.acknowledge("live", self.shown[-1][0] if self.shown else 0, 1)

    def read_up_to(self, last_seq: int) -> None:
        while (self.shown[-1][0] if self.shown else 0) < last_seq:
            cursor = (self.shown[-1][0] if self.shown else 0) + 1
            batch, missing_up_to = self.node.read(cursor)
            assert batch is not None
            assert missing_up_to < cursor
            self.shown += [(seq, frame) for seq, frame in batch.split() if seq >= cursor]

    # what there is

    @property
    def state(self) -> UpstreamState:
        return self.node.relay.host.upstream.state

    @property
    def pauses(self) -> list[PauseReason]:
        return list(self.node.relay.host.upstream.pauses)

    @property
    def rejects(self) -> dict[str, int]:
        return {str(reason): count for reason, count in self.node.relay.host.rejects if count}

    @property
    def is_calm(self) -> bool:
        """Nothing waits, nor did when the position was stored: a crash finds the host where it is."""
        heads = list(self.node.log.heads_after(self.node.log.last_seq - 1))
        if not heads or self.node.relay.in_flight.count:
            return False
        _, epoch, low, done, newest_time_us, _ = heads[-1].positions[0]
        is_known = frames.datetime_text(newest_time_us) >= max(self.times())
        return low > 0 and not done and is_known and epoch == self.node.relay.host.position.epoch

    def durable(self) -> list[tuple[int, bytes]]:
        """Number and frame of everything in the log, as a fresh look at the file finds it."""
        found: list[tuple[int, bytes]] = []
        batch = self.node.log.read(0)
        while batch is not None:
            assert batch.head.prev_seq == (found[-1][0] if found else 0)
            found += batch.split()
            batch = self.node.log.read(batch.head.last_seq + 1)
        return found

    def times(self) -> list[str]:
        """What is in the log, by the times of the events."""
        return [frames.parts(frame)[1]["time"] for _, frame in self.durable()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state")
    yield made
    assert made.sqlite is not None
    made.sqlite.close()


def times(events: Sequence[Happening]) -> list[str]:
    return [event.time for event in events]


class TestTurns:
    def test_events_go_through(self, world: World) -> None:
        world.live().join()
        for kind in ("identity", "account", "commit", "sync"):
            world.happen(kind)
        world.send()
        world.settle()
        assert world.times() == times(world.host.events)
        assert world.shown == world.durable()
        assert [seq - world.durable()[0][0] for seq, _ in world.durable()] == [0, 1, 2, 3]

    def test_an_event_during_a_turn_waits_for_its_end(self, world: World) -> None:
        """A port may answer before it returns."""

        class Hasty(MemoryUpstream):
            def open(self, connection: int, cursor: int | None) -> None:
                super().open(connection, cursor)
                self.refuse("refused at once")

        hasty = Hasty(world.deliver)
        world.upstream.drop("gone")
        world.open()
        ports = world.node._ports
        node = Node(world.settings, world.sql, Ports(**{**_fields(ports), "upstream": hasty}))
        world.node = node
        finished(node.recover(no_pause))
        assert node.relay.host.upstream.last_problem == "refused at once"
        assert node.relay.host.upstream.state is UpstreamState.BACKING_OFF
        assert world.timer.at_us == world.clock.now_us + 750_000, "the timer of the later event holds"

    def test_a_broken_promise_is_not_caught(self, world: World) -> None:
        candidate = _one_candidate(world)
        with pytest.raises(InvariantError, match="does not await one"):
            world.deliver(EventsVerified([candidate, candidate]))
        world.deliver(TimePassed())

    def test_a_bad_frame_is_dropped_and_the_stream_goes_on(self, world: World) -> None:
        world.live()
        world.upstream.send(b"\xa1", bytes(MAX_FRAME_BYTES + 1), frames.commit(5, ALICE, frames.tid(1)))
        world.upstream.send_text()
        world.settle()
        assert (len(world.durable()), world.state) == (1, UpstreamState.LIVE)
        assert world.rejects == {"bad_encoding": 1, "oversize_frame": 1, "text_frame": 1}


def _fields(ports: Ports) -> dict[str, Any]:
    return {name: getattr(ports, name) for name in Ports.__slots__}


def _one_candidate(world: World) -> Candidate:
    world.held = {ALICE}
    world.live()
    world.happen("commit")
    world.send()
    [candidate] = world.verifier.waiting
    return world.verifier.judge(candidate)


class TestRestart:
    def test_it_goes_on_where_it_was(self, world: World) -> None:
        world.live()
        for _ in range(3):
            world.happen("commit")
            world.send()
            world.wait(0.05)
        before = world.durable()
        world.open()
        assert (world.upstream.cursor, world.durable()) == (world.host.newest, before)
        world.happen("commit")
        world.settle()
        assert world.times() == times(world.host.events)
        account = world.node.accounts.get(hash_did(ALICE))
        assert account is not None
        assert account.rev == 4

    def test_a_number_is_not_given_twice_within_the_width_of_the_last_one(self, world: World) -> None:
        world.live()
        for _ in range(2):
            world.happen("commit")
        world.send()
        world.wait(0.05)
        last_seq, width = world.durable()[-1][0], 2
        world.clock.now_us = last_seq
        world.wait(0)
        world.node.accounts.checkpoint(world.node.log.last_seq)
        world.open()
        world.happen("commit")
        world.answer()
        world.send()
        world.wait(0.05)
        assert world.durable()[-1][0] == last_seq + width

    def test_what_finished_out_of_order_is_not_passed_on_again(self, world: World) -> None:
        world.held = {ALICE}
        world.live()
        first = world.happen("commit", 1)
        others = [world.happen("commit", 2) for _ in range(5)]
        world.send()
        world.wait(0.05)
        assert world.times() == times(others)
        world.open()
        assert (world.upstream.cursor, world.node.relay.host.position.row().done) == (0, ((1_000_001, 1_000_005),))
        world.held = set()
        world.settle()
        assert world.times() == times([*others, first])

    def test_what_a_checkpoint_covers_is_not_read_from_the_log(self, world: World) -> None:
        world.live()
        for _ in range(8):
            world.happen("commit")
            world.send()
            world.wait(1)
        assert 0 < world.node.accounts.checkpoint_seq < world.node.log.last_seq
        world.open()
        account = world.node.accounts.get(hash_did(ALICE))
        assert account is not None
        assert (account.rev, world.node.accounts.stats.memtable) == (8, 1)

    def test_a_checkpoint_knows_better_than_the_batch_before_it(self, world: World) -> None:
        """What was refused since moved the position without a batch."""
        world.live()
        world.happen("commit")
        world.send()
        world.wait(1)
        world.upstream.send(frames.frame("#label", {"seq": 1_000_500}))
        world.wait(5)
        world.deliver(TimePassed())
        assert world.node.accounts.checkpoint_seq == world.node.log.last_seq
        world.open()
        assert world.upstream.cursor == 1_000_500

    def test_a_long_log_is_checkpointed_while_it_is_read(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.live()
        for account in range(1, 7):
            world.happen("commit", account)
            world.send()
            world.wait(0.1)
        monkeypatch.setattr("edgerelay.runtime.account_runs.MEMTABLE_ACCOUNTS", 2)
        world.open()
        assert world.node.accounts.checkpoint_seq == world.node.log.last_seq
        assert world.node.accounts.stats.memtable == 0
        for _ in range(2):
            assert world.upstream.cursor == world.host.newest
            world.open()

    def test_another_host_has_a_position_of_its_own(self, world: World) -> None:
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.05)
        first, settings = world.settings, Settings.from_mapping({**SETTINGS, "UPSTREAM": "wss://other.test"})
        world.settings = settings
        world.open()
        assert world.upstream.cursor == 0
        world.wait(6)
        world.deliver(TimePassed())
        world.settings = first
        world.open()
        assert world.upstream.cursor == world.host.newest

    def test_without_an_upstream_it_serves_what_it_has(self, world: World) -> None:
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.05)
        world.settings = Settings.from_mapping({})
        world.open()
        batch, _ = world.node.read(1)
        assert batch is not None
        assert (world.state, world.upstream.connection) == (UpstreamState.STOPPED, None)

    def test_shards_with_readers_are_dialed_again(self, world: World) -> None:
        world.join()
        world.open()
        assert world.shards.dialed == {"live": ""}


class TestState:
    def test_an_older_state_is_brought_forward_with_what_it_holds(self, tmp_path: Path) -> None:
        world = World(tmp_path / "new")
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.05)
        old = Sqlite(tmp_path / "old")
        old.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        old.execute("INSERT INTO meta VALUES ('schema_version', 1)")
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        for table in ("log", "hosts"):
            for row in world.sql.execute(f"SELECT * FROM {table}"):
                old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
        old.close()
        before, world.file = world.durable(), tmp_path / "old"
        world.open()
        assert (world.durable(), world.upstream.cursor) == (before, world.host.newest)
        assert world.sql.execute("SELECT value FROM meta WHERE key = 'schema_version'") == [(SCHEMA_VERSION,)]

    def test_a_newer_state_is_refused_by_name_and_left_untouched(self, world: World) -> None:
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.05)
        world.sql.execute("UPDATE meta SET value = ?", SCHEMA_VERSION + 1)
        before = _dump(world.sql)
        rows_written = world.sql.rows_written
        with pytest.raises(SchemaError, match=f"schema version {SCHEMA_VERSION + 1}"):
            world.open()
        assert (_dump(world.sql), world.sql.rows_written) == (before, 0)
        assert rows_written > 0
        assert world.upstream.connection is None


def _dump(sql: Sql) -> dict[str, list[Row]]:
    tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {table: sql.execute(f"SELECT * FROM {table} ORDER BY 1") for table in tables}


class TestStorage:
    @pytest.mark.parametrize("writes", range(4))
    def test_a_write_that_is_refused_loses_nothing_and_shows_nothing(self, world: World, writes: int) -> None:
        world.live().join()
        world.happen("commit")
        world.send()
        world.settle()
        world.sql.writes_left, before = writes, world.upstream.connection
        for _ in range(6):
            world.happen("commit")
            world.send()
            world.wait(0.05)
            world.shard()
        assert world.node.storage_failures >= 1
        assert world.pauses == [PauseReason.STORAGE]
        assert world.shown == world.durable()
        assert world.log.named("storage_failed")[0]["problem"] == "database or disk is full"
        assert world.upstream.connection is None
        world.sql.writes_left = None
        world.settle()
        world.wait(STORAGE_RETRY_US / S_US)
        world.settle()
        assert world.times() == times(world.host.events)
        assert world.shown == world.durable()
        assert world.pauses == []
        assert (before, world.node.relay.host.upstream.connection) == (1, 2)

    def test_a_socket_that_was_to_be_replaced_in_the_same_turn_is_closed_all_the_same(self, world: World) -> None:
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.1)
        world.sql.writes_left = 0
        world.wait(world.settings.silence_s)
        assert world.node.storage_failures == 1
        assert world.upstream.connection is None
        world.sql.writes_left = None
        world.happen("commit")
        world.wait(STORAGE_RETRY_US / S_US)
        world.settle()
        assert world.times() == times(world.host.events)

    def test_a_relay_whose_disk_stays_full_tries_again_and_again_by_itself(self, world: World) -> None:
        world.live()
        world.sql.writes_left = 0
        for _ in range(5):
            world.happen("commit")
            world.send()
            assert world.pauses == [PauseReason.STORAGE]
            assert world.timer.at_us == world.clock.now_us + STORAGE_RETRY_US
            world.wait(STORAGE_RETRY_US / S_US)
            world.answer()
        assert world.node.storage_failures == 5

    def test_a_store_that_asks_for_a_checkpoint_on_a_full_disk_is_left_in_peace(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.live()
        world.happen("commit")
        world.send()
        world.wait(0.05)
        monkeypatch.setattr("edgerelay.runtime.account_runs.MEMTABLE_ACCOUNTS", 1)
        world.sql.writes_left = 0
        world.wait(1)
        world.deliver(TimePassed())
        assert (world.node.storage_failures, world.pauses) == (1, [PauseReason.STORAGE])
        assert world.log.named("checkpoint_failed") == [{"problem": "database or disk is full"}]

    def test_a_verdict_that_comes_after_a_failure_is_for_nobody(self, world: World) -> None:
        world.held = {ALICE}
        world.live()
        world.happen("commit", 1)
        world.send()
        old = world.verifier.waiting[0]
        world.sql.writes_left = 0
        world.happen("commit", 2)
        world.send()
        assert world.node.storage_failures == 1
        world.sql.writes_left = None
        world.wait(STORAGE_RETRY_US / S_US)
        world.answer()
        world.send()
        assert [each is old for each in world.verifier.waiting] == [True, False]
        world.release()
        world.settle()
        assert sorted(world.times()) == times(world.host.events)

    def test_a_failed_tidying_up_is_a_failure_too(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The batch is durable, but was not shown: the shard reads it when the feed is back."""
        world.live().join()

        def refuse() -> bool:
            raise SqlError("disk full")

        monkeypatch.setattr(world.node.accounts, "merge_step", refuse)
        world.happen("commit")
        world.send()
        assert (len(world.durable()), world.shown, world.node.storage_failures) == (1, [], 1)
        assert (world.shards.fed, world.shards.dialed) == ({}, {"live": ""})
        world.settle()
        assert world.shown == world.durable()


def send_large(world: World, seqs: Iterable[int]) -> None:
    """Let the host send events of 1.9 MB, one every 0.1 s."""
    for seq in seqs:
        world.upstream.send(frames.commit(seq, ALICE, frames.tid(seq), size_bytes=1_900_000))
        world.wait(0.1)


class TestFullLog:
    def test_the_upstream_pauses_until_there_is_room(self, tmp_path: Path) -> None:
        world = World(tmp_path / "state", LOG_STOP_BYTES="8000000", LOG_MIN_MINUTES="1")
        send_large(world.live(), range(1, 6))
        world.deliver(TimePassed())
        assert (world.pauses, world.upstream.connection) == ([PauseReason.ARCHIVE], None)
        assert world.log.named("hot_log_full") == [{}]
        world.deliver(TimePassed())
        assert len(world.log.named("hot_log_full")) == 1
        world.wait(61)
        world.deliver(TimePassed())
        world.deliver(TimePassed())
        assert world.pauses == [PauseReason.ARCHIVE], "nothing is archived"
        world.archive()
        world.deliver(TimePassed())
        world.deliver(TimePassed())
        assert (world.pauses, world.state) == ([], UpstreamState.CONNECTING)
        world.answer()
        world.upstream.send(frames.commit(6, ALICE, frames.tid(6), size_bytes=1_900_000))
        assert world.node.log.missing_up_to > 0
        assert world.node.log.size_bytes < 10_000_000

    def test_it_pauses_with_the_event_that_fills_the_log(self, tmp_path: Path) -> None:
        """While events follow each other, no timer tells the time."""
        world = World(tmp_path / "state", LOG_STOP_BYTES="8000000", LOG_MIN_MINUTES="0")
        world.live()
        for seq in range(1, 6):
            world.upstream.send(frames.commit(seq, ALICE, frames.tid(seq), size_bytes=1_900_000))
            world.clock.now_us += 100_000
        assert world.pauses == [PauseReason.ARCHIVE]
        assert world.node.log.size_bytes < 10_000_000

    def test_a_pause_that_only_waited_for_a_checkpoint_ends_with_it(self, tmp_path: Path) -> None:
        world = World(tmp_path / "state", LOG_STOP_BYTES="8000000", LOG_MIN_MINUTES="0", CHECKPOINT_S="3600")
        send_large(world.live(), range(1, 5))
        world.archive()
        assert world.log.named("hot_log_full") == []
        send_large(world, [5])
        assert (world.log.named("hot_log_full"), world.pauses) == ([{}], [])

    def test_what_the_ring_still_holds_is_not_missing(self, tmp_path: Path) -> None:
        world = World(tmp_path / "state", LOG_STOP_BYTES="8000000", LOG_MIN_MINUTES="1", RING_BYTES="32000000")
        world.live()
        for seq in range(1, 8):
            world.upstream.send(frames.commit(seq, ALICE, frames.tid(seq), size_bytes=1_900_000))
            world.wait(61)
            world.archive()
            world.deliver(TimePassed())
            world.deliver(TimePassed())
            world.answer()
        missing_up_to = world.node.log.missing_up_to
        assert missing_up_to > 0
        batch, told = world.node.read(1)
        assert batch is not None
        assert (batch.head.prev_seq, told) == (0, 0)
        world.open()
        batch, told = world.node.read(1)
        assert batch is not None
        assert (batch.head.prev_seq, told) == (missing_up_to, missing_up_to)

    def test_what_follows_is_read_with_it_up_to_a_bound(self, tmp_path: Path) -> None:
        """From the ring or from the log, and the same whichever it is."""
        world = World(tmp_path / "state", RING_BYTES="1000000")
        world.live()
        size_bytes = READ_BYTES // 3
        for seq in range(1, 15):
            world.upstream.send(frames.commit(seq, ALICE, frames.tid(seq), size_bytes=size_bytes))
            world.wait(0.1)
        heads = list(world.node.log.heads_after(0))
        assert len(heads) == 14
        for index, head in enumerate(heads):
            for cursor in head.first_seq, head.prev_seq + 1:
                batch, _ = world.node.read(cursor)
                assert batch is not None
                assert batch.head.seqs == tuple([each.first_seq for each in heads[index : index + 3]])
                assert batch.frames == b"".join(
                    [each.frames for each in world.node.log.batches_after(head.prev_seq)][: len(batch.head.seqs)]
                )
                assert not (batch.head.positions or batch.head.accounts) or len(batch.head.seqs) == 1

    def test_small_batches_are_joined_up_to_a_number(self, world: World) -> None:
        world.live()
        for seq in range(1, READ_BATCHES + 3):
            world.upstream.send(frames.commit(seq, ALICE, frames.tid(seq), size_bytes=500))
            world.wait(0.1)
        batch, _ = world.node.read(1)
        assert batch is not None
        assert len(batch.head.seqs) == READ_BATCHES

    def test_beyond_everything_there_is_nothing_yet(self, world: World) -> None:
        assert world.node.read(1) == (None, 0)


class TestReset:
    def test_a_host_that_begins_anew_and_is_far_ahead_when_we_return(self, world: World) -> None:
        """The reset was noticed and stored; the position of before would skip what the host sent meanwhile."""
        world.live()
        for _ in range(3):
            world.happen("commit")
        world.send()
        world.wait(0.05)
        world.host.reset()
        world.upstream.drop("restart")
        world.wait(1)
        world.answer()
        assert world.upstream.cursor == 0
        world.open()
        assert (world.upstream.cursor, world.node.relay.host.position.epoch) == (0, 1)
        world.host.numbers = [2_000_000 + index for index in range(3)]
        world.happen("commit")
        world.settle()
        assert world.times() == times(world.host.events)


class StrictWorld:
    """A node whose verifier is its own: signatures and identities are the test's to answer."""

    def __init__(self, file: Path, **settings: str) -> None:
        self.file = file
        self.clock = ManualClock(frames.NOW_US)
        self.settings = Settings.from_mapping({**SETTINGS, **settings})
        self.open()

    def open(self) -> None:
        self.sql = Sqlite(self.file)
        self.upstream = MemoryUpstream(self.deliver)
        self.signatures, self.directory = MemorySignatures(self.deliver), MemoryDirectory(self.deliver)
        self.timer = ManualTimer(self.clock, lambda: self.deliver(TimePassed()))
        self.lookup_timer = ManualTimer(self.clock, lambda: self.deliver(LookupsDue()))
        ports = Ports(
            upstream=self.upstream,
            shards=MemoryShards(self.deliver),
            signatures=self.signatures,
            identities=self.directory,
            objects=MemoryObjects(),
            queue=MemoryQueue(),
            codec=ZlibCodec(),
            timer=self.timer,
            lookup_timer=self.lookup_timer,
            log=MemoryLog(),
            clock=self.clock,
            random=lambda: 0.5,
        )
        self.node = Node(self.settings, self.sql, ports)
        finished(self.node.recover(no_pause))
        self.node.turn(TimePassed())
        self.upstream.accept(None, "pds")

    def deliver(self, event: Any) -> None:
        self.node.turn(event)

    def crash(self) -> None:
        self.sql.close()
        self.open()

    def know(self, of: Repo) -> None:
        """The directory answers for an account."""
        self.directory.answer(lambda did: Identity(did, of.key, "https://pds.test", None))

    def wait(self, seconds: float) -> None:
        self.clock.now_us += int(seconds * S_US)
        self.timer.go_off()
        self.lookup_timer.go_off()

    @property
    def kinds(self) -> list[str]:
        """What is durable."""
        self.wait(0.04)
        return [kind for head in self.node.log.heads_after(0) for kind in head.kinds]


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[StrictWorld]:
    world = StrictWorld(tmp_path / "state")
    yield world
    world.sql.close()


class TestStrict:
    """A node that verifies."""

    def test_an_event_waits_for_identity_and_signature(self, strict: StrictWorld) -> None:
        alice = Repo(1)
        strict.upstream.send(alice.write({"a.b.c/1": "x"}).frame(1))
        assert (strict.kinds, [each.dids for each in strict.directory.inquiries]) == ([], [[alice.did]])
        strict.know(alice)
        assert (strict.kinds, len(strict.signatures.batches)) == ([], 1)
        strict.signatures.answer(is_signed)
        assert strict.kinds == ["#commit"]
        known = strict.node.accounts.get(hash_did(alice.did))
        assert known is not None
        assert known.data == alice.tree().root[4:], "what the next commit must continue"

    def test_what_somebody_else_signed_is_refused(self, strict: StrictWorld) -> None:
        alice, mallory = Repo(1), Repo(2)
        forged = alice.write()
        forged.key = mallory.key
        strict.upstream.send(forged.frame(1))
        for _ in range(2):  # known before it arrived, or not: it is asked for once after
            strict.know(alice)
            strict.signatures.answer(is_signed)
        assert strict.kinds == []
        assert dict(strict.node.relay.host.rejects)[RejectReason.BAD_SIGNATURE] == 1

    @pytest.mark.parametrize("notice", [frames.identity, frames.account])
    def test_an_identity_outlives_a_crash_and_so_does_that_it_was_forgotten(
        self, strict: StrictWorld, notice: Callable[[int, str], bytes]
    ) -> None:
        alice = Repo(1)
        strict.upstream.send(alice.write().frame(1))
        strict.know(alice)
        strict.signatures.answer(is_signed)
        assert strict.kinds == ["#commit"]
        strict.wait(6)
        strict.deliver(TimePassed())  # the alarm, which finds a checkpoint due
        strict.crash()
        strict.upstream.send(alice.write().frame(2))
        assert strict.directory.inquiries == [], "it is known"
        strict.signatures.answer(is_signed)
        strict.upstream.send(notice(3, alice.did))
        strict.know(alice)
        assert strict.kinds == ["#commit", "#commit", f"#{notice.__name__}"]
        strict.crash()
        strict.upstream.send(alice.write().frame(4))
        assert [each.dids for each in strict.directory.inquiries] == [[alice.did]], "what was known may be old"

    def test_a_directory_that_is_down_pauses_and_resumes_the_upstream(self, strict: StrictWorld) -> None:
        some = [Repo(number) for number in range(1, 5)]
        strict.upstream.send(*[repo.write().frame(seq) for seq, repo in enumerate(some, 1)])
        failure = LookupFailure("timeout", is_directory=True, is_final=False)
        for _ in range(4):
            strict.directory.answer(lambda _: failure)
            strict.wait(20)
        assert list(strict.node.relay.host.upstream.pauses) == [PauseReason.IDENTITY]
        keys = {repo.did: repo.key for repo in some}
        for _ in range(10):
            strict.wait(40)
            strict.directory.answer(lambda did: Identity(did, keys[did], "https://pds.test", None))
            strict.signatures.answer(is_signed)
        assert strict.kinds == ["#commit"] * 4
        assert not strict.node.relay.host.upstream.pauses
        assert strict.node.relay.host.rejects.total == 0

    def test_that_it_is_down_may_show_when_an_event_arrives(self, strict: StrictWorld) -> None:
        """Calls without an answer are given up by whatever comes first, not by their timer alone."""
        some = [Repo(number) for number in range(1, 11)]
        strict.upstream.send(*[repo.write().frame(seq) for seq, repo in enumerate(some, 1)])
        strict.clock.now_us += LOST_US
        strict.upstream.send(frames.identity(11, frames.did(11)))
        assert strict.node.vetting.lookups.is_down
        assert list(strict.node.relay.host.upstream.pauses) == [PauseReason.IDENTITY]
        strict.wait(60)
        strict.directory.answer(lambda did: Identity(did, some[0].key, "https://pds.test", None))
        assert not strict.node.relay.host.upstream.pauses

    def test_identities_that_are_forgotten_are_checkpointed_too(
        self, strict: StrictWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Events of a relay are not looked up, so that no answer comes."""
        strict.node.relay.host.kind = "relay"
        monkeypatch.setattr("edgerelay.runtime.identity_runs.MEMTABLE_IDENTITIES", 2)
        strict.upstream.send(*[frames.identity(seq, frames.did(seq)) for seq in range(1, 4)])
        assert strict.node.identities.stats.memtable == 0


class TestRecovery:
    """A node whose storage is lost, and the archive that is left."""

    def test_a_new_relay_looks_into_an_empty_bucket_and_begins(self, world: World) -> None:
        assert not world.node.is_blank
        assert world.upstream.cursor == 0
        assert world.log.named("recovered") == []

    def test_it_goes_on_where_the_archive_ends(self, world: World) -> None:
        past = archived_commits(world, 3)
        for account in (1, 2):
            world.happen("commit", account)
        world.send()
        world.wait(1)
        assert len(world.durable()) == 5
        world.lose()
        assert world.upstream.cursor == world.host.numbers[2], "the host sends again what was not archived"
        assert world.log.named("recovered") == [{"last_seq": past[-1][0], "is_holed": False, "accounts": 3}]
        world.live()
        world.send()
        world.settle()
        whole = replayed(world)
        assert whole[:3] == past
        assert [frames.parts(frame)[1]["time"] for _, frame in whole] == times(world.host.events)

    def test_a_bucket_that_does_not_answer_keeps_it_waiting(self, world: World) -> None:
        archived_commits(world, 1)
        world.objects.problem = "down"
        world.lose()
        assert world.node.is_blank
        assert world.pauses == [PauseReason.RECOVERY]
        assert world.upstream.connection is None
        assert world.node.relay.host.upstream.last_problem == "down"
        assert world.log.named("recovery_failed") == [{"problem": "down"}]
        world.objects.problem = ""
        assert finished(world.node.recover(no_pause))
        assert world.upstream.cursor == world.host.newest
        assert world.pauses == []

    def test_an_old_copy_that_the_archive_has_overtaken_is_rebuilt(self, world: World) -> None:
        archived_commits(world, 2)
        world.happen("commit", 1)
        world.send()
        world.wait(0.1)
        old = world.copy()
        world.live()
        for account in (1, 2):
            world.happen("commit", account)
        world.send()
        world.wait(61)
        world.archive()
        past = replayed(world)
        world.put_back(old)
        assert world.log.named("recovered") == [{"last_seq": past[-1][0], "is_holed": False, "accounts": 2}]
        assert world.upstream.cursor == world.host.newest
        world.live()
        world.happen("commit", 1)
        world.settle()
        whole = replayed(world)
        assert whole[:-1] == past
        assert [frames.parts(frame)[1]["time"] for _, frame in whole] == times(world.host.events)

    def test_a_copy_that_is_known_to_be_old_waits_until_it_can_be_rebuilt(self, world: World) -> None:
        archived_commits(world, 1)
        old = world.copy()
        world.live()
        world.happen("commit", 1)
        world.send()
        world.wait(61)
        world.archive()
        past = replayed(world)
        world.objects.objects["state/hidden/0000000000000001"] = b"damaged"
        world.put_back(old)
        assert world.pauses == [PauseReason.RECOVERY]
        assert world.upstream.connection is None
        assert world.node.is_doubtful
        del world.objects.objects["state/hidden/0000000000000001"]
        assert finished(world.node.recover(no_pause))
        world.settle()
        assert replayed(world) == past, "nothing has a second number"

    def test_a_storage_that_is_up_to_date_needs_no_answer_of_the_bucket(self, world: World) -> None:
        archived_commits(world, 1)
        world.open()
        assert world.log.named("recovered") == []
        world.objects.problem = "down"
        world.open()
        assert world.log.named("recovery_failed") == [{"problem": "down"}]
        assert (world.pauses, world.upstream.cursor) == ([], world.host.newest)

    def test_accounts_are_recalled_so_that_repeats_are_found(self, world: World) -> None:
        archived_commits(world, 2)
        world.lose()
        assert world.node.accounts.checkpoint_seq == world.node.log.archived_seq
        known = world.node.accounts.get(hash_did(frames.did(2)))
        assert known is not None
        assert known.rev == 1
        world.open()
        assert not world.node.is_blank
        assert world.node.accounts.get(hash_did(frames.did(2))) == known, "it is stored"

    def test_where_the_host_is_not_known_a_hole_is_told(self, world: World) -> None:
        past = archived_commits(world, 2)
        del world.objects.objects["state/hosts/1"]
        world.lose()
        (line,) = world.log.named("recovered")
        assert line["is_holed"]
        missing_up_to = world.node.read(past[-1][0] + 1)[1]
        assert missing_up_to == world.clock.now_us > past[-1][0]
        world.live()
        world.happen("commit", 1)
        world.send()
        world.wait(1)
        batch, missing_up_to = world.node.read(past[-1][0] + 1)
        assert batch is not None
        assert batch.head.prev_seq == missing_up_to > past[-1][0]
        assert len(batch.head.seqs) == 1, "the host sends all of it again, and the accounts are recalled"

    def test_the_numbers_of_hosts_stay(self, world: World) -> None:
        archived_commits(world, 1)
        world.settings = Settings.from_mapping({**SETTINGS, "UPSTREAM": "wss://other.test"})
        world.lose()
        assert world.sql.execute("SELECT * FROM hosts ORDER BY host_id") == [
            (1, "wss://pds.test"),
            (2, "wss://other.test"),
        ]

    def test_a_storage_that_fails_meanwhile_is_tried_again(self, world: World) -> None:
        archived_commits(world, 1)
        for writes in range(20):
            world.objects.problem = "not yet"
            world.lose()
            world.objects.problem = ""
            world.sql.writes_left = writes
            has_recovered = finished(world.node.recover(no_pause))
            world.sql.writes_left = None
            if has_recovered:
                assert writes > 3
                return
            assert world.node.is_blank
            assert finished(world.node.recover(no_pause))
            assert world.upstream.cursor == world.host.newest
        raise AssertionError("it never recovers")


def archived_commits(world: World, count: int) -> list[tuple[int, bytes]]:
    """Commits of as many accounts, stored in the bucket."""
    world.live()
    for account in range(1, count + 1):
        world.happen("commit", account)
    world.send()
    world.wait(61)
    world.archive()
    assert world.node.log.unarchived_seq == 0
    return world.durable()


def replayed(world: World) -> list[tuple[int, bytes]]:
    """What a reader gets that asks for everything, from the archive and the log."""
    codecs = {ZLIB: ZlibCodec()}
    archive = ArchiveReader(world.objects, lambda block: open_batch(block, codecs))

    async def read(cursor: int) -> History[Batch]:
        return History(*world.node.read(cursor))

    replay = Replay(archive, KeptLines(world.objects, codecs, world.log), read, world.log)
    found: list[tuple[int, bytes]] = []
    cursor = 1
    while True:
        history = finished(replay.find(cursor))
        assert history.missing_up_to < cursor, "nothing is missing"
        if history.batch is None:
            return found
        assert isinstance(history.batch, Batch)
        found += [(seq, frame) for seq, frame in history.batch.split() if seq >= cursor]
        cursor = history.batch.head.last_seq + 1


LOSSES = ("happen", "happen", "send", "wait", "archive", "drop", "crash", "lose", "copy", "put_back")


@given(st.lists(st.sampled_from(LOSSES), max_size=40))
def test_whatever_is_lost_the_archive_and_the_host_together_have_everything_once(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "state")
        kept: list[tuple[int, bytes]] = []
        copied = b""
        for index, step in enumerate(steps):
            match step:
                case "happen":
                    world.happen(("commit", "identity", "sync")[index % 3], index % 2 + 1)
                case "send":
                    world.send(2)
                case "wait":
                    world.wait(1)
                    world.answer()
                case "archive":
                    world.wait(61)
                    world.archive()
                    kept = replayed(world)
                    kept = [each for each in kept if each[0] <= world.node.log.archived_seq]
                case "drop":
                    world.upstream.drop("reset by peer")
                case "crash":
                    world.open()
                case "lose":
                    world.lose()
                case "copy":
                    copied = world.copy()
                case "put_back":
                    world.put_back(copied)
        world.settle()
        whole = replayed(world)
        assert whole[: len(kept)] == kept, "what was archived stays as it is"
        assert all(before < after for (before, _), (after, _) in pairwise(whole)), "numbers increase"
        assert [frames.parts(frame)[1]["time"] for _, frame in whole] == times(world.host.events)
        assert world.sqlite is not None
        world.sqlite.close()


ACTIONS = (
    *("happen", "happen", "happen", "send", "send", "send", "answer", "answer", "wait", "wait"),
    *("drop", "refuse", "hold", "release", "crash", "reset", "fill", "heal", "join", "shard", "shard", "step_back"),
    "tell",
)


@given(st.data(), st.booleans(), st.booleans(), st.booleans())
def test_whatever_happens_every_event_is_durable_once(
    data: st.DataObject, inclusive: bool, says_future: bool, calm: bool
) -> None:
    """A calm host loses its numbers only while no event of it waits for a verdict; else see `check_events`."""
    with tempfile.TemporaryDirectory() as folder:
        chronicle = Chronicle(World(Path(folder) / "state", MAX_IN_FLIGHT="16"), data, calm=calm)
        chronicle.world.host = SlowHost(inclusive=inclusive, says_future=says_future)
        for _ in range(data.draw(st.integers(0, 80))):
            getattr(chronicle, data.draw(st.sampled_from(ACTIONS)))()
        chronicle.end()
        chronicle.check()
        assert chronicle.world.sqlite is not None
        chronicle.world.sqlite.close()


class Chronicle:
    """Acts at random upon a world, and knows what must be in the log in the end."""

    def __init__(self, world: World, data: st.DataObject, *, calm: bool) -> None:
        self.world = world
        self.data = data
        self.calm = calm

    def happen(self) -> None:
        kind = self.data.draw(st.sampled_from(["commit", "commit", "commit", "sync", "identity", "account"]))
        event = self.world.happen(kind, self.data.draw(st.integers(1, 3)), self.data.draw(st.integers(1, 3)))
        if kind == "commit" and self.data.draw(st.integers(0, 9)) == 0:
            self.world.refused.add(event.time)

    def send(self) -> None:
        self.world.send(self.data.draw(st.integers(1, 8)))

    def answer(self) -> None:
        self.world.answer()

    def wait(self) -> None:
        self.world.wait(self.data.draw(st.sampled_from([0.001, 0.04, 0.04, 1, 6, 11])))

    def drop(self) -> None:
        self.world.upstream.drop("reset by peer")

    def refuse(self) -> None:
        self.world.upstream.refuse("no route")

    def hold(self) -> None:
        self.world.held.add(frames.did(self.data.draw(st.integers(1, 3))))

    def release(self) -> None:
        """Some accounts' verdicts arrive, or all."""
        if self.world.held:
            did = self.data.draw(st.sampled_from(sorted(self.world.held)))
            self.world.held.discard(did)
            self.world.deliver(EventsVerified(self.world.verifier.release({did})))

    def tell(self) -> None:
        """The host says that an account writes after all, although it had said that it does not."""
        self.world.directory.tell(active=True)

    def crash(self) -> None:
        self.world.sql.writes_left = None
        self.world.open()

    def reset(self) -> None:
        if self.world.host.resets == 4 or (self.calm and not self.world.is_calm):
            return
        self.world.host.reset()
        self.world.upstream.drop("restart")

    def fill(self) -> None:
        self.world.sql.writes_left = self.data.draw(st.integers(0, 4))

    def heal(self) -> None:
        self.world.sql.writes_left = None

    def join(self) -> None:
        self.world.sql.writes_left = None
        self.world.deliver(ShardAsked("live", ""))

    def shard(self) -> None:
        self.world.shard()

    def step_back(self) -> None:
        self.world.clock.now_us -= self.data.draw(st.integers(0, 600 * S_US))

    def end(self) -> None:
        """Everything is repaired and released, and one more commit shows where the host's numbers are."""
        self.heal()
        self.world.release()
        self.world.wait(STORAGE_RETRY_US / S_US)
        self.world.settle()
        self.world.happen("commit", 1)
        self.world.deliver(ShardAsked("live", ""))
        self.world.settle()
        self.world.wait(STORAGE_RETRY_US / S_US)
        self.world.settle()
        self.world.settle()

    def check(self) -> None:
        world = self.world
        durable = world.durable()
        assert all(before < after for (before, _), (after, _) in pairwise(durable)), "numbers increase"
        assert world.shown == durable, "what was shown is what is durable, once and in order"
        found = [frames.parts(frame) for _, frame in durable]
        own = {event.time for event in world.host.events}
        restated = [body for header, body in found if body["time"] not in own and header["t"] == "#account"]
        assert all(body["active"] for body in restated), "the relay says by itself only what it was told"
        self.check_events([(header, body) for header, body in found if body not in restated])
        assert world.rejects.keys() <= {"bad_value", "stale_rev"}

    def check_events(self, found: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        wanted = {event.time: event for event in self.world.host.events if event.time not in self.world.refused}
        seen = [body["time"] for _, body in found]
        assert set(seen) == set(wanted), "nothing is lost, nothing is invented, what was refused is not there"
        for header, body in found:
            expected = frames.parts(wanted[body["time"]].frame(body["seq"]))
            assert (header, body) == expected, "only the number is another"
        # Where a host lost its numbers while events waited, those that no rev tells apart may come twice.
        once = [time for time in seen if self.calm or wanted[time].kind == "commit"]
        assert len(once) == len(set(once)), "nothing comes twice"
        for account in (1, 2, 3):
            order = [time for time in once if wanted[time].account == account]
            assert order == sorted(order), "an account's events keep their order"
