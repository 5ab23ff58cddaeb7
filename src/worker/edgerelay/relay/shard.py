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

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from edgerelay.relay.channel import FIREHOSE, Channel
from edgerelay.relay.cursor import Start
from edgerelay.relay.delivery import PART_BYTES, RENDERED_BYTES, Delivery, HasFrames, Hides, Render, hides_nothing
from edgerelay.relay.live import Live
from edgerelay.relay.pace import BlindPace
from edgerelay.relay.ring import Ring
from edgerelay.relay.room import CALM_BYTES, SHARED_UNSENT_BYTES, Room
from edgerelay.relay.shard_commands import (
    History,
    Read,
    Send,
    ShardCommand,
    future,
    handed_bytes,
    outdated,
    refuse,
    refuse_future,
)
from edgerelay.relay.turns import ReaderBehind, Turns

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
        self._live = Live()
        self._unfed: dict[str, BlindPace] = {}
        self._behind: Turns[B] = Turns()
        self._room = Room(policy.unsent_bytes, policy.shared_unsent_bytes)
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
        blocks = {id(reader.batch): reader.batch.size_bytes for reader in self._behind if reader.batch}
        return sum(blocks.values())

    @property
    def is_pumping(self) -> bool:
        """Whether `pump` must be called: a reader is behind that does not only wait for the next batch."""
        return any(reader.wants_turns(self.head) for reader in self._behind)

    def join(self, reader: str, start: Start, now_us: int, channel: Channel = FIREHOSE) -> list[ShardCommand]:
        """A socket was accepted."""
        is_future = start.future and self._is_fed
        if is_future and not start.live_if_future:
            return refuse_future(reader)
        self._enter(reader, channel)
        pace = self._new_pace()
        if start.cursor is None or is_future:
            if self._is_fed:
                self._add_live(reader, pace)
            else:
                self._unfed[reader] = pace
            return [future(reader)] if is_future else []
        behind = ReaderBehind[B](
            reader,
            channel.first_seq(start.cursor),
            start.cursor,
            start.strict,
            now_us,
            pace,
            is_doubtful=start.future,
            live_if_future=start.live_if_future,
        )
        self._behind.add(behind)
        return [outdated(reader)] if start.outdated else []

    def resume(self, reader: str, channel: Channel = FIREHOSE, first_number: int = 0, now_us: int = 0) -> None:
        """A socket outlived our memory: the reader had everything when the shard fell asleep, or waited for a number
        that had not come yet."""
        self._enter(reader, channel)
        if self.head is not None and first_number > self.head + 1:
            cursor = max(self.head + 1, channel.first_seq(first_number))
            self._behind.add(ReaderBehind(reader, cursor, first_number, True, now_us, self._new_pace()))
        else:
            self._add_live(reader, self._new_pace())

    def _enter(self, reader: str, channel: Channel) -> None:
        self._channels[reader] = channel
        self._room.resize(len(self))

    def change(self, reader: str, channel: Channel) -> None:
        """From now on the reader wants something else."""
        before = self._channels.get(reader)
        if before is None:
            return
        pace = self._live.remove(reader, before)
        self._channels[reader] = channel
        if pace is not None:
            self._add_live(reader, pace)

    def left(self, reader: str) -> None:
        """A socket is gone."""
        self._live.remove(reader, self._channels.get(reader))
        behind = self._behind.pop(reader)
        if behind is not None:
            self._room.behind(behind.unsent_bytes, 0)
        self._unfed.pop(reader, None)
        self._channels.pop(reader, None)
        self._room.resize(len(self))

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
        asked = reader.reading
        self._behind.answer(reader)
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
        reader = self._behind.get(reader_id)
        if reader is not None and reader.reading is not None:
            self._behind.answer(reader)

    def awaits(self, read: Read) -> bool:
        """Whether a reader still waits for an answer."""
        reader = self._behind.get(read.reader)
        return reader is not None and reader.reading is not None

    def pump(self, now_us: int) -> list[ShardCommand]:
        """Give every reader that is behind its turn, as far as what may be rendered and handed over in one goes."""
        commands: list[ShardCommand] = []
        self.moved = False
        left_bytes, unsent_bytes = RENDERED_BYTES, CALM_BYTES
        for reader in self._behind.due(now_us):
            if left_bytes <= 0 or unsent_bytes <= 0:
                break
            if self._has_room(reader, now_us):
                sent, rendered_bytes = self._next(reader, now_us)
                commands.extend(sent)
                left_bytes -= rendered_bytes
                unsent_bytes -= handed_bytes(sent)
                if sent or rendered_bytes:
                    self._behind.served(reader)
            elif now_us - reader.progress_us > self._policy.stuck_s * _US:
                self.left(reader.id)
                commands.extend(refuse(reader.id, "ConsumerTooSlow", "no progress"))
        return commands

    def measured(self, unsent_bytes: int) -> None:
        """So much waits in the sockets of all readers. To be told now and then, before a batch."""
        self._room.measured(unsent_bytes)

    def rest_us(self, now_us: int) -> int:
        """Microseconds until the next `pump`; 0 if somebody got on in the last one, or was answered since."""
        return 0 if self.moved else self._behind.wait_us(now_us)

    def _fed(self) -> None:
        self._is_fed = True
        for reader, pace in self._unfed.items():
            self._add_live(reader, pace)
        self._unfed.clear()

    def _add_live(self, reader: str, pace: BlindPace) -> None:
        self._live.add(reader, self._channels[reader], pace)

    def _fall_behind(self, now_us: int) -> None:
        assert self.head is not None
        self._room.nobody_is_live()
        for reader, pace in self._live.clear():
            self._behind.add(ReaderBehind(reader, self.head + 1, 0, True, now_us, pace))

    def _catch(self, batch: B, now_us: int) -> list[ShardCommand]:
        """Readers beyond the former head: this batch may be the one that they wait for."""
        commands: list[ShardCommand] = []
        unsent_bytes = CALM_BYTES
        for reader in self._behind:
            is_due = unsent_bytes > 0 and batch.head.prev_seq < reader.cursor <= batch.head.last_seq
            if is_due and self._has_room(reader, now_us):
                sent, _ = self._next(reader, now_us)
                commands.extend(sent)
                unsent_bytes -= handed_bytes(sent)
        return commands

    def _send_live(self, batch: B, now_us: int) -> list[ShardCommand]:
        commands: list[ShardCommand] = []
        self._room.begin_batch()
        for channel in self._live.concerned(lambda: self._delivery.tokens(batch)):
            messages, size_bytes = self._delivery.whole(channel, batch)
            if messages and (takers := self._takers(channel, batch.head.first_seq, size_bytes, now_us)):
                commands.append(Send(takers, messages, size_bytes))
        return commands

    def _takers(self, channel: Channel, first_seq: int, size_bytes: int, now_us: int) -> tuple[str, ...]:
        """The live readers whose sockets have room; the others fall behind."""
        takers = []
        for reader, pace in self._live.readers(channel).items():
            unsent = self._unsent(reader)
            waiting_bytes = pace.waiting_bytes(now_us) if unsent is None else unsent
            if not self._room.takes(waiting_bytes, size_bytes):
                self._live.remove(reader, channel)
                self._behind.add(ReaderBehind(reader, first_seq, 0, True, now_us, pace, unsent_bytes=waiting_bytes))
                self._room.behind(0, waiting_bytes)
                continue
            takers.append(reader)
            if unsent is None:
                pace.sent(size_bytes, now_us)
        return tuple(takers)

    def _has_room(self, reader: ReaderBehind[B], now_us: int) -> bool:
        unsent = self._unsent(reader.id)
        waiting_bytes = reader.pace.waiting_bytes(now_us) if unsent is None else unsent
        has_room = self._room.is_left(waiting_bytes)
        if has_room or unsent is None or waiting_bytes < reader.unsent_bytes or now_us < reader.progress_us:
            reader.progress_us = now_us
        self._holds(reader, waiting_bytes)
        if has_room:
            reader.rest_us = 0
        elif unsent is not None:
            self._behind.rest(reader, now_us)
        return has_room

    def _holds(self, reader: ReaderBehind[B], waiting_bytes: int) -> None:
        self._room.behind(reader.unsent_bytes, waiting_bytes)
        reader.unsent_bytes = waiting_bytes

    def _next(self, reader: ReaderBehind[B], now_us: int) -> tuple[list[ShardCommand], int]:
        """One turn of a reader that has room, and the bytes that had to be rendered for it."""
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
        return [self._read(reader)], 0

    def _read(self, reader: ReaderBehind[B]) -> Read:
        channel = self._channels[reader.id]
        self._behind.ask(reader, channel)
        return Read(reader.id, reader.cursor, channel)

    def _end_doubt(self, reader: ReaderBehind[B]) -> list[ShardCommand]:
        """The cursor lies in the future."""
        if reader.live_if_future:
            self._catch_up(reader)
            return [future(reader.id)]
        self.left(reader.id)
        return refuse_future(reader.id)

    def _part(self, reader: ReaderBehind[B], batch: B, now_us: int) -> tuple[list[ShardCommand], int]:
        most_bytes = min(PART_BYTES, max(1, self._room.bytes_for(reader.unsent_bytes) - reader.unsent_bytes))
        part = self._delivery.part(self._channels[reader.id], batch, reader.cursor, reader.first_number, most_bytes)
        reader.cursor = part.cursor
        reader.batch = None if part.is_last else batch
        self._holds(reader, reader.unsent_bytes + part.size_bytes)
        reader.pace.sent(part.size_bytes, now_us)
        reader.tell_missing = True
        self.moved = True
        self._go_live(reader)
        sent: list[ShardCommand] = [Send((reader.id,), part.messages, part.size_bytes)] if part.messages else []
        if part.is_last and self._room.is_left(reader.unsent_bytes) and self._lacks(reader.cursor):
            sent.append(self._read(reader))
        return sent, part.rendered_bytes

    def _lacks(self, cursor: int) -> bool:
        """Whether what a cursor leads to has to be read."""
        return self.head is not None and cursor <= self.head and self.ring.find(cursor) is None

    def _go_live(self, reader: ReaderBehind[B]) -> None:
        """If it has everything, and wants whatever comes."""
        if self.head is not None and reader.cursor == self.head + 1 >= reader.first_number:
            self._catch_up(reader)

    def _catch_up(self, reader: ReaderBehind[B]) -> None:
        self._behind.pop(reader.id)
        self._room.live(reader.unsent_bytes)
        self._add_live(reader.id, reader.pace)

    def _new_pace(self) -> BlindPace:
        return BlindPace(self._policy.blind_bytes_per_s)
