"""The interpreter: each command has its one effect, and only what is known at once comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.archive.codec import ZlibCodec
from edgerelay.atproto.frames import Frame
from edgerelay.atproto.messages import Identity
from edgerelay.relay import commands
from edgerelay.relay.accounts import Account, MemoryAccounts
from edgerelay.relay.commands import (
    Append,
    AskStatus,
    Checkpoint,
    CloseShard,
    CloseUpstream,
    Command,
    DialShard,
    FeedBatch,
    FeedHead,
    ForgetShard,
    Log,
    OpenUpstream,
    RememberShard,
    SetTimer,
    Verify,
)
from edgerelay.relay.events import Event, EventsVerified, StatusTold
from edgerelay.relay.identities import MemoryIdentities
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import Position, PositionRow
from edgerelay.relay.vetting import VettingEvent
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.hot_log import HotLog, LogPolicy
from edgerelay.runtime.interpreter import Interpreter, Ports
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
from edgerelay.runtime.ports import Verifier
from edgerelay.runtime.registry import Registry
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import SqlError, Sqlite

NOW_US = 1_795_000_000_000_000


class Silent:
    """A verifier that has no verdict yet."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return []


class Credulous:
    """A verifier that passes everything at once."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        for each in candidates:
            each.verdict = True
        return list(candidates)


class Tidied(MemoryAccounts):
    """Counts how often it was tidied up."""

    steps = 0

    def merge_step(self) -> bool:
        self.steps += 1
        return True


class Refusing(MemoryAccounts):
    """On a disk that is full."""

    def checkpoint(self, at_seq: int) -> None:
        raise SqlError("disk full")


class Counted(MemoryIdentities):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def checkpoint(self, now_us: int) -> None:
        self.calls.append(f"checkpoint {now_us}")

    def merge_step(self) -> bool:
        self.calls.append("merge_step")
        return False


class Stand:
    """An interpreter with everything that it acts on."""

    def __init__(self, verifier: Verifier | None = None) -> None:
        self.sql = Sqlite()
        migrate(self.sql)
        self.events: list[Event | VettingEvent] = []
        self.vetted: list[VettingEvent] = []
        self.clock = ManualClock(NOW_US)
        self.upstream, self.shards = MemoryUpstream(self.events.append), MemoryShards(self.events.append)
        self.timer, self.lines = ManualTimer(self.clock, lambda: None), MemoryLog()
        self.signatures, self.directory = MemorySignatures(self.vetted.append), MemoryDirectory(self.events.append)
        self.ports = ports = Ports(
            upstream=self.upstream,
            shards=self.shards,
            signatures=self.signatures,
            identities=self.directory,
            objects=MemoryObjects(),
            queue=MemoryQueue(),
            codec=ZlibCodec(),
            timer=self.timer,
            lookup_timer=self.timer,
            log=self.lines,
            clock=self.clock,
            random=lambda: 0.5,
        )
        self.log = HotLog(self.sql, LogPolicy(1, 0), 2**53)
        self.accounts = Tidied()
        self.registry = Registry(self.sql)
        self.identities = MemoryIdentities()
        self.hidden = HiddenTable(self.sql)
        self.interpreter = Interpreter(
            ports, verifier or Credulous(), self.log, self.accounts, self.identities, self.hidden, self.registry
        )

    def do(self, *some: Command) -> Event | None:
        answer = None
        for each in some:
            answer = self.interpreter.carry_out(each)
        return answer


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.sql.close()


def batch(prev_seq: int, seq: int) -> Batch:
    builder = BatchBuilder(prev_seq)
    builder.add(seq, "#sync", "d", (), b"frame")
    return builder.build([], b"")


def candidate(seq: int) -> Candidate:
    position = Position(PositionRow(1, 0, 0, (), 0, 0))
    return Candidate(position, Frame("#identity", {}, b""), Identity(seq, "did:web:a.test", None, ""))


class TestEffects:
    def test_the_upstream(self, stand: Stand) -> None:
        assert stand.do(OpenUpstream(4, 77)) is None
        assert (stand.upstream.connection, stand.upstream.cursor) == (4, 77)
        assert stand.do(CloseUpstream(4)) is None
        assert stand.upstream.connection is None

    def test_the_feed(self, stand: Stand) -> None:
        made = batch(0, 5)
        assert stand.do(DialShard("a", "weur")) is None
        assert stand.shards.dialed == {"a": "weur"}
        stand.shards.accept("a")
        assert stand.do(FeedHead("a", 3), FeedBatch("a", made)) is None
        assert stand.shards.fed == {"a": [3, made]}
        assert stand.do(CloseShard("a")) is None
        assert stand.shards.fed == {}

    def test_shards_with_readers_are_remembered(self, stand: Stand) -> None:
        assert stand.do(RememberShard("a", "weur"), RememberShard("b", ""), ForgetShard("a")) is None
        assert Registry(stand.sql).shards() == [("b", "")]

    def test_an_append_is_durable_and_tidies_up_a_little(self, stand: Stand) -> None:
        assert stand.do(Append(batch(0, 5))) is None
        assert HotLog(stand.sql, LogPolicy(1, 0), 2**53).last_seq == 5
        assert stand.accounts.steps == 1

    def test_what_a_checkpoint_covers_may_be_forgotten(self, stand: Stand) -> None:
        stand.do(Append(batch(0, 5)), Append(batch(5, 6)), Append(batch(6, 7)))
        assert stand.log.oldest_seq == 5
        row = PositionRow(1, 2, 3, ((5, 6),), 7, 8)
        stand.accounts.put(Account(bytes(16), 1))
        assert stand.do(Checkpoint((row,), 7)) is None
        assert (Registry(stand.sql).positions(), stand.accounts.checkpoint_seq) == ({1: row}, 7)
        stand.do(Append(batch(7, 8)))
        assert stand.log.oldest_seq == 7, "up to the newest, which is never forgotten"

    def test_a_refused_write_is_told(self, stand: Stand) -> None:
        stand.sql.execute("DROP TABLE log")
        with pytest.raises(SqlError):
            stand.do(Append(batch(0, 5)))

    def test_a_host_is_asked_about_an_account(self, stand: Stand) -> None:
        assert stand.do(AskStatus("did:web:a.test", "https://pds.test")) is None
        assert stand.directory.statuses == [("did:web:a.test", "https://pds.test")]
        stand.directory.tell(active=False, status="takendown")
        assert stand.events == [StatusTold("did:web:a.test", False, "takendown")]

    def test_identities_are_tidied_up_and_made_durable_too(self) -> None:
        stand = Stand()
        identities = Counted()
        stand.interpreter = Interpreter(
            stand.ports, Credulous(), stand.log, MemoryAccounts(), identities, stand.hidden, stand.registry
        )
        stand.do(Append(batch(0, 5)), Checkpoint((), 5))
        assert identities.calls == ["merge_step", f"checkpoint {NOW_US}"]
        stand.sql.close()

    def test_identities_are_durable_before_the_log_of_them_counts_as_read(self) -> None:
        """Else one that was forgotten would be back after a failure in between."""
        stand = Stand()
        identities = Counted()
        stand.interpreter = Interpreter(
            stand.ports, Credulous(), stand.log, Refusing(), identities, stand.hidden, stand.registry
        )
        with pytest.raises(SqlError):
            stand.do(Checkpoint((), 5))
        assert identities.calls == [f"checkpoint {NOW_US}"]
        stand.sql.close()

    def test_the_timer_and_the_log(self, stand: Stand) -> None:
        assert stand.do(SetTimer(9), Log("info", "hello", {"a": 1})) is None
        assert (stand.timer.at_us, stand.lines.lines) == (9, [("info", "hello", {"a": 1})])

    def test_what_is_no_command_is_ours_to_blame(self, stand: Stand) -> None:
        with pytest.raises(AssertionError):
            stand.do("Append")  # type: ignore[arg-type]  # the point of the test


class TestAnswers:
    def test_verdicts_that_are_known_at_once_come_back(self, stand: Stand) -> None:
        some = [candidate(1), candidate(2)]
        assert stand.do(Verify(some)) == EventsVerified(some)

    def test_verdicts_that_are_not_come_later(self) -> None:
        stand = Stand(Silent())
        assert stand.do(Verify([candidate(1)])) is None
        assert stand.events == []
        stand.sql.close()


def test_every_command_is_carried_out_here() -> None:
    """Each name in the list stands in a test of this file."""
    named = {each.__name__ for each in globals().values() if getattr(each, "__module__", "") == commands.__name__}
    assert named == set(str(commands.Command).split(" | "))
