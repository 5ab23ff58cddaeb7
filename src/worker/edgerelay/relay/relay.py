"""The relay: frames of hosts in, one sequence of durable events out.

    FramesReceived ─▶ intake ─▶ in flight ─▶ (Verify … EventsVerified) ─▶ rev order ─▶ sequencer ─▶ batch
    every FLUSH_MS, or when a batch is full: Append ─▶ ring ─▶ FeedBatch to every shard that keeps up

One synchronous turn handles one event and returns the commands that follow, in the order in which they must be
carried out. `Append` stands before the `FeedBatch` of the same events: nothing is visible before it is durable.
Positions travel inside the batch whose events they cover, so the two are one write.

It owns the order of things. How a connection behaves is `upstream`'s, what a frame is `intake`'s, whether an event is
true the verifier's, and what shards get `feed`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, assert_never

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.atproto.frames import ErrorFrame, renumber
from edgerelay.atproto.messages import Commit
from edgerelay.atproto.timestamp import time_us
from edgerelay.config import Settings
from edgerelay.relay.accounts import AccountStore
from edgerelay.relay.book import AccountBook
from edgerelay.relay.commands import Append, Checkpoint, CloseUpstream, Command, Log, OpenUpstream, SetTimer, Verify
from edgerelay.relay.events import (
    Event,
    EventsVerified,
    FramesReceived,
    LogFilled,
    ShardAcked,
    ShardAsked,
    ShardClosed,
    ShardOpened,
    TextReceived,
    TimePassed,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.feed import Feed
from edgerelay.relay.host import Host
from edgerelay.relay.inflight import InFlight
from edgerelay.relay.intake import Candidate, Intake, Refused, ResetProven
from edgerelay.relay.position import Position, PositionRow
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.ring import Ring
from edgerelay.relay.sequencer import BEHIND_ALERT_US, Sequencer
from edgerelay.relay.upstream import NOT_IMPLEMENTED_PAUSE_S, PauseReason, Upstream, UpstreamPolicy

__all__ = ["Relay", "RelayCounts", "Restored"]

_US: Final = 1_000_000
_MS_US: Final = 1_000

SKEW_RECHECK_US: Final = 30 * _US
"""Pause before the clocks are compared again."""

STORAGE_RETRY_US: Final = 10 * _US
"""Pause before writing is tried again after it failed."""

HTTP_NOT_IMPLEMENTED: Final = 501


class Restored(NamedTuple):
    """What a relay knows when it starts."""

    host_id: int
    positions: tuple[PositionRow, ...] = ()
    last_seq: int = 0
    last_width: int = 1
    shards: tuple[tuple[str, str], ...] = ()
    """(name, region) of each shard that had readers."""

    connection: int = 0
    """Number of the last connection in this object's life; later ones get higher numbers."""

    storage_problem: str = ""
    """Why the relay before this one could not write; empty if it could, or there was none."""


class RelayCounts:
    """What went out since the object started."""

    __slots__ = ("bytes", "clock_behind", "events", "flushes")

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.flushes = 0
        self.clock_behind = 0


class Relay:
    """One relay. `handle` is total: no event raises, except for a broken invariant of ours."""

    def __init__(
        self,
        settings: Settings,
        restored: Restored,
        accounts: AccountStore,
        random: Callable[[], float],
        now_us: int,
    ) -> None:
        self._settings = settings
        self._book = AccountBook(accounts)
        self._others = tuple([row for row in restored.positions if row.host_id != restored.host_id])
        self.host = self._make_host(restored, random, now_us)
        self.sequencer = Sequencer(restored.last_seq, restored.last_width)
        self.in_flight = InFlight()
        self.ring: Ring[Batch] = Ring(settings.ring_bytes)
        self.feed = Feed(list(restored.shards))
        self.counts = RelayCounts()
        self._builder = BatchBuilder(restored.last_seq)
        self._flushed_us = 0
        self._checkpointed_us = now_us
        self._retry_us: dict[PauseReason, int] = {}
        self._timer_us = 0
        self._now_us = now_us
        self._clock_alerted = False
        if restored.storage_problem:
            self._pause_for(PauseReason.STORAGE, STORAGE_RETRY_US, now_us)
            self.host.upstream.last_problem = restored.storage_problem

    @property
    def last_seq(self) -> int:
        """Number of the newest event that is durable."""
        return self._builder.prev_seq

    @property
    def next_flush_us(self) -> int:
        """The earliest time at which the next flush may happen; frames may be held back until then."""
        return self._flushed_us + self._settings.flush_ms * _MS_US

    def handle(self, event: Event, now_us: int) -> list[Command]:
        """One turn."""
        commands: list[Command] = []
        if now_us < self._now_us:
            self._shift_clock(now_us - self._now_us)
        self._now_us = now_us
        match event:
            case FramesReceived(connection, frames):
                if self._is_current(connection):
                    self._receive(frames, now_us, commands)
            case EventsVerified(candidates):
                self._verified(candidates, now_us, commands)
            case TimePassed():
                self._timer_us = 0
                self._retry(now_us)
            case UpstreamOpened() | UpstreamFailed() | UpstreamClosed() | TextReceived():
                if self._is_current(event.connection):
                    self._upstream(event, now_us, commands)
            case LogFilled(full):
                self._log_filled(full, now_us, commands)
            case ShardAsked(name, region):
                commands += self.feed.asked(name, region, now_us)
            case ShardOpened(name):
                commands += self.feed.opened(name, self.last_seq, now_us)
            case ShardClosed(name):
                self.feed.closed(name, now_us)
            case ShardAcked(name, seq, clients, isolate, buffered_amount):
                self.feed.told(name, isolate, buffered_amount=buffered_amount)
                commands += self.feed.acked(name, seq, clients, self.last_seq, now_us)
            case _:
                assert_never(event)
        self._proceed(now_us, commands)
        return commands

    def _shift_clock(self, by_us: int) -> None:
        """The clock was set back: nothing must wait until it has caught up. Numbers take care of themselves."""
        self._flushed_us += by_us
        self._checkpointed_us += by_us
        self._retry_us = {reason: due_us + by_us for reason, due_us in self._retry_us.items()}
        self._timer_us = 0
        self.host.upstream.shift_clock(by_us)
        self.feed.shift_clock(by_us)

    # --- the host -----------------------------------------------------------------------------------------------

    def _make_host(self, restored: Restored, random: Callable[[], float], now_us: int) -> Host:
        settings = self._settings
        stored = {row.host_id: row for row in restored.positions}
        position = Position(stored.get(restored.host_id) or PositionRow(restored.host_id, 0, 0, (), 0, 0))
        policy = UpstreamPolicy(
            settings.connect_timeout_s, settings.silence_s, settings.healthy_s, settings.backoff_cap_s
        )
        upstream = Upstream(policy, random, now_us, connection=restored.connection)
        if not settings.upstream:
            upstream.stop("no UPSTREAM is set", now_us)
        from_live = settings.upstream_start == "live"
        intake = Intake(position, self._book.is_news, strict=settings.verify != "lenient", from_live=from_live)
        return Host(settings.upstream, upstream, position, intake, from_live=from_live)

    def _is_current(self, connection: int) -> bool:
        upstream = self.host.upstream
        return upstream.is_open and connection == upstream.connection

    def _upstream(
        self,
        event: UpstreamOpened | UpstreamFailed | UpstreamClosed | TextReceived,
        now_us: int,
        commands: list[Command],
    ) -> None:
        upstream = self.host.upstream
        match event:
            case UpstreamOpened():
                self._opened(event, now_us, commands)
            case UpstreamFailed(connection, problem, status, retry_after_s):
                pause_s = NOT_IMPLEMENTED_PAUSE_S if status == HTTP_NOT_IMPLEMENTED else retry_after_s
                upstream.lost(problem, now_us, retry_after_s=pause_s)
                commands.append(Log("warning", "upstream_failed", {"problem": problem, "connection": connection}))
            case UpstreamClosed(connection, problem):
                upstream.lost(problem, now_us)
                commands.append(Log("warning", "upstream_closed", {"problem": problem, "connection": connection}))
            case TextReceived():
                upstream.heard(now_us)
                self.host.refuse(Refused(RejectReason.TEXT_FRAME, "a text message"))

    def _opened(self, event: UpstreamOpened, now_us: int, commands: list[Command]) -> None:
        host, settings = self.host, self._settings
        host.kind = event.kind or host.kind
        if event.host_time_us is not None:
            skew_us = now_us - event.host_time_us
            if abs(skew_us) > settings.max_skew_s * _US:
                self._close_upstream(commands)
                self._pause_for(PauseReason.SKEW, SKEW_RECHECK_US, now_us)
                host.upstream.last_problem = f"our clock differs from the host's by {skew_us // _US} s"
                commands.append(Log("error", "clock_skew", {"skew_s": skew_us // _US, "max_s": settings.max_skew_s}))
                return
        host.opened(now_us)
        fields = {"connection": event.connection, "kind": host.kind, "cursor": host.cursor}
        commands.append(Log("info", "upstream_live", fields))

    def _close_upstream(self, commands: list[Command]) -> None:
        if self.host.upstream.is_open:
            commands.append(CloseUpstream(self.host.upstream.connection))

    def _pause_for(self, reason: PauseReason, retry_us: int, now_us: int) -> None:
        self.host.upstream.pause(reason, now_us)
        self._retry_us[reason] = now_us + retry_us

    def _retry(self, now_us: int) -> None:
        for reason, due_us in list(self._retry_us.items()):
            if now_us >= due_us:
                del self._retry_us[reason]
                self.host.upstream.resume(reason, now_us)

    def _log_filled(self, full: bool, now_us: int, commands: list[Command]) -> None:
        if full:
            self._close_upstream(commands)
            self.host.upstream.pause(PauseReason.ARCHIVE, now_us)
            commands.append(Log("error", "hot_log_full", {}))
        else:
            self.host.upstream.resume(PauseReason.ARCHIVE, now_us)

    # --- events -------------------------------------------------------------------------------------------------

    def _receive(self, frames: list[bytes], now_us: int, commands: list[Command]) -> None:
        if self._is_in_flight_above(1):
            # Rather than hold more events than fit in memory: the host keeps them for us, these frames too.
            self._close_upstream(commands)
            self.host.upstream.pause(PauseReason.IDENTITY, now_us)
            return
        catch = self.host.catch(frames, now_us)
        for refused in catch.refused:
            commands.append(Log("debug", "refused", {"reason": refused.reason, "detail": refused.detail}))
        for note in catch.notes:
            commands.append(Log("warning", "upstream_info", {"name": note.name, "message": note.message}))
        if catch.candidates:
            for candidate in catch.candidates:
                self.in_flight.begin(candidate)
            # A host may write any time; one that no clock can show yet says nothing of where its stream stands.
            newest_us = now_us + self._settings.max_skew_s * _US
            self.host.position.heard_of(min(time_us(catch.candidates[-1].message.time), newest_us))
            commands.append(Verify(catch.candidates))
        if catch.ended is not None:
            self._end(catch.ended, now_us, commands)

    def _is_in_flight_above(self, part: int) -> bool:
        """More events wait for their verdicts than this part of what may."""
        settings, waiting = self._settings, self.in_flight
        bounds = settings.max_in_flight // part, settings.max_in_flight_bytes // part
        return waiting.count > bounds[0] or waiting.size_bytes > bounds[1]

    def _end(self, ended: ErrorFrame | ResetProven, now_us: int, commands: list[Command]) -> None:
        """The host ended the stream, or what it sends shows that its numbers began anew."""
        host = self.host
        self._close_upstream(commands)
        # A cursor that asks for everything cannot lie in the future: such a host is broken, and is left in peace.
        if isinstance(ended, ResetProven) or (ended.error == "FutureCursor" and host.asked_cursor):
            host.restart()
            # Stored at once: the former position would be past what the host sends next.
            if len(self._builder):
                self._flush(now_us, commands)
            self._checkpoint(now_us, commands)
            host.upstream.reconnect("the host's numbers began anew", now_us)
            commands.append(Log("warning", "upstream_reset", {"epoch": host.position.epoch}))
            return
        problem = f"{ended.error}: {ended.message}"[:200]
        host.upstream.lost(problem, now_us)
        commands.append(Log("warning", "upstream_error", {"problem": problem}))

    def _verified(self, candidates: Sequence[Candidate], now_us: int, commands: list[Command]) -> None:
        for candidate in candidates:
            for ready in self.in_flight.complete(candidate):
                self._settle(ready, now_us, commands)
        if not self._is_in_flight_above(2):
            self.host.upstream.resume(PauseReason.IDENTITY, now_us)

    def _settle(self, candidate: Candidate, now_us: int, commands: list[Command]) -> None:
        """Sequence an event or refuse it; either way its upstream number is finished."""
        position = self.host.position
        reason = candidate.verdict if isinstance(candidate.verdict, RejectReason) else self._pass_on(candidate, now_us)
        if reason is RejectReason.STALE_REV and candidate.may_repeat:
            self.host.counts.repeats += 1
        elif reason is not None:
            self.host.refuse(Refused(reason, candidate.message.did))
        if candidate.epoch == position.epoch:
            position.finish(candidate.message.seq)
        if self._builder.frames_bytes + self._book.changes_bytes >= self._settings.batch_bytes:
            self._flush(now_us, commands)

    def _pass_on(self, candidate: Candidate, now_us: int) -> RejectReason | None:
        message = candidate.message
        if not self._book.enter(message, candidate.host_id):
            return RejectReason.STALE_REV
        paths = [op.path for op in message.ops] if isinstance(message, Commit) else []
        seq = self.sequencer.assign(len(paths), now_us)
        frame = candidate.frame
        self._builder.add(seq, frame.kind, message.did, paths, renumber(frame, seq))
        return None

    # --- what follows from time -----------------------------------------------------------------------------------

    def _proceed(self, now_us: int, commands: list[Command]) -> None:
        if len(self._builder) and now_us >= self.next_flush_us:
            self._flush(now_us, commands)
        if self._checkpoint_due(now_us):
            self._checkpoint(now_us, commands)
        self._connect(now_us, commands)
        commands += self.feed.dial_due(now_us)
        self._set_timer(commands)

    def _flush(self, now_us: int, commands: list[Command]) -> None:
        batch = self._builder.build([self.host.position.row()], self._book.take_changes())
        self._flushed_us = now_us
        self.counts.flushes += 1
        self.counts.events += len(batch.head.seqs)
        self.counts.bytes += len(batch.frames)
        commands.append(Append(batch))
        self.ring.append(batch)
        commands += self.feed.send(batch, now_us)
        self._builder = BatchBuilder(batch.head.last_seq)
        self._watch_clock(now_us, commands)

    def _watch_clock(self, now_us: int, commands: list[Command]) -> None:
        behind_us = self.sequencer.clock_behind_us(now_us)
        is_behind = behind_us > BEHIND_ALERT_US
        if is_behind and not self._clock_alerted:
            self.counts.clock_behind += 1
            commands.append(Log("error", "clock_behind", {"behind_s": behind_us // _US}))
        self._clock_alerted = is_behind

    def _checkpoint_due(self, now_us: int) -> bool:
        if len(self._builder) or self.last_seq <= self._book.store.checkpoint_seq:
            return False
        if PauseReason.STORAGE in self.host.upstream.pauses:
            return False
        aged_us = now_us - self._checkpointed_us
        return aged_us >= self._settings.checkpoint_s * _US or self._book.store.checkpoint_due

    def _checkpoint(self, now_us: int, commands: list[Command]) -> None:
        self._checkpointed_us = now_us
        commands.append(Checkpoint((*self._others, self.host.position.row()), self.last_seq))

    def _connect(self, now_us: int, commands: list[Command]) -> None:
        upstream = self.host.upstream
        problem = upstream.expired(now_us)
        if problem:
            self._close_upstream(commands)
            if problem == "silence":
                upstream.reconnect(problem, now_us)
            else:
                upstream.lost(problem, now_us)
            commands.append(Log("warning", "upstream_expired", {"problem": problem}))
        if upstream.connect_due(now_us):
            commands.append(OpenUpstream(*self.host.connecting(now_us)))

    def _set_timer(self, commands: list[Command]) -> None:
        due = [self.host.upstream.wake_us(), self.feed.wake_us(), *self._retry_us.values()]
        if len(self._builder):
            due.append(self.next_flush_us)
        at_us = min((each for each in due if each is not None), default=0)
        if at_us and at_us != self._timer_us:
            commands.append(SetTimer(at_us))
        self._timer_us = at_us
