"""The relay, turn by turn: what follows from each event, in which order, and what each bad frame is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from cbor2 import dumps

from edgerelay.archive.batch import Batch
from edgerelay.atproto.frames import MAX_FRAME_BYTES
from edgerelay.config import Settings
from edgerelay.relay.accounts import AccountStore, MemoryAccounts
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
from edgerelay.relay.events import (
    DirectoryChanged,
    Event,
    EventsVerified,
    FramesReceived,
    LogFilled,
    ShardAcked,
    ShardAsked,
    ShardClosed,
    ShardOpened,
    StatusTold,
    TextReceived,
    TimePassed,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import PositionRow
from edgerelay.relay.reject import FRAME_REASONS, MESSAGE_REASONS, RejectReason
from edgerelay.relay.rejections import Example, Refused
from edgerelay.relay.relay import SKEW_RECHECK_US, STORAGE_RETRY_US, Relay
from edgerelay.relay.restored import Restored
from edgerelay.relay.upstream import NOT_IMPLEMENTED_PAUSE_S, PauseReason, UpstreamState
from tests.oracle import frames
from tests.playbook import Playbook

NOW_US, S_US = frames.NOW_US, 1_000_000
ALICE, BOB = frames.did(1), frames.did(2)
FLUSH_US = 40_000


class Stage:
    """A relay with a clock of its own, and verdicts as the test gives them."""

    def __init__(self, restored: Restored | None = None, accounts: AccountStore | None = None, **settings: str) -> None:
        chosen = {"UPSTREAM": "wss://pds.test", "UPSTREAM_START": "oldest", **settings}
        self.now_us = NOW_US
        self.accounts = accounts or MemoryAccounts()
        self.relay = Relay(
            Settings.from_mapping(chosen), restored or Restored(1), self.accounts, lambda: 1.0, self.now_us
        )
        self.play: Playbook[Event, Command] = Playbook(self.handle, but=(Log, SetTimer))
        self.timer_us: int | None = None
        self.logged: list[Log] = []
        self.waiting: list[Candidate] = []
        self.batches: list[Batch] = []

    def handle(self, event: Event) -> list[Command]:
        commands = self.relay.handle(event, self.now_us)
        self.timer_us = next((each.at_us for each in commands if isinstance(each, SetTimer)), self.timer_us)
        self.logged += [each for each in commands if isinstance(each, Log)]
        self.waiting += [each for command in commands if isinstance(command, Verify) for each in command.candidates]
        self.batches += [command.batch for command in commands if isinstance(command, Append)]
        return commands

    def after(self, *, seconds: float = 0, flushes: int = 0) -> list[Command]:
        self.now_us += int(seconds * S_US) + flushes * FLUSH_US
        return self.handle(TimePassed())

    def live(self, host_time_us: int | None = None) -> Stage:
        self.handle(TimePassed())
        self.handle(UpstreamOpened(self.connection, host_time_us, "pds"))
        assert self.state is UpstreamState.LIVE
        return self

    def receive(self, *some: bytes) -> list[Command]:
        return self.handle(FramesReceived(self.connection, list(some)))

    def verify(self, *, verdict: RejectReason | bool = True, did: str = "") -> list[Command]:
        """Give everything that waits, or what waits of one account, its verdict."""
        settled = [each for each in self.waiting if did in ("", each.message.did)]
        self.waiting = [each for each in self.waiting if each not in settled]
        for each in settled:
            each.verdict = verdict
        return self.handle(EventsVerified(settled))

    def pass_on(self, *some: bytes) -> list[Command]:
        """Receive frames, and verify them at once."""
        return [*self.receive(*some), *self.verify()]

    @property
    def connection(self) -> int:
        return self.relay.host.upstream.connection

    @property
    def state(self) -> UpstreamState:
        return self.relay.host.upstream.state

    @property
    def low(self) -> int:
        return self.relay.host.position.low

    @property
    def sent(self) -> list[tuple[int, str]]:
        """Number and account of everything that was appended."""
        return [each for batch in self.batches for each in zip(batch.head.seqs, batch.head.dids, strict=True)]

    def rejects(self) -> dict[str, int]:
        return {str(reason): count for reason, count in self.relay.host.rejects if count}


def commit(seq: int, rev: int, did: str = ALICE, *, paths: Sequence[str] = (), **fields: Any) -> bytes:
    return frames.commit(seq, did, frames.tid(rev), paths=paths, **fields)


def opened(commands: Sequence[Command]) -> list[OpenUpstream]:
    return [each for each in commands if isinstance(each, OpenUpstream)]


def appended(commands: Sequence[Command]) -> list[Batch]:
    return [each.batch for each in commands if isinstance(each, Append)]


class TestConnect:
    @pytest.mark.parametrize(("start", "cursor"), [("live", None), ("oldest", 0)])
    def test_a_host_that_was_never_read(self, start: str, cursor: int | None) -> None:
        stage = Stage(UPSTREAM_START=start)
        assert (stage.play >> TimePassed() << OpenUpstream(1, cursor)).done()

    def test_a_host_is_read_on_at_its_position(self) -> None:
        rows = (PositionRow(2, 0, 99, (), 0, 0), PositionRow(1, 3, 77, ((80, 81),), 5, 0))
        stage = Stage(Restored(1, rows, connection=6))
        assert (stage.play >> TimePassed() << OpenUpstream(7, 77)).done()
        assert stage.relay.host.position.row() == rows[1]

    def test_without_an_upstream_nothing_is_opened(self) -> None:
        stage = Stage(UPSTREAM="")
        assert (stage.play >> TimePassed()).done()
        assert (stage.state, stage.relay.host.upstream.last_problem) == (UpstreamState.STOPPED, "no UPSTREAM is set")

    def test_an_attempt_that_fails_is_repeated_when_its_pause_is_over(self) -> None:
        stage = Stage()
        stage.handle(TimePassed())
        assert (stage.play >> UpstreamFailed(1, "refused", 0, 0)).done()
        assert (stage.state, stage.timer_us) == (UpstreamState.BACKING_OFF, NOW_US + S_US)
        assert opened(stage.after(seconds=0.999)) == []
        assert opened(stage.after(seconds=0.001)) == [OpenUpstream(2, 0)]

    @pytest.mark.parametrize(
        ("status", "retry_after_s", "pause_s"), [(429, 90, 90), (503, 0, 1), (501, 5, NOT_IMPLEMENTED_PAUSE_S)]
    )
    def test_an_answer_instead_of_an_upgrade(self, status: int, retry_after_s: int, pause_s: int) -> None:
        stage = Stage()
        stage.handle(TimePassed())
        stage.handle(UpstreamFailed(1, f"HTTP {status}", status, retry_after_s))
        assert stage.timer_us == NOW_US + pause_s * S_US

    def test_a_socket_that_closes_is_opened_again_at_the_position(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(5, 1))
        stage.handle(UpstreamClosed(1, "closed 1006"))
        assert opened(stage.after(seconds=1)) == [OpenUpstream(2, 5)]

    @pytest.mark.parametrize(
        "late",
        [
            UpstreamOpened(1, None, "relay"),
            UpstreamFailed(1, "late", 0, 0),
            UpstreamClosed(1, "late"),
            FramesReceived(1, [commit(9, 9)]),
            TextReceived(1),
        ],
        ids=lambda event: type(event).__name__,
    )
    def test_what_arrives_under_an_older_number_is_ignored(self, late: Event) -> None:
        stage = Stage().live()
        stage.handle(UpstreamClosed(1, "closed"))
        stage.after(seconds=1)
        assert (stage.play >> late).done()
        assert (stage.connection, stage.state, stage.relay.host.kind) == (2, UpstreamState.CONNECTING, "pds")
        assert (stage.relay.host.counts.frames, stage.rejects()) == (0, {})

    @pytest.mark.parametrize(("is_open", "seconds"), [(False, 20), (True, 120)])
    def test_a_socket_that_says_nothing_is_replaced(self, is_open: bool, seconds: int) -> None:
        stage = Stage()
        stage.handle(TimePassed())
        if is_open:
            stage.live()
        assert stage.timer_us == NOW_US + seconds * S_US
        stage.after(seconds=seconds - 0.001)
        stage.now_us += 1_000
        play = stage.play >> TimePassed() << CloseUpstream(1)
        if is_open:
            play << OpenUpstream(2, 0)
        assert play.done()
        assert stage.relay.host.upstream.last_problem == ("silence" if is_open else "connect_timeout")

    def test_the_kind_of_the_host_is_kept(self) -> None:
        stage = Stage().live()
        stage.handle(UpstreamClosed(1, ""))
        stage.after(seconds=1)
        stage.handle(UpstreamOpened(2, None, ""))
        assert stage.relay.host.kind == "pds"


class TestSkew:
    @pytest.mark.parametrize("ahead_s", [-1_200, -301, 301, 1_200])
    def test_nothing_is_sequenced_while_clocks_differ(self, ahead_s: int) -> None:
        stage = Stage()
        stage.handle(TimePassed())
        host_time_us = NOW_US - ahead_s * S_US
        assert (stage.play >> UpstreamOpened(1, host_time_us, "") << CloseUpstream(1)).done()
        assert list(stage.relay.host.upstream.pauses) == [PauseReason.SKEW]
        assert str(ahead_s) in stage.relay.host.upstream.last_problem
        assert (stage.play >> FramesReceived(1, [commit(5, 1)])).done()
        assert opened(stage.after(seconds=SKEW_RECHECK_US / S_US)) == [OpenUpstream(2, 0)]

    @pytest.mark.parametrize("host_time_us", [None, NOW_US, NOW_US - 300 * S_US, NOW_US + 300 * S_US])
    def test_a_small_difference_or_an_unknown_one_is_none(self, host_time_us: int | None) -> None:
        Stage().live(host_time_us)


class TestEvents:
    def test_an_event_is_durable_before_it_is_visible_and_its_position_with_it(self) -> None:
        stage = Stage(Restored(1, shards=(("a", ""),))).live()
        stage.handle(ShardOpened("a"))
        commands = [
            each for each in stage.pass_on(commit(5, 1, paths=["a.b.c/d"])) if not isinstance(each, Log | SetTimer)
        ]
        assert [type(each) for each in commands] == [Verify, Append, FeedBatch]
        [batch] = stage.batches
        assert batch.head.positions == ((1, 0, 5, (), NOW_US, 0),)
        assert (batch.head.seqs, batch.head.dids, batch.head.paths) == ((NOW_US,), (ALICE,), (("a.b.c/d",),))
        [(seq, frame)] = batch.split()
        header, body = frames.parts(commit(5, 1, paths=["a.b.c/d"]))
        assert frames.parts(frame) == (header, {**body, "seq": seq})
        assert stage.relay.ring.find(seq) is batch
        assert stage.relay.last_seq == seq

    def test_events_of_one_flush_share_a_batch(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(1, 1))
        assert stage.relay.next_flush_us == NOW_US + FLUSH_US
        stage.now_us += 1_000
        assert appended(stage.pass_on(commit(2, 2), commit(3, 3, BOB))) == []
        assert stage.timer_us == NOW_US + FLUSH_US
        stage.now_us += 1_000
        assert appended(stage.pass_on(frames.identity(4, ALICE))) == []
        stage.now_us = NOW_US + FLUSH_US
        [batch] = appended(stage.handle(TimePassed()))
        assert [did for _, did in stage.sent[1:]] == [ALICE, BOB, ALICE]
        assert (batch.head.prev_seq, batch.head.positions[0][2]) == (NOW_US, 4)

    def test_a_full_batch_does_not_wait(self) -> None:
        stage = Stage(BATCH_BYTES="16384").live()
        stage.pass_on(commit(1, 1))
        batches = appended(stage.pass_on(*[commit(seq, seq, size_bytes=6_000) for seq in range(2, 9)]))
        assert [len(batch.head.seqs) for batch in batches] == [3, 3]
        assert all(batch.head.positions[0][2] == 1 + 3 * index for index, batch in enumerate(batches, 1))

    def test_what_the_head_holds_counts_too(self) -> None:
        """Small events of many accounts: the records of the accounts are larger than the frames."""
        stage = Stage(BATCH_BYTES="16384").live()
        stage.pass_on(commit(1, 1))
        batches = appended(stage.pass_on(*[frames.identity(seq, frames.did(seq)) for seq in range(2, 302)]))
        assert batches
        assert max(batch.size_bytes for batch in batches) < 2 * 16_384

    def test_every_operation_has_a_number(self) -> None:
        stage = Stage().live()
        paths = [f"a.b.c/{index}" for index in range(5)]
        stage.pass_on(commit(1, 1, paths=paths), frames.identity(2, BOB), commit(3, 2), frames.account(4, BOB))
        assert [seq - NOW_US for seq, _ in stage.sent] == [0, 5, 6, 7]

    def test_numbers_go_on_behind_the_last_one_after_a_restart(self) -> None:
        stage = Stage(Restored(1, last_seq=NOW_US + 7, last_width=3)).live()
        stage.pass_on(commit(1, 1))
        assert (stage.sent, stage.batches[0].head.prev_seq) == ([(NOW_US + 10, ALICE)], NOW_US + 7)

    def test_what_changed_of_accounts_travels_with_the_batch(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(1, 1), commit(2, 2), commit(3, 1, BOB))
        assert len(stage.batches[0].head.accounts) == 2 * 96

    def test_a_note_of_the_host_is_logged(self) -> None:
        stage = Stage().live()
        stage.receive(frames.frame("#info", {"name": "OutdatedCursor", "message": "old"}))
        assert stage.logged[-1] == Log("warning", "upstream_info", {"name": "OutdatedCursor", "message": "old"})


class TestVerdicts:
    def test_accounts_do_not_wait_for_each_other(self) -> None:
        stage = Stage().live()
        stage.receive(commit(1, 1), commit(2, 1, BOB), commit(3, 2), commit(4, 2, BOB))
        stage.verify(did=BOB)
        assert ([did for _, did in stage.sent], stage.low) == ([BOB, BOB], 0)
        assert stage.batches[-1].head.positions[0][3] == ((2, 2), (4, 4))
        stage.verify(did=ALICE)
        stage.after(flushes=1)
        assert ([did for _, did in stage.sent], stage.low) == ([BOB, BOB, ALICE, ALICE], 4)

    def test_a_refused_event_is_counted_and_finished(self) -> None:
        stage = Stage().live()
        stage.receive(commit(1, 1), commit(2, 2))
        stage.verify(verdict=RejectReason.BAD_VALUE)
        assert (stage.sent, stage.low, stage.rejects()) == ([], 2, {"bad_value": 2})

    def test_a_refused_event_that_an_inclusive_host_repeats_proves_no_reset(self) -> None:
        stage = Stage().live()
        stage.receive(commit(1, 1))
        stage.verify(verdict=RejectReason.BAD_VALUE)
        stage.handle(UpstreamClosed(1, ""))
        stage.after(seconds=1)
        stage.handle(UpstreamOpened(2, None, ""))
        stage.pass_on(commit(1, 1), commit(2, 2))
        assert (stage.relay.host.counts.resets, stage.relay.host.counts.repeats, len(stage.sent)) == (0, 1, 1)

    def test_verdicts_come_in_any_order(self) -> None:
        stage = Stage().live()
        stage.receive(commit(1, 1), commit(2, 2), commit(3, 3))
        for each in reversed(stage.waiting):
            each.verdict = True
            stage.handle(EventsVerified([each]))
        [batch] = stage.batches
        assert [frames.parts(frame)[1]["rev"] for _, frame in batch.split()] == [frames.tid(rev) for rev in (1, 2, 3)]

    def test_a_verdict_from_before_a_reset_counts_for_its_event_alone(self) -> None:
        """The event is passed on; the number that it had means nothing any more."""
        stage = Stage(Restored(1, (PositionRow(1, 0, 10, (), NOW_US, 0),))).live()
        stage.receive(commit(11, 5))
        stage.receive(frames.error("FutureCursor", ""))
        stage.handle(UpstreamOpened(2, None, ""))
        stage.receive(commit(11, 1, BOB))
        stage.verify(did=ALICE)
        assert ([did for _, did in stage.sent], stage.low, stage.relay.host.position.epoch) == ([ALICE], 0, 1)
        stage.verify(did=BOB)
        assert stage.low == 11


def large() -> bytes:
    return frames.identity(1, ALICE, x=bytes(MAX_FRAME_BYTES))


PROVOKED: dict[RejectReason, list[bytes]] = {
    RejectReason.OVERSIZE_FRAME: [large()],
    RejectReason.BAD_ENCODING: [commit(1, 1) + b"\x00"],
    RejectReason.BAD_HEADER: [b"\xa1\x62op\x01\xa0"],
    RejectReason.UNKNOWN_OP: [b"\xa1\x62op\x02\xa0"],
    RejectReason.UNKNOWN_KIND: [frames.frame("#label", {"seq": 1})],
    RejectReason.LEGACY_KIND: [frames.frame("#handle", {"seq": 1})],
    RejectReason.MISSING_FIELD: [frames.frame("#account", {"seq": 1, "did": ALICE})],
    RejectReason.WRONG_TYPE: [frames.account(1, ALICE, status=1)],
    RejectReason.BAD_VALUE: [frames.identity(1, "alice.test")],
    RejectReason.TOO_MANY_OPS: [commit(1, 1, ops=[None] * 201)],
    RejectReason.BLOCKS_TOO_LARGE: [commit(1, 1, size_bytes=2_000_001)],
    RejectReason.SEQ_ORDER: [commit(1, 1), commit(1, 2)],
    RejectReason.STALE_REV: [commit(1, 1), commit(2, 1)],
}


class TestReasons:
    @pytest.mark.parametrize("reason", PROVOKED)
    def test_a_bad_frame_is_dropped_and_counted_and_the_stream_goes_on(self, reason: RejectReason) -> None:
        stage = Stage().live()
        stage.pass_on(*PROVOKED[reason])
        before = len(stage.sent)
        assert stage.rejects() == {reason: 1}
        assert len(stage.relay.host.rejects.latest(reason)) == 1
        assert any(each.event == "refused" and each.fields["reason"] is reason for each in stage.logged)
        stage.now_us += FLUSH_US
        stage.pass_on(commit(9, 9, BOB))
        assert (len(stage.sent), stage.low, stage.state) == (before + 1, 9, UpstreamState.LIVE)

    def test_a_text_message(self) -> None:
        stage = Stage().live()
        stage.now_us += 5
        stage.handle(TextReceived(1))
        assert stage.rejects() == {RejectReason.TEXT_FRAME: 1}
        assert stage.relay.host.upstream.wake_us() == NOW_US + 5 + 120 * S_US

    @pytest.mark.parametrize(("verify", "passed"), [("strict", 0), ("trusted", 0), ("lenient", 1)])
    def test_only_a_lenient_relay_takes_another_encoding(self, verify: str, passed: int) -> None:
        stage = Stage(VERIFY=verify).live()
        time = frames.datetime_text(NOW_US)
        stage.pass_on(dumps({"op": 1, "t": "#identity"}) + dumps({"time": time, "seq": 5, "did": ALICE}))
        assert len(stage.sent) == passed

    def test_every_reason_of_an_envelope_is_provoked(self) -> None:
        """Those beyond it: test_verify.py, test_vetting.py, test_ledger.py, and on workerd all of them."""
        reasons = {*FRAME_REASONS.values(), *MESSAGE_REASONS.values(), RejectReason.TEXT_FRAME}
        reasons |= {RejectReason.UNKNOWN_KIND, RejectReason.LEGACY_KIND, RejectReason.SEQ_ORDER, RejectReason.STALE_REV}
        assert {*PROVOKED, RejectReason.TEXT_FRAME} == reasons

    def test_a_refusal_in_flight_has_its_detail(self) -> None:
        stage = Stage().live()
        stage.receive(commit(7, 1))
        stage.waiting[0].detail = "not signed by the account"
        stage.verify(verdict=RejectReason.BAD_SIGNATURE)
        [example] = stage.relay.host.rejects.latest(RejectReason.BAD_SIGNATURE)
        detail = "not signed by the account"
        refused = Refused(RejectReason.BAD_SIGNATURE, detail, "#commit", 7, ALICE, frames.tid(1))
        assert example == Example(NOW_US, refused)
        assert stage.relay.host.rejects.frame(RejectReason.BAD_SIGNATURE) == commit(7, 1)


class TestStatus:
    """An account that its host took out and that writes all the same."""

    def out(self) -> Stage:
        stage = Stage().live()
        stage.pass_on(commit(1, 1), frames.account(2, ALICE, active=False, status="deactivated"))
        stage.after(flushes=1)
        return stage

    def test_its_events_wait_for_the_answer_and_nobody_else_does(self) -> None:
        stage = self.out()
        before = len(stage.sent)
        commands = stage.pass_on(commit(3, 2), commit(4, 3), commit(5, 1, BOB))
        stage.after(flushes=1)
        assert [each for each in commands if isinstance(each, AskStatus)] == [AskStatus(ALICE, "https://pds.test")]
        assert ([did for _, did in stage.sent[before:]], stage.low) == ([BOB], 2)
        stage.handle(StatusTold(ALICE, True))
        stage.after(flushes=1)
        kinds = [kind for batch in stage.batches for kind in batch.head.kinds]
        assert kinds[before + 1 :] == ["#account", "#commit", "#commit"]
        assert (stage.low, stage.rejects()) == (5, {})

    def test_it_may_stay_out(self) -> None:
        stage = self.out()
        stage.pass_on(commit(3, 2), commit(4, 3))
        assert not [
            each for each in stage.handle(StatusTold(ALICE, False, "deactivated")) if isinstance(each, AskStatus)
        ]
        assert (stage.low, stage.rejects()) == (4, {"inactive_account": 2})

    def test_an_answer_that_nobody_waits_for_changes_nothing(self) -> None:
        stage = self.out()
        assert (stage.play >> StatusTold(ALICE, True)).done()
        stage.receive(commit(3, 2))
        assert (stage.play >> StatusTold(ALICE, True)).done(), "the event has no verdict yet"
        assert isinstance(stage.verify()[0], AskStatus)

    def test_an_answer_to_an_earlier_question_does_not_come_before_the_verdict(self) -> None:
        """The event may have its verdict already, which is told a moment later."""
        stage = self.out()
        stage.receive(commit(3, 2))
        stage.waiting[0].verdict = True
        assert (stage.play >> StatusTold(ALICE, True)).done()
        assert isinstance(stage.verify()[0], AskStatus)
        stage.handle(StatusTold(ALICE, True))
        assert (stage.low, stage.rejects()) == (3, {})

    def test_events_that_get_their_verdict_meanwhile_wait_behind_it(self) -> None:
        stage = self.out()
        stage.pass_on(commit(3, 2))
        before = len(stage.sent)
        assert not [each for each in stage.pass_on(commit(4, 3)) if isinstance(each, AskStatus)]
        stage.after(flushes=1)
        assert len(stage.sent) == before
        stage.handle(StatusTold(ALICE, None))
        assert (stage.low, stage.rejects()) == (4, {"inactive_account": 2})


class TestDirectory:
    def test_one_that_is_down_pauses_the_upstream_until_it_is_back(self) -> None:
        stage = Stage().live()
        assert (stage.play >> DirectoryChanged(is_down=True) << CloseUpstream(1)).done()
        assert list(stage.relay.host.upstream.pauses) == [PauseReason.IDENTITY]
        assert opened(stage.after(seconds=3_600)) == []
        assert (stage.play >> DirectoryChanged(is_down=False) << OpenUpstream(2, 0)).done()

    def test_both_reasons_to_wait_must_be_gone(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        stage.receive(*[commit(seq, seq) for seq in range(1, 18)])
        stage.receive(commit(18, 18))
        stage.handle(DirectoryChanged(is_down=True))
        assert opened(stage.verify()) == [], "the directory is still down"
        assert opened(stage.handle(DirectoryChanged(is_down=False))) == [OpenUpstream(2, 17)]

    def test_one_that_is_back_resumes_nothing_while_too_much_waits(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        stage.receive(*[commit(seq, seq) for seq in range(1, 18)])
        stage.handle(DirectoryChanged(is_down=True))
        assert opened(stage.handle(DirectoryChanged(is_down=False))) == []
        assert opened(stage.verify()) == [OpenUpstream(2, 17)]


class TestKind:
    """Whether a host may speak for an account depends on what it is."""

    def test_a_host_of_unknown_kind_is_left_and_tried_again(self) -> None:
        stage = Stage()
        stage.handle(TimePassed())
        assert (stage.play >> UpstreamOpened(1, None, "") << CloseUpstream(1)).done()
        assert stage.state is UpstreamState.BACKING_OFF
        assert "describeServer" in stage.relay.host.upstream.last_problem

    def test_without_verification_it_does_not_matter(self) -> None:
        stage = Stage(VERIFY="trusted")
        stage.handle(TimePassed())
        stage.handle(UpstreamOpened(1, None, ""))
        assert stage.state is UpstreamState.LIVE


class TestReset:
    def at(self, low: int) -> Stage:
        return Stage(Restored(1, (PositionRow(1, 0, low, (), NOW_US, 0),))).live()

    @pytest.mark.parametrize("proof", [frames.error("FutureCursor", "no"), commit(3, 2**62)])
    def test_a_host_that_began_anew_is_read_from_its_beginning_at_once(self, proof: bytes) -> None:
        stage = self.at(10)
        stored = Checkpoint((PositionRow(1, 1, 0, (), NOW_US, NOW_US),), 0)
        assert (stage.play >> FramesReceived(1, [proof]) << CloseUpstream(1) << stored << OpenUpstream(2, 0)).done()
        assert (stage.relay.host.position.epoch, stage.relay.host.counts.resets) == (1, 1)

    def test_a_reset_is_stored_with_all_that_came_before_it(self) -> None:
        """A checkpoint covers accounts as they are, so that their events must be in the log before it."""
        stage = self.at(10)
        stage.pass_on(commit(11, 1))
        stage.pass_on(commit(12, 2))
        assert stage.relay.last_seq == NOW_US
        commands = stage.receive(frames.error("FutureCursor", "no"))
        assert [type(each) for each in commands if not isinstance(each, Log | SetTimer)] == [
            CloseUpstream,
            Append,
            Checkpoint,
            OpenUpstream,
        ]
        assert stage.batches[-1].head.positions == ((1, 1, 0, (), NOW_US, NOW_US),)

    def test_what_it_sends_again_is_passed_on_once(self) -> None:
        stage = self.at(0)
        stage.pass_on(commit(7, 1), frames.sync(8, ALICE, frames.tid(1)), frames.identity(9, BOB), commit(10, 2))
        stage.handle(UpstreamClosed(1, ""))
        stage.after(seconds=1)
        stage.handle(UpstreamOpened(2, None, ""))
        stage.receive(frames.error("FutureCursor", "no"))
        stage.handle(UpstreamOpened(3, None, ""))
        before = len(stage.sent)
        again = [commit(1, 1), frames.sync(2, ALICE, frames.tid(1)), frames.identity(3, BOB), commit(4, 2)]
        news = [frames.identity(5, BOB, time_us=NOW_US + 1), commit(6, 3, time_us=NOW_US + 2)]
        stage.pass_on(*again, *news)
        stage.after(flushes=1)
        assert (len(stage.sent) - before, stage.low, stage.rejects()) == (2, 6, {})
        assert stage.relay.host.counts.repeats == 4
        assert stage.batches[-1].head.positions == ((1, 1, 6, (), NOW_US + 2, 0),)

    @pytest.mark.parametrize(("start", "cursor"), [("oldest", 0), ("live", None)])
    def test_a_host_that_refuses_a_cursor_which_asks_for_everything_is_broken(
        self, start: str, cursor: int | None
    ) -> None:
        """Even if it sent an event before; it is left in peace for a while, and has not begun anew."""
        stage = Stage(UPSTREAM_START=start).live()
        assert stage.relay.host.asked_cursor == cursor
        stage.pass_on(commit(5, 1))
        assert (stage.play >> FramesReceived(1, [frames.error("FutureCursor", "no")]) << CloseUpstream(1)).done()
        assert (stage.state, stage.low, stage.relay.host.counts.resets) == (UpstreamState.BACKING_OFF, 5, 0)

    def test_a_host_that_refuses_every_cursor_is_not_asked_without_a_pause(self) -> None:
        stage = Stage().live()
        for seq in range(1, 6):
            asked = 0
            while stage.state is not UpstreamState.BACKING_OFF:
                stage.pass_on(commit(seq, seq))
                asked += len(opened(stage.receive(frames.error("FutureCursor", "no"))))
                stage.handle(UpstreamOpened(stage.connection, None, ""))
            assert asked <= 1
            stage.after(seconds=60)
            stage.handle(UpstreamOpened(stage.connection, None, ""))

    @pytest.mark.parametrize("name", ["ConsumerTooSlow", "InternalError", ""])
    def test_any_other_error_is_a_lost_socket_with_a_name(self, name: str) -> None:
        stage = self.at(10)
        assert (stage.play >> FramesReceived(1, [frames.error(name, "x" * 999)]) << CloseUpstream(1)).done()
        assert (stage.state, stage.low) == (UpstreamState.BACKING_OFF, 10)
        assert stage.relay.host.upstream.last_problem == f"{name}: {'x' * 999}"[:200]


class TestBounds:
    def test_the_upstream_is_closed_while_too_much_waits_and_resumed_at_half(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        stage.receive(*[commit(seq, seq) for seq in range(1, 11)], *[commit(seq, seq, BOB) for seq in range(11, 18)])
        assert stage.state is UpstreamState.LIVE, "the next handful shows whether verification keeps up"
        assert (stage.play >> FramesReceived(1, [commit(18, 18)]) << CloseUpstream(1)).done()
        assert list(stage.relay.host.upstream.pauses) == [PauseReason.IDENTITY]
        assert (stage.relay.in_flight.count, stage.relay.in_flight.accounts) == (17, 2)
        assert opened(stage.verify(did=BOB)) == [], "ten are more than half of what may wait"
        assert opened(stage.verify(did=ALICE)) == [OpenUpstream(2, 17)]

    def test_a_handful_that_is_verified_at_once_may_be_larger(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        for start in (1, 101, 201):
            stage.pass_on(*[commit(seq, seq) for seq in range(start, start + 100)])
        stage.after(flushes=1)
        assert (len(stage.sent), stage.connection, stage.state) == (300, 1, UpstreamState.LIVE)

    def test_the_bound_is_in_bytes_too(self) -> None:
        stage = Stage(MAX_IN_FLIGHT_BYTES="6000000").live()
        stage.receive(*[commit(seq, seq, size_bytes=2_000_000) for seq in (1, 2, 3)])
        assert (stage.play >> FramesReceived(1, [commit(4, 4)]) << CloseUpstream(1)).done()
        assert opened(stage.verify()) == [OpenUpstream(2, 3)]

    def test_an_error_of_the_host_does_not_end_the_pause(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        stage.receive(*[commit(seq, seq) for seq in range(1, 18)])
        stage.receive(frames.error("ConsumerTooSlow", ""))
        assert opened(stage.after(seconds=3_600)) == []

    def test_the_answer_about_an_account_that_all_wait_for_resumes_too(self) -> None:
        stage = Stage(MAX_IN_FLIGHT="16").live()
        stage.pass_on(frames.account(1, ALICE, active=False, status="deactivated"))
        stage.receive(*[commit(seq, seq) for seq in range(2, 19)])
        stage.receive(commit(19, 19))
        assert isinstance(stage.verify()[0], AskStatus)
        assert opened(stage.after(seconds=3_600)) == []
        assert opened(stage.handle(StatusTold(ALICE, True))) == [OpenUpstream(2, 18)]

    def test_a_full_log_pauses(self) -> None:
        stage = Stage().live()
        assert (stage.play >> LogFilled(full=True) << CloseUpstream(1)).done()
        assert list(stage.relay.host.upstream.pauses) == [PauseReason.ARCHIVE]
        assert (stage.play >> LogFilled(full=False) << OpenUpstream(2, 0)).done()

    def test_a_full_log_is_checkpointed_at_once_for_it_may_wait_for_nothing_else(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(1, 1))
        stage.after(flushes=1)
        assert [each.at_seq for each in stage.handle(LogFilled(full=True)) if isinstance(each, Checkpoint)] == [
            stage.relay.last_seq
        ]

    def test_a_log_that_fills_while_nothing_is_open_has_nothing_to_close(self) -> None:
        stage = Stage().live()
        stage.handle(UpstreamClosed(1, ""))
        assert (stage.play >> LogFilled(full=True)).done()
        assert opened(stage.after(seconds=3_600)) == []

    def test_a_relay_that_could_not_write_pauses_and_tries_again(self) -> None:
        stage = Stage(Restored(1, connection=4, storage_problem="disk full"))
        assert (stage.play >> TimePassed()).done()
        assert stage.timer_us == NOW_US + STORAGE_RETRY_US
        assert stage.relay.host.upstream.last_problem == "disk full"
        assert opened(stage.after(seconds=STORAGE_RETRY_US / S_US)) == [OpenUpstream(5, 0)]


class TestShards:
    def test_a_shard_lives_through_the_feed(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(1, 1))
        play = stage.play >> ShardAsked("a", "weur") << RememberShard("a", "weur") << DialShard("a", "weur")
        assert (play >> ShardOpened("a") << FeedHead("a", NOW_US)).done()
        stage.now_us += FLUSH_US
        [batch] = appended(stage.pass_on(commit(2, 2)))
        assert (play >> ShardAcked("a", batch.head.last_seq, 1)).done()
        assert (play >> ShardClosed("a")).done()
        stage.now_us += S_US
        assert (
            play >> TimePassed() << DialShard("a", "weur") >> ShardOpened("a") << FeedHead("a", NOW_US + FLUSH_US)
        ).done()
        assert (play >> ShardAcked("a", NOW_US, 0) << ForgetShard("a") << CloseShard("a")).done()

    def test_shards_are_dialed_after_a_restart(self) -> None:
        stage = Stage(Restored(1, shards=(("a", "weur"),)), UPSTREAM="")
        assert (stage.play >> TimePassed() << DialShard("a", "weur")).done()


class TestClock:
    def test_a_clock_that_stands_still_counts_on(self) -> None:
        stage = Stage().live()
        for seq in range(1, 4):
            stage.pass_on(commit(seq, seq))
        stage.after(flushes=1)
        assert [seq - NOW_US for seq, _ in stage.sent] == [0, 1, 2]

    def test_a_clock_that_steps_back_delays_nothing(self) -> None:
        stage = Stage().live()
        stage.pass_on(commit(1, 1))
        stage.now_us -= 1_200 * S_US
        stage.pass_on(commit(2, 2))
        assert stage.timer_us is not None
        assert stage.timer_us <= stage.now_us + FLUSH_US
        stage.after(flushes=1)
        assert [seq - NOW_US for seq, _ in stage.sent] == [0, 1]
        stage.handle(UpstreamClosed(1, ""))
        stage.now_us -= 1_200 * S_US
        stage.handle(TimePassed())
        assert stage.timer_us <= stage.now_us + S_US
        assert opened(stage.after(seconds=1)) == [OpenUpstream(2, 2)]

    def test_it_is_alerted_once(self) -> None:
        stage = Stage(Restored(1, last_seq=NOW_US + 2 * S_US)).live()
        for seq in (1, 2):
            stage.pass_on(commit(seq, seq))
            stage.after(flushes=1)
        assert [each for each in stage.logged if each.event == "clock_behind"] == [
            Log("error", "clock_behind", {"behind_s": 2})
        ]
        assert stage.relay.clock_behind == 1
        stage.after(seconds=3)
        stage.pass_on(commit(3, 3))
        stage.now_us -= 5 * S_US
        stage.pass_on(commit(4, 4))
        stage.after(flushes=1)
        assert stage.relay.clock_behind == 2

    def test_a_retry_is_not_delayed_either(self) -> None:
        stage = Stage(Restored(1, storage_problem="disk full"))
        stage.handle(TimePassed())
        stage.now_us -= 1_200 * S_US
        stage.handle(TimePassed())
        assert opened(stage.after(seconds=STORAGE_RETRY_US / S_US)) == [OpenUpstream(1, 0)]

    def test_neither_a_shard_nor_a_checkpoint_waits_until_it_has_caught_up(self) -> None:
        stage = Stage(Restored(1, shards=(("a", ""),))).live()
        stage.pass_on(commit(1, 1))
        stage.handle(ShardClosed("a"))
        stage.now_us -= 1_200 * S_US
        stage.handle(TimePassed())
        commands = stage.after(seconds=1)
        assert DialShard("a", "") in commands
        assert not [each for each in commands if isinstance(each, Checkpoint)]
        assert [each for each in stage.after(seconds=59) if isinstance(each, Checkpoint)]

    @pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "2026-11-19T00:00:00Z"])
    def test_a_time_that_no_clock_can_show_is_not_believed(self, text: str) -> None:
        """It would be kept as the newest, and hide every later event that a time alone can tell from a repeat."""
        stage = Stage().live()
        stage.pass_on(
            frames.identity(1, ALICE)
            if text == ""
            else frames.frame("#identity", {"seq": 1, "did": ALICE, "time": text})
        )
        assert stage.relay.host.position.newest_time_us == NOW_US + 300 * S_US


class Full(MemoryAccounts):
    """Asks for a checkpoint."""

    @property
    def checkpoint_due(self) -> bool:
        return True


class TestCheckpoint:
    def test_it_is_taken_in_time_and_covers_what_was_appended(self) -> None:
        row = PositionRow(2, 0, 99, (), 0, 0)
        stage = Stage(Restored(1, (row,)), CHECKPOINT_S="60").live()
        stage.pass_on(commit(1, 1))
        stage.after(seconds=59)
        stage.receive(frames.frame("#label", {"seq": 4}))
        stage.now_us += S_US
        expected = Checkpoint((row, PositionRow(1, 0, 4, (), NOW_US, 0)), NOW_US)
        assert (stage.play >> TimePassed() << expected).done()

    def test_without_events_there_is_none(self) -> None:
        stage = Stage(CHECKPOINT_S="60").live()
        assert not [each for each in stage.after(seconds=61) if isinstance(each, Checkpoint)]
        stage.pass_on(commit(1, 1))
        [taken] = [each for each in stage.after(seconds=61) if isinstance(each, Checkpoint)]
        stage.accounts.checkpoint(taken.at_seq)
        assert not [each for each in stage.after(seconds=61) if isinstance(each, Checkpoint)]

    def test_it_does_not_cover_what_waits_to_be_appended(self) -> None:
        stage = Stage(CHECKPOINT_S="60").live()
        stage.now_us += 60 * S_US - 1
        stage.pass_on(commit(1, 1))
        stage.pass_on(commit(2, 2))
        stage.now_us += 1
        assert (stage.play >> TimePassed()).done()
        stage.now_us += FLUSH_US
        assert [type(each) for each in stage.handle(TimePassed())][:2] == [Append, Checkpoint]

    def test_a_store_may_ask_for_one(self) -> None:
        stage = Stage(accounts=Full()).live()
        assert [type(each) for each in stage.pass_on(commit(1, 1)) if not isinstance(each, Log | SetTimer)] == [
            Verify,
            Append,
            Checkpoint,
        ]

    def test_none_is_taken_while_the_storage_is_left_in_peace(self) -> None:
        stage = Stage(Restored(1, last_seq=NOW_US, storage_problem="disk full"), Full())
        assert (stage.play >> TimePassed()).done()
        stage.now_us += STORAGE_RETRY_US
        expected = Checkpoint((PositionRow(1, 0, 0, (), 0, 0),), NOW_US)
        assert (stage.play >> TimePassed() << expected << OpenUpstream(1, 0)).done()


def test_what_is_no_event_is_ours_to_blame() -> None:
    with pytest.raises(AssertionError):
        Stage().handle("TimePassed")  # type: ignore[arg-type]  # the point of the test


def test_the_timer_is_set_only_when_it_changes() -> None:
    stage = Stage()
    assert SetTimer(NOW_US + 20 * S_US) in stage.handle(TimePassed())
    assert not [each for each in stage.handle(ShardClosed("a")) if isinstance(each, SetTimer)]
    assert SetTimer(NOW_US + 20 * S_US) in stage.handle(TimePassed()), "it has just gone off"
