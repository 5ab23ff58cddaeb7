"""The readers of one shard: who is live, who is behind, and what each gets next.

A reader is a cursor and a pace; there is no queue of its own. A live reader has had everything up to the shard's head
and gets the next batch as it arrives. A reader that is behind is handed batch after batch, from the ring or from what
RelayState kept, as fast as its socket takes them and no faster; when it reaches the head it is live again. Every number
from its cursor on reaches it exactly once, whichever way it comes.

Rules:
1. The head is the last number of the newest batch of the feed. A batch whose `prev_seq` is not the head proves a gap:
   every live reader falls behind at the head, and reads what is missing.
2. A reader whose socket holds too much unsent falls behind before the batch that it would not take. Where the runtime
   does not tell what a socket holds, it is paced instead (`pace`).
3. A reader that lies beyond the head waits for the batch that reaches its cursor.
4. A reader that joins the live stream while there is no feed begins with whatever the next feed begins with. One whose
   cursor seems to lie in the future waits for the feed: only that tells what the newest number is.
   Everybody else reads what there is without waiting for the feed.
5. What is missing from the history is told to the reader (`#info OutdatedCursor`), never skipped in silence.
6. A reader whose socket makes no progress for `stuck_s` is closed with `ConsumerTooSlow`: unsent bytes stay in our
   memory until its peer goes away.

Commands come out; the shell owns sockets, timers and the way to RelayState. `pump` is to be called whenever a reader is
behind and time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from edgerelay.relay.cursor import Start
from edgerelay.relay.pace import BlindPace
from edgerelay.relay.ring import HasHead, Ring

__all__ = [
    "CloseReader",
    "History",
    "Read",
    "SendControl",
    "SendLive",
    "SendPart",
    "Shard",
    "ShardCommand",
    "ShardPolicy",
]

_US: Final = 1_000_000

PART_BYTES: Final = 256_000
"""Bytes handed to one reader in its turn, so that a fast reader does not starve the others."""

SHARED_UNSENT_BYTES: Final = 4_000_000
"""Bytes that may wait in all sockets together, however few they are: one that takes everything at full speed has some
batches on its way, of `BATCH_BYTES` each, and to call it behind at each of them costs two reads for one."""

B = TypeVar("B", bound=HasHead)


class ShardPolicy(NamedTuple):
    """The bounds of one shard."""

    ring_bytes: int
    unsent_bytes: int
    blind_bytes_per_s: int
    stuck_s: int
    shared_unsent_bytes: int = SHARED_UNSENT_BYTES


class SendLive(NamedTuple, Generic[B]):
    """Send all frames of a batch to each of the readers."""

    batch: B
    readers: tuple[str, ...]


class SendPart(NamedTuple, Generic[B]):
    """Send the frames of a batch from index `first` up to, not including, `end`."""

    reader: str
    batch: B
    first: int
    end: int


class SendControl(NamedTuple):
    """Send a frame that has no number."""

    reader: str
    name: str
    message: str
    is_error: bool


class Read(NamedTuple):
    """Ask RelayState for the batch with the first number that is at least `cursor`; answer with `Shard.answer`."""

    reader: str
    cursor: int


class CloseReader(NamedTuple):
    """Close the socket; `left` need not be called."""

    reader: str
    reason: str


ShardCommand: TypeAlias = "SendLive[B] | SendPart[B] | SendControl | Read | CloseReader"


class History(NamedTuple, Generic[B]):
    """The answer to `Read`."""

    batch: B | None
    """None if nothing at or beyond the cursor exists yet."""

    missing_up_to: int
    """Everything up to this number is no longer kept; 0 if nothing was ever forgotten."""


@dataclass(slots=True)
class _Reader(Generic[B]):
    id: str
    cursor: int
    tell_missing: bool
    progress_us: int
    pace: BlindPace
    is_doubtful: bool = False
    is_idle: bool = False
    """There was nothing at its cursor, and without a head nothing tells when there will be."""

    batch: B | None = None
    reading: bool = False
    unsent_bytes: int = 0


class Shard(Generic[B]):
    """All readers of one shard."""

    def __init__(self, policy: ShardPolicy, unsent: Callable[[str], int | None]) -> None:
        """`unsent` tells how many bytes wait in a reader's socket, or None where the runtime cannot tell."""
        self._policy = policy
        self._unsent = unsent
        self.ring: Ring[B] = Ring(policy.ring_bytes)
        self._live: dict[str, BlindPace] = {}
        self._unfed: dict[str, BlindPace] = {}
        self._behind: dict[str, _Reader[B]] = {}
        self._is_fed = False
        self.head: int | None = None
        self.closed_too_slow = 0
        self.holes_told = 0

    def __len__(self) -> int:
        return len(self._live) + len(self._unfed) + len(self._behind)

    @property
    def behind(self) -> int:
        """How many readers are not live; while there are any, `pump` must be called."""
        return len(self._behind)

    def join(self, reader: str, start: Start, now_us: int) -> list[ShardCommand[B]]:
        """A socket was accepted."""
        if start.future and self._is_fed:
            return _refuse_future(reader)
        commands: list[ShardCommand[B]] = []
        if start.outdated:
            commands.append(_outdated(reader))
        pace = self._new_pace()
        if start.cursor is None:
            (self._live if self._is_fed else self._unfed)[reader] = pace
        else:
            behind = _Reader[B](reader, start.cursor, start.strict, now_us, pace, is_doubtful=start.future)
            self._behind[reader] = behind
        return commands

    def resume(self, reader: str) -> None:
        """A socket outlived our memory: the reader was live when the shard fell asleep."""
        self._live[reader] = self._new_pace()

    def left(self, reader: str) -> None:
        """A socket is gone."""
        for readers in (self._live, self._unfed, self._behind):
            readers.pop(reader, None)

    def feed_lost(self) -> None:
        """The feed is gone. What its next message begins with shows whether anything was missed."""
        self._is_fed = False

    def feed_head(self, last_seq: int, now_us: int) -> None:
        """The feed (re)opened, or skipped batches: RelayState's newest number is this."""
        if self.head is None:
            self.head = last_seq
        elif last_seq != self.head:
            if last_seq > self.head:
                self._fall_behind(now_us)
            # Or RelayState has lost what it had shown: what comes next is sent to whoever has had everything.
            self.head = last_seq
            self.ring.clear()
        self._fed()

    def batch(self, batch: B, now_us: int) -> list[ShardCommand[B]]:
        """The next batch of the feed."""
        head = batch.head
        if self.head is None:
            self.head = head.prev_seq
        if head.last_seq <= self.head:
            return []
        if head.prev_seq != self.head:
            self._fall_behind(now_us)
        self._fed()
        self.ring.append(batch)
        self.head = head.last_seq
        takers = self._takers(batch, now_us)
        commands = self._catch(batch, now_us)
        return [SendLive(batch, takers), *commands] if takers else commands

    def answer(self, reader_id: str, history: History[B]) -> list[ShardCommand[B]]:
        """What RelayState had for a `Read`."""
        reader = self._behind.get(reader_id)
        if reader is None:
            return []
        reader.reading = False
        reader.batch = history.batch
        reader.is_idle = history.batch is None and history.missing_up_to < reader.cursor
        told: list[ShardCommand[B]] = []
        if reader.cursor <= history.missing_up_to:
            if reader.tell_missing:
                self.holes_told += 1
                told.append(_outdated(reader_id))
            reader.cursor = history.missing_up_to + 1
        return told

    def read_failed(self, reader_id: str) -> None:
        """RelayState did not answer; the reader asks again in its next turn."""
        if reader_id in self._behind:
            self._behind[reader_id].reading = False

    def pump(self, now_us: int) -> list[ShardCommand[B]]:
        """Give every reader that is behind its turn."""
        commands: list[ShardCommand[B]] = []
        room_bytes = self._room_bytes()
        for reader in list(self._behind.values()):
            if self._has_room(reader, now_us, room_bytes):
                commands.extend(self._next(reader, now_us))
            elif now_us - reader.progress_us > self._policy.stuck_s * _US:
                self.left(reader.id)
                self.closed_too_slow += 1
                commands.extend(_refuse(reader.id, "ConsumerTooSlow", "no progress"))
        return commands

    def _fed(self) -> None:
        self._is_fed = True
        self._live.update(self._unfed)
        self._unfed.clear()

    def _fall_behind(self, now_us: int) -> None:
        assert self.head is not None
        for reader, pace in self._live.items():
            self._behind[reader] = _Reader(reader, self.head + 1, True, now_us, pace)
        self._live.clear()

    def _catch(self, batch: B, now_us: int) -> list[ShardCommand[B]]:
        """Readers beyond the former head: this batch may be the one that they wait for."""
        commands: list[ShardCommand[B]] = []
        for reader in list(self._behind.values()):
            is_due = batch.head.prev_seq < reader.cursor <= batch.head.last_seq
            if is_due and self._has_room(reader, now_us, self._room_bytes()):
                commands.extend(self._next(reader, now_us))
        return commands

    def _takers(self, batch: B, now_us: int) -> tuple[str, ...]:
        """The live readers whose sockets have room; the others fall behind."""
        room_bytes = self._room_bytes()
        for reader, pace in list(self._live.items()):
            unsent = self._unsent(reader)
            waiting_bytes = pace.waiting_bytes(now_us) if unsent is None else unsent
            if waiting_bytes > room_bytes:
                del self._live[reader]
                self._behind[reader] = _Reader(reader, batch.head.first_seq, True, now_us, pace)
            elif unsent is None:
                pace.sent(batch.size_bytes, now_us)
        return tuple(self._live)

    def _room_bytes(self) -> int:
        """What may wait in one socket before it gets nothing more."""
        return max(self._policy.unsent_bytes, self._policy.shared_unsent_bytes // max(1, len(self)))

    def _has_room(self, reader: _Reader[B], now_us: int, room_bytes: int) -> bool:
        unsent = self._unsent(reader.id)
        if unsent is None:
            reader.progress_us = now_us  # nobody can tell
            return reader.pace.waiting_bytes(now_us) <= room_bytes
        if unsent < reader.unsent_bytes or unsent <= room_bytes or now_us < reader.progress_us:
            reader.progress_us = now_us
        reader.unsent_bytes = unsent
        return unsent <= room_bytes

    def _next(self, reader: _Reader[B], now_us: int) -> list[ShardCommand[B]]:
        """One turn of a reader that is behind and has room."""
        if reader.reading:
            return []
        if reader.is_doubtful and self._is_fed:
            if self.head is not None and reader.cursor > self.head:
                self.left(reader.id)
                return _refuse_future(reader.id)
            reader.is_doubtful = False
        batch = reader.batch or self.ring.find(reader.cursor)
        if batch is not None:
            return [self._part(reader, batch, now_us)]
        if self.head is None and (reader.is_doubtful or reader.is_idle):
            return []
        if self.head is not None and reader.cursor > self.head:
            if reader.cursor == self.head + 1:
                self._go_live(reader)
            return []
        reader.reading = True
        return [Read(reader.id, reader.cursor)]

    def _part(self, reader: _Reader[B], batch: B, now_us: int) -> SendPart[B]:
        head = batch.head
        first = end = head.index_of(reader.cursor)
        size_bytes = 0
        while end < len(head.seqs) and size_bytes < PART_BYTES:
            size_bytes += head.frame_bytes[end]
            end += 1
        done = end == len(head.seqs)
        reader.cursor = head.last_seq + 1 if done else head.seqs[end]
        reader.batch = None if done else batch
        reader.unsent_bytes += size_bytes
        reader.pace.sent(size_bytes, now_us)
        reader.tell_missing = True
        if self.head is not None and reader.cursor == self.head + 1:
            self._go_live(reader)
        return SendPart(reader.id, batch, first, end)

    def _go_live(self, reader: _Reader[B]) -> None:
        del self._behind[reader.id]
        self._live[reader.id] = reader.pace

    def _new_pace(self) -> BlindPace:
        return BlindPace(self._policy.blind_bytes_per_s)


def _outdated(reader: str) -> SendControl:
    message = "the cursor is older than what is kept; the stream starts at the oldest event"
    return SendControl(reader, "OutdatedCursor", message, is_error=False)


def _refuse_future(reader: str) -> list[ShardCommand[B]]:
    return _refuse(reader, "FutureCursor", "the cursor lies in the future")


def _refuse(reader: str, error: str, message: str) -> list[ShardCommand[B]]:
    return [SendControl(reader, error, message, is_error=True), CloseReader(reader, error)]
