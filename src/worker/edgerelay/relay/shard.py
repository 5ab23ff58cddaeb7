"""The readers of one shard: who is live, who is behind, and what each gets next.

A reader is a cursor, a channel and a pace; there is no queue of its own. A live reader has had everything up to the
shard's head and gets the next batch as it arrives. A reader that is behind is handed batch after batch, from the ring
or from what is kept, as fast as its socket takes them and no faster; when it reaches the head it is live again. Every
message of its channel from its cursor on reaches it exactly once, whichever way it comes.

Rules:
1. The head is the last number of the newest batch of the feed. A batch whose `prev_seq` is not the head proves a gap:
   every live reader falls behind at the head, and reads what is missing.
2. A reader whose socket holds too much unsent falls behind before the batch that it would not take. Where the runtime
   does not tell what a socket holds, it is paced instead (`pace`).
3. A reader that lies beyond the head waits for the batch that reaches its cursor.
4. A reader that joins the live stream while there is no feed begins with whatever the next feed begins with. One whose
   cursor seems to lie in the future waits for the feed: only that tells what the newest number is. Then it is refused,
   or live, as its start says. Everybody else reads what there is without waiting for the feed.
5. What is missing from the history is told to the reader (`#info OutdatedCursor`), never skipped in silence.
6. A reader whose socket makes no progress for `stuck_s` is closed with `ConsumerTooSlow`: unsent bytes stay in our
   memory until its peer goes away.
7. A cursor of an operation may lie within an event: reading begins where that event could begin, and what lies before
   the cursor is left out.
8. A reader whose channel changes gets what comes from then on as the new one says.

Commands come out; the shell owns sockets, timers and the way to RelayState. `pump` is to be called whenever a reader is
behind and time has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.cursor import Start
from edgerelay.relay.delivery import PART_BYTES, RENDERED_BYTES, Delivery, HasFrames, Hides, Render, hides_nothing
from edgerelay.relay.pace import BlindPace
from edgerelay.relay.ring import Ring
from edgerelay.relay.room import MOST_UNSENT_BYTES, SHARED_UNSENT_BYTES, room_bytes, share_bytes
from edgerelay.relay.shard_commands import (
    History,
    Read,
    Send,
    ShardCommand,
    future,
    outdated,
    refuse,
    refuse_future,
)

__all__ = ["Shard", "ShardPolicy"]

_US: Final = 1_000_000

B = TypeVar("B", bound=HasFrames)


class ShardPolicy(NamedTuple):
    """The bounds of one shard."""

    ring_bytes: int
    unsent_bytes: int
    blind_bytes_per_s: int
    stuck_s: int
    shared_unsent_bytes: int = SHARED_UNSENT_BYTES


@dataclass(slots=True)
class _Reader(Generic[B]):
    id: str
    cursor: int
    first_number: int
    """No message with a smaller one is wanted."""

    tell_missing: bool
    progress_us: int
    pace: BlindPace
    is_doubtful: bool = False
    is_idle: bool = False
    """There was nothing at its cursor, and without a head nothing tells when there will be."""

    live_if_future: bool = False
    batch: B | None = None
    reading: Channel | None = None
    """For which the answer that it waits for was asked for."""

    unsent_bytes: int = 0


class Shard(Generic[B]):
    """All readers of one shard."""

    def __init__(
        self, policy: ShardPolicy, unsent: Callable[[str], int | None], render: Render[B], hides: Hides = hides_nothing
    ) -> None:
        """`unsent` tells how many bytes wait in a reader's socket, or None where the runtime cannot tell."""
        self._policy = policy
        self._unsent = unsent
        self._delivery = Delivery(render, hides)
        self.ring: Ring[B] = Ring(policy.ring_bytes)
        self._channels: dict[str, Channel] = {}
        self._live: dict[Channel, dict[str, BlindPace]] = {}
        self._unfed: dict[str, BlindPace] = {}
        self._behind: dict[str, _Reader[B]] = {}
        self._is_fed = False
        self.head: int | None = None
        self.moved = False
        """Somebody got on in the last `pump`, or was answered since: the next one need not wait."""
        self.holes_told = 0

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def behind(self) -> int:
        """How many readers are not live."""
        return len(self._behind)

    @property
    def history_bytes(self) -> int:
        """Size of the blocks that readers have in hand, each counted once."""
        blocks = {id(reader.batch): reader.batch.size_bytes for reader in self._behind.values() if reader.batch}
        return sum(blocks.values())

    @property
    def is_pumping(self) -> bool:
        """Whether `pump` must be called: a reader is behind that does not only wait for the next batch."""
        head = self.head
        return any(head is None or reader.cursor <= head or reader.is_doubtful for reader in self._behind.values())

    def join(self, reader: str, start: Start, now_us: int, channel: Channel = FIREHOSE) -> list[ShardCommand]:
        """A socket was accepted."""
        is_future = start.future and self._is_fed
        if is_future and not start.live_if_future:
            return refuse_future(reader)
        self._channels[reader] = channel
        pace = self._new_pace()
        if start.cursor is None or is_future:
            if self._is_fed:
                self._add_live(reader, pace)
            else:
                self._unfed[reader] = pace
            return [future(reader)] if is_future else []
        behind = _Reader[B](
            reader,
            _first_seq(start.cursor, channel),
            start.cursor,
            start.strict,
            now_us,
            pace,
            is_doubtful=start.future,
            live_if_future=start.live_if_future,
        )
        self._behind[reader] = behind
        return [outdated(reader)] if start.outdated else []

    def resume(self, reader: str, channel: Channel = FIREHOSE, first_number: int = 0, now_us: int = 0) -> None:
        """A socket outlived our memory: the reader had everything when the shard fell asleep, or waited for a number
        that had not come yet."""
        self._channels[reader] = channel
        if self.head is not None and first_number > self.head + 1:
            cursor = max(self.head + 1, _first_seq(first_number, channel))
            self._behind[reader] = _Reader(reader, cursor, first_number, True, now_us, self._new_pace())
        else:
            self._add_live(reader, self._new_pace())

    def change(self, reader: str, channel: Channel) -> None:
        """From now on the reader wants something else."""
        before = self._channels.get(reader)
        if before is None:
            return
        pace = self._remove_live(reader)
        self._channels[reader] = channel
        if pace is not None:
            self._add_live(reader, pace)

    def left(self, reader: str) -> None:
        """A socket is gone."""
        self._remove_live(reader)
        for readers in (self._unfed, self._behind, self._channels):
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

    def batch(self, batch: B, now_us: int) -> list[ShardCommand]:
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
        commands = self._send_live(batch, now_us)
        return [*commands, *self._catch(batch, now_us)]

    def answer(self, reader_id: str, history: History[B]) -> list[ShardCommand]:
        """What there was for a `Read`."""
        reader = self._behind.get(reader_id)
        if reader is None or reader.reading is None:
            return []
        asked, reader.reading = reader.reading, None
        if asked != self._channels[reader_id]:
            return []  # asked for when the reader wanted something else: it asks again
        reader.batch = history.batch
        self.moved = True
        if reader.cursor <= history.passed_up_to:
            reader.cursor = history.passed_up_to + 1
            reader.tell_missing = True
        else:
            reader.is_idle = history.batch is None and history.missing_up_to < reader.cursor
        told: list[ShardCommand] = []
        if reader.cursor <= history.missing_up_to:
            if reader.tell_missing and history.may_lack(reader.first_number, asked):
                self.holes_told += 1
                told.append(outdated(reader_id))
            reader.cursor = history.missing_up_to + 1
        return told

    def read_failed(self, reader_id: str) -> None:
        """There was no answer; the reader asks again in its next turn."""
        if reader_id in self._behind:
            self._behind[reader_id].reading = None

    def pump(self, now_us: int) -> list[ShardCommand]:
        """Give every reader that is behind its turn, as far as what may be rendered and handed over in one goes."""
        commands: list[ShardCommand] = []
        room_bytes = self._room_bytes()
        self.moved = False
        left_bytes, unsent_bytes = RENDERED_BYTES, MOST_UNSENT_BYTES
        for reader in list(self._behind.values()):
            if left_bytes <= 0 or unsent_bytes <= 0:
                break
            if self._has_room(reader, now_us, room_bytes):
                sent, rendered_bytes = self._next(reader, now_us)
                commands.extend(sent)
                left_bytes -= rendered_bytes
                unsent_bytes -= _handed_bytes(sent)
                if sent and reader.id in self._behind:
                    self._behind[reader.id] = self._behind.pop(reader.id)  # the others come first next time
            elif now_us - reader.progress_us > self._policy.stuck_s * _US:
                self.left(reader.id)
                commands.extend(refuse(reader.id, "ConsumerTooSlow", "no progress"))
        return commands

    def _fed(self) -> None:
        self._is_fed = True
        for reader, pace in self._unfed.items():
            self._add_live(reader, pace)
        self._unfed.clear()

    def _add_live(self, reader: str, pace: BlindPace) -> None:
        self._live.setdefault(self._channels[reader], {})[reader] = pace

    def _remove_live(self, reader: str) -> BlindPace | None:
        channel = self._channels.get(reader)
        readers = self._live.get(channel) if channel is not None else None
        if channel is None or readers is None:
            return None
        pace = readers.pop(reader, None)
        if not readers:
            del self._live[channel]
        return pace

    def _fall_behind(self, now_us: int) -> None:
        assert self.head is not None
        for readers in self._live.values():
            for reader, pace in readers.items():
                self._behind[reader] = _Reader(reader, self.head + 1, 0, True, now_us, pace)
        self._live.clear()

    def _catch(self, batch: B, now_us: int) -> list[ShardCommand]:
        """Readers beyond the former head: this batch may be the one that they wait for."""
        commands: list[ShardCommand] = []
        unsent_bytes = MOST_UNSENT_BYTES
        for reader in list(self._behind.values()):
            is_due = unsent_bytes > 0 and batch.head.prev_seq < reader.cursor <= batch.head.last_seq
            if is_due and self._has_room(reader, now_us, self._room_bytes()):
                sent, _ = self._next(reader, now_us)
                commands.extend(sent)
                unsent_bytes -= _handed_bytes(sent)
        return commands

    def _send_live(self, batch: B, now_us: int) -> list[ShardCommand]:
        commands: list[ShardCommand] = []
        for channel in list(self._live):
            messages, size_bytes = self._delivery.whole(channel, batch)
            if messages and (takers := self._takers(channel, batch.head.first_seq, size_bytes, now_us)):
                commands.append(Send(takers, messages, size_bytes))
        return commands

    def _takers(self, channel: Channel, first_seq: int, size_bytes: int, now_us: int) -> tuple[str, ...]:
        """The live readers whose sockets have room; the others fall behind, and all if it is too much for so many."""
        room_bytes = self._room_bytes() if size_bytes <= share_bytes(len(self)) else -1
        readers = self._live[channel]
        for reader, pace in list(readers.items()):
            unsent = self._unsent(reader)
            waiting_bytes = pace.waiting_bytes(now_us) if unsent is None else unsent
            if waiting_bytes > room_bytes:
                self._remove_live(reader)
                self._behind[reader] = _Reader(reader, first_seq, 0, True, now_us, pace)
            elif unsent is None:
                pace.sent(size_bytes, now_us)
        return tuple(readers)

    def _room_bytes(self) -> int:
        """What may wait in one socket before it gets nothing more."""
        return room_bytes(len(self), self._policy.unsent_bytes, self._policy.shared_unsent_bytes)

    def _has_room(self, reader: _Reader[B], now_us: int, room_bytes: int) -> bool:
        unsent = self._unsent(reader.id)
        if unsent is None:
            reader.progress_us = now_us  # nobody can tell
            return reader.pace.waiting_bytes(now_us) <= room_bytes
        if unsent < reader.unsent_bytes or unsent <= room_bytes or now_us < reader.progress_us:
            reader.progress_us = now_us
        reader.unsent_bytes = unsent
        return unsent <= room_bytes

    def _next(self, reader: _Reader[B], now_us: int) -> tuple[list[ShardCommand], int]:
        """One turn of a reader that is behind and has room, and the bytes that had to be rendered for it."""
        if reader.reading is not None:
            return [], 0
        if reader.is_doubtful and self._is_fed:
            if self.head is not None and reader.first_number > self.head:
                return self._end_doubt(reader), 0
            reader.is_doubtful = False
        batch = reader.batch or self.ring.find(reader.cursor)
        if batch is not None:
            return self._part(reader, batch, now_us)
        if self.head is None and (reader.is_doubtful or reader.is_idle):
            return [], 0
        if self.head is not None and reader.cursor > self.head:
            self._go_live(reader)
            return [], 0
        reader.reading = self._channels[reader.id]
        return [Read(reader.id, reader.cursor, reader.reading)], 0

    def _end_doubt(self, reader: _Reader[B]) -> list[ShardCommand]:
        """The cursor lies in the future."""
        if reader.live_if_future:
            del self._behind[reader.id]
            self._add_live(reader.id, reader.pace)
            return [future(reader.id)]
        self.left(reader.id)
        return refuse_future(reader.id)

    def _part(self, reader: _Reader[B], batch: B, now_us: int) -> tuple[list[ShardCommand], int]:
        most_bytes = min(PART_BYTES, share_bytes(len(self)))
        part = self._delivery.part(self._channels[reader.id], batch, reader.cursor, reader.first_number, most_bytes)
        reader.cursor = part.cursor
        reader.batch = None if part.is_last else batch
        reader.unsent_bytes += part.size_bytes
        reader.pace.sent(part.size_bytes, now_us)
        reader.tell_missing = True
        self.moved = True
        self._go_live(reader)
        sent: list[ShardCommand] = [Send((reader.id,), part.messages, part.size_bytes)] if part.messages else []
        return sent, part.rendered_bytes

    def _go_live(self, reader: _Reader[B]) -> None:
        """If it has everything, and wants whatever comes."""
        if self.head is not None and reader.cursor == self.head + 1 >= reader.first_number:
            del self._behind[reader.id]
            self._add_live(reader.id, reader.pace)

    def _new_pace(self) -> BlindPace:
        return BlindPace(self._policy.blind_bytes_per_s)


def _handed_bytes(commands: Sequence[ShardCommand]) -> int:
    return sum(each.size_bytes for each in commands if isinstance(each, Send))


def _first_seq(cursor: int, channel: Channel) -> int:
    """Number of the first event that can have a message with a number that is at least the cursor."""
    return cursor if channel.wire is Wire.FRAMES else max(0, cursor - MAX_OPS + 1)
