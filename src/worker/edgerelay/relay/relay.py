"""The relay: frames of hosts in, one sequence of durable events out.

    FramesReceived ─▶ intake ─▶ in flight ─▶ (Verify … EventsVerified) ─▶ ledger: account, number, batch
    every FLUSH_MS, or when a batch is full: Append ─▶ ring ─▶ FeedBatch to every shard that keeps up

One synchronous turn handles one event and returns the commands that follow, in the order in which they must be
carried out. `Append` stands before the `FeedBatch` of the same events: nothing is visible before it is durable.
Positions travel inside the batch whose events they cover, so the two are one write.

It owns the order of things. How a connection behaves is `upstream`'s, what a frame is `intake`'s, whether an event is
true the verifier's, what it means for its account and its number the `ledger`'s, and what shards get `feed`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from edgerelay.archive.batch import Batch
from edgerelay.atproto.frames import ErrorFrame
from edgerelay.atproto.timestamp import time_us
from edgerelay.config import Settings
from edgerelay.relay.accounts import AccountStore
from edgerelay.relay.commands import (
    Append,
    AskStatus,
    Checkpoint,
    CloseUpstream,
    Command,
    Log,
    OpenUpstream,
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
    StatusDecided,
    StatusTold,
    TextReceived,
    TimePassed,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.feed import Feed
from edgerelay.relay.host import Host
from edgerelay.relay.inflight import InFlight
from edgerelay.relay.intake import Candidate, ResetProven
from edgerelay.relay.ledger import AskHost, Ledger
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import Refused
from edgerelay.relay.restored import Restored
from edgerelay.relay.ring import Ring
from edgerelay.relay.sequencer import BEHIND_ALERT_US
from edgerelay.relay.upstream import NOT_IMPLEMENTED_PAUSE_S, PauseReason

__all__ = ["Relay"]

_US: Final = 1_000_000
_MS_US: Final = 1_000

SKEW_RECHECK_US: Final = 30 * _US
"""Pause before the clocks are compared again."""

STORAGE_RETRY_US: Final = 10 * _US
"""Pause before writing is tried again after it failed."""

HTTP_NOT_IMPLEMENTED: Final = 501


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
        self.ledger = Ledger(accounts, restored.last_seq, restored.last_width)
        self._others = restored.other_positions()
        self.host = Host.of(settings, restored, self.ledger.book.is_news, random, now_us)
        self.in_flight = InFlight(settings.max_in_flight, settings.max_in_flight_bytes)
        self.ring: Ring[Batch] = Ring(settings.ring_bytes)
        self.feed = Feed(list(restored.shards))
        self.clock_behind = 0
        """How often the clock was found behind our numbers since the object started."""

        self._flushed_us = 0
        self._checkpointed_us = now_us
        self._timer_us = 0
        self._now_us = now_us
        self._clock_alerted = False
        self._directory_is_down = False
        if restored.is_doubtful:
            self.host.upstream.pause(PauseReason.RECOVERY, now_us)
        if restored.storage_problem:
            self.host.upstream.pause(PauseReason.STORAGE, now_us, for_us=STORAGE_RETRY_US)
            self.host.upstream.last_problem = restored.storage_problem

    @property
    def last_seq(self) -> int:
        """Number of the newest event that is durable."""
        return self.ledger.last_seq

    @property
    def next_flush_us(self) -> int:
        """The earliest time at which the next flush may happen."""
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
            case StatusTold(did, active, status):
                self._status_told(did, active, status, now_us, commands)
            case StatusDecided(did, status):
                self.ledger.decide(did, status, self.host, now_us)
                self._flush(now_us, commands)  # whoever decided is told that it holds
            case DirectoryChanged(is_down):
                self._directory_changed(is_down, now_us, commands)
            case TimePassed():
                self._timer_us = 0
                self.host.upstream.end_pauses(now_us)
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
            case ShardAcked(name, seq, clients, isolate, buffered_amount, load):
                self.feed.told(name, isolate, load, buffered_amount=buffered_amount)
                commands += self.feed.acked(name, seq, clients, self.last_seq, now_us)
            case _:
                assert_never(event)
        self._proceed(now_us, commands)
        return commands

    def _shift_clock(self, by_us: int) -> None:
        """The clock was set back: nothing must wait until it has caught up. Numbers take care of themselves."""
        self._flushed_us += by_us
        self._checkpointed_us += by_us
        self._timer_us = 0
        self.host.upstream.shift_clock(by_us)
        self.feed.shift_clock(by_us)

    # --- the host -----------------------------------------------------------------------------------------------

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
                self._refuse(Refused(RejectReason.TEXT_FRAME, "a text message"), b"", now_us, commands)

    def _opened(self, event: UpstreamOpened, now_us: int, commands: list[Command]) -> None:
        host, settings = self.host, self._settings
        host.kind = event.kind or host.kind
        if event.host_time_us is not None:
            skew_us = now_us - event.host_time_us
            if abs(skew_us) > settings.max_skew_s * _US:
                self._close_upstream(commands)
                host.upstream.pause(PauseReason.SKEW, now_us, for_us=SKEW_RECHECK_US)
                host.upstream.last_problem = f"our clock differs from the host's by {skew_us // _US} s"
                commands.append(Log("error", "clock_skew", {"skew_s": skew_us // _US, "max_s": settings.max_skew_s}))
                return
        if not host.kind and settings.verify != "trusted":
            self._close_upstream(commands)
            host.upstream.lost("whether it is a PDS or a relay is not known: describeServer does not answer", now_us)
            commands.append(Log("warning", "upstream_unknown", {"connection": event.connection}))
            return
        host.opened(now_us)
        fields = {"connection": event.connection, "kind": host.kind, "cursor": host.cursor}
        commands.append(Log("info", "upstream_live", fields))

    def _close_upstream(self, commands: list[Command]) -> None:
        if self.host.upstream.is_open:
            commands.append(CloseUpstream(self.host.upstream.connection))

    def _log_filled(self, full: bool, now_us: int, commands: list[Command]) -> None:
        if full:
            self._close_upstream(commands)
            self.host.upstream.pause(PauseReason.ARCHIVE, now_us)
            commands.append(Log("error", "hot_log_full", {}))
            self._checkpointed_us = 0  # due: what no checkpoint covers cannot be forgotten
        else:
            self.host.upstream.resume(PauseReason.ARCHIVE, now_us)

    # --- events -------------------------------------------------------------------------------------------------

    def _receive(self, frames: list[bytes], now_us: int, commands: list[Command]) -> None:
        if self.in_flight.is_above(1):
            # Rather than hold more events than fit in memory: the host keeps them for us, these frames too.
            self._close_upstream(commands)
            self.host.upstream.pause(PauseReason.IDENTITY, now_us)
            return
        catch = self.host.catch(frames, now_us)
        commands += [_refusal_line(refused) for refused in catch.refused]
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

    def _end(self, ended: ErrorFrame | ResetProven, now_us: int, commands: list[Command]) -> None:
        """The host ended the stream, or what it sends shows that its numbers began anew."""
        host = self.host
        self._close_upstream(commands)
        # A cursor that asks for everything cannot lie in the future: such a host is broken, and is left in peace.
        if isinstance(ended, ResetProven) or (ended.error == "FutureCursor" and host.asked_cursor):
            host.restart()
            # Stored at once: the former position would be past what the host sends next.
            if len(self.ledger):
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
            if self.in_flight.complete(candidate):
                self._let_go(candidate.message.did, now_us, commands)
        self._resume_if_verified(now_us)

    def _let_go(self, did: str, now_us: int, commands: list[Command]) -> None:
        """Enter the events of an account whose turn it is."""
        while (ready := self.in_flight.next_ready(did)) is not None:
            outcome = self.ledger.settle(ready, self.host, now_us)
            if isinstance(outcome, AskHost):
                ready.is_asking = True
                commands.append(AskStatus(outcome.did, outcome.origin))
                return
            self.in_flight.leave(ready)
            self._finish(ready, outcome, now_us, commands)

    def _finish(self, candidate: Candidate, reason: RejectReason | None, now_us: int, commands: list[Command]) -> None:
        """An event was entered or refused; either way its upstream number is finished."""
        position, message = self.host.position, candidate.message
        if reason is RejectReason.STALE_REV and candidate.may_repeat:
            self.host.counts.repeats += 1
        elif reason is not None:
            rev = getattr(message, "rev", "")
            refused = Refused(reason, candidate.detail, candidate.frame.kind, message.seq, message.did, rev)
            self._refuse(refused, candidate.frame.raw, now_us, commands)
        if candidate.epoch == position.epoch:
            position.finish(message.seq)
        if self.ledger.size_bytes >= self._settings.batch_bytes:
            self._flush(now_us, commands)

    def _refuse(self, refused: Refused, raw: bytes, now_us: int, commands: list[Command]) -> None:
        self.host.rejects.add(refused, raw, now_us)
        commands.append(_refusal_line(refused))

    def _status_told(
        self, did: str, active: bool | None, status: str | None, now_us: int, commands: list[Command]
    ) -> None:
        """The event that the question was asked for goes on; after a restart there is none."""
        asking = self.in_flight.oldest(did)
        if asking is None or not asking.is_asking:
            return
        asking.is_asking = False
        self.ledger.told(asking, now_us, active=active, status=status)
        self._let_go(did, now_us, commands)
        self._resume_if_verified(now_us)

    def _directory_changed(self, is_down: bool, now_us: int, commands: list[Command]) -> None:
        self._directory_is_down = is_down
        if is_down:
            self._close_upstream(commands)
            self.host.upstream.pause(PauseReason.IDENTITY, now_us)
            commands.append(Log("error", "directory_down", {"waiting_accounts": self.in_flight.accounts}))
        else:
            commands.append(Log("info", "directory_back", {"waiting_accounts": self.in_flight.accounts}))
            self._resume_if_verified(now_us)

    def _resume_if_verified(self, now_us: int) -> None:
        if not self._directory_is_down and not self.in_flight.is_above(2):
            self.host.upstream.resume(PauseReason.IDENTITY, now_us)

    # --- what follows from time -----------------------------------------------------------------------------------

    def _proceed(self, now_us: int, commands: list[Command]) -> None:
        if len(self.ledger) and now_us >= self.next_flush_us:
            self._flush(now_us, commands)
        if self._checkpoint_due(now_us):
            self._checkpoint(now_us, commands)
        self._connect(now_us, commands)
        commands += self.feed.dial_due(now_us)
        self._set_timer(commands)

    def _flush(self, now_us: int, commands: list[Command]) -> None:
        batch = self.ledger.close([self.host.position.row()])
        self._flushed_us = now_us
        commands.append(Append(batch))
        self.ring.append(batch)
        commands += self.feed.send(batch, now_us)
        self._watch_clock(now_us, commands)

    def _watch_clock(self, now_us: int, commands: list[Command]) -> None:
        behind_us = self.ledger.sequencer.clock_behind_us(now_us)
        is_behind = behind_us > BEHIND_ALERT_US
        if is_behind and not self._clock_alerted:
            self.clock_behind += 1
            commands.append(Log("error", "clock_behind", {"behind_s": behind_us // _US}))
        self._clock_alerted = is_behind

    def _checkpoint_due(self, now_us: int) -> bool:
        if len(self.ledger) or self.last_seq <= self.ledger.book.store.checkpoint_seq:
            return False
        if PauseReason.STORAGE in self.host.upstream.pauses:
            return False
        aged_us = now_us - self._checkpointed_us
        return aged_us >= self._settings.checkpoint_s * _US or self.ledger.book.store.checkpoint_due

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
        due = [self.host.upstream.wake_us(), self.feed.wake_us()]
        if len(self.ledger):
            due.append(self.next_flush_us)
        at_us = min((each for each in due if each is not None), default=0)
        if at_us and at_us != self._timer_us:
            commands.append(SetTimer(at_us))
        self._timer_us = at_us


def _refusal_line(refused: Refused) -> Log:
    fields = {"reason": refused.reason, "detail": refused.detail, "did": refused.did, "seq": refused.seq}
    return Log("debug", "refused", fields)
