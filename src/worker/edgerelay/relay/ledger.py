"""The ledger: events that are true in themselves become numbered frames of one batch after another.

An account's events come here one by one, in their order. Each is compared with what is known of its account: whether
that is active, whether the `rev` is newer, whether the chain goes on. What passes gets its number, and changes its
account in the same batch. It decides neither when a batch is flushed nor who gets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields
from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.frames import Frame, encode_frame, renumber
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Sync
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.relay.accounts import AccountStatus, AccountStore
from edgerelay.relay.book import AccountBook
from edgerelay.relay.host import Host
from edgerelay.relay.intake import Candidate
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.sequencer import Sequencer
from edgerelay.relay.statuses import Statuses

__all__ = ["AskHost", "Ledger", "LedgerCounts"]

_DELETED: Final = AccountStatus.DELETED.word


class AskHost(NamedTuple):
    """Whether an event may pass depends on what this host says about its account."""

    did: str
    origin: str


class LedgerCounts:
    """What went into batches since the object started."""

    __slots__ = ("bytes", "events", "flushes", "statuses")

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.flushes = 0
        self.statuses = 0
        """`#account` events of our own: a status became known otherwise than by the host's."""


class Ledger:
    """The open batch, and everything that a new event of it is compared with."""

    def __init__(self, accounts: AccountStore, last_seq: int, last_width: int) -> None:
        self.book = AccountBook(accounts)
        self.sequencer = Sequencer(last_seq, last_width)
        self.counts = LedgerCounts()
        self._statuses = Statuses()
        self._builder = BatchBuilder(last_seq)

    def __len__(self) -> int:
        """Events of the open batch."""
        return len(self._builder)

    @property
    def last_seq(self) -> int:
        """Number of the newest event of a batch that was closed."""
        return self._builder.prev_seq

    @property
    def size_bytes(self) -> int:
        """What the open batch will take, at most."""
        return self._builder.frames_bytes + self.book.changes_bytes

    def settle(self, candidate: Candidate, host: Host, now_us: int) -> RejectReason | AskHost | None:
        """Enter an event that has its verdict, or say why not: a reason, or a question to be answered first."""
        if isinstance(candidate.verdict, RejectReason):
            if candidate.verdict is RejectReason.TOMBSTONED:
                self._statuses.forget(candidate.message.did)
                self._restate(candidate.message.did, now_us, active=False, status=_DELETED)
            return candidate.verdict
        if isinstance(candidate.message, Commit | Sync):
            obstacle = self._admit(candidate, host, now_us)
            if obstacle is not None:
                return obstacle
        return self._enter(candidate, now_us)

    def told(self, candidate: Candidate, now_us: int, *, active: bool | None, status: str | None) -> None:
        """A host says whether the account of an event is active; None: it does not say."""
        candidate.hosted = active is True
        self._statuses.told(candidate.message.did, now_us, active=candidate.hosted)
        if active is not None:
            self._restate(candidate.message.did, now_us, active=active, status=status)

    def decide(self, did: str, status: AccountStatus, host: Host, now_us: int) -> None:
        """This relay decides on the status of an account. An `#account` says so, and carries it to what is stored."""
        self._state(did, self.book.set_local_status(did, status, host.position.host_id), now_us)

    def close(self, positions: Sequence[PositionFields]) -> Batch:
        """Close the open batch and begin the next one."""
        batch = self._builder.build(positions, self.book.take_changes())
        self._builder = BatchBuilder(batch.head.last_seq)
        self.counts.flushes += 1
        self.counts.events += len(batch.head.seqs)
        self.counts.bytes += len(batch.frames)
        return batch

    def _admit(self, candidate: Candidate, host: Host, now_us: int) -> RejectReason | AskHost | None:
        """Whether the account may write. One that only its host took out is asked about."""
        did = candidate.message.did
        account = self.book.find(did)
        if account is None or account.active:
            return None
        own_host = candidate.known.pds if candidate.known is not None else None
        origin = own_host if host.kind == "relay" else host.origin
        is_ours = not account._replace(upstream_active=True).active
        if candidate.hosted is None and not is_ours and origin is not None:
            candidate.hosted = self._statuses.recent(did, now_us)
            if candidate.hosted is None:
                return AskHost(did, origin)
        return RejectReason.INACTIVE_ACCOUNT

    def _enter(self, candidate: Candidate, now_us: int) -> RejectReason | None:
        message, frame = candidate.message, candidate.frame
        reason = self.book.enter(message, candidate.host_id, candidate.claim)
        if reason is not None:
            return reason
        paths: list[str] = []
        match message:
            case Commit():
                paths = [op.path for op in message.ops]
            case AccountMessage():
                self._statuses.forget(message.did)
                body = self.book.restated(message, frame.body)
                frame = frame if body is frame.body else Frame(frame.kind, body, encode_frame(frame.kind, body))
        seq = self.sequencer.assign(len(paths), now_us)
        self._builder.add(seq, frame.kind, message.did, paths, renumber(frame, seq))
        return None

    def _restate(self, did: str, now_us: int, *, active: bool, status: str | None) -> None:
        """Note a status that the account's host did not announce, and announce it if it changes ours."""
        body = self.book.set_status(did, active=active, status=status)
        if body is not None:
            self._state(did, body, now_us)

    def _state(self, did: str, body: dict[str, Value], now_us: int) -> None:
        """Enter an `#account` of our own."""
        self.counts.statuses += 1
        seq = self.sequencer.assign(0, now_us)
        frame = encode_frame("#account", {"seq": seq, "did": did, "time": datetime_text(now_us), **body})
        self._builder.add(seq, "#account", did, (), frame)
