"""A shard: whichever way its events come, each reader gets every one from its cursor on, once, in order.

`Theatre` plays RelayState, the feed and the sockets; the last test lets chance write the play.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import BatchHead
from edgerelay.relay.cursor import Start
from edgerelay.relay.shard import (
    PART_BYTES,
    SHARED_UNSENT_BYTES,
    CloseReader,
    History,
    Read,
    SendControl,
    SendLive,
    SendPart,
    Shard,
    ShardCommand,
    ShardPolicy,
)

S_US = 1_000_000
NOW_US = 1_795_000_000 * S_US
POLICY = ShardPolicy(
    ring_bytes=2_000_000, unsent_bytes=500_000, blind_bytes_per_s=1_000_000, stuck_s=60, shared_unsent_bytes=0
)
SHARED = POLICY._replace(shared_unsent_bytes=SHARED_UNSENT_BYTES)
LIVE, ALL = Start(None), Start(1, strict=True)


class Sketch(NamedTuple):
    """A batch of which nothing is there but its head."""

    head: BatchHead
    size_bytes: int


def sketch(prev_seq: int, seqs: Sequence[int], frame_bytes: int = 100) -> Sketch:
    count = len(seqs)
    head = BatchHead(
        prev_seq, tuple(seqs), ("#sync",) * count, (frame_bytes,) * count, ("d",) * count, ((),) * count, (), b""
    )
    return Sketch(head, frame_bytes * count)


class Reader:
    """What a socket took, and what still waits in it."""

    def __init__(self) -> None:
        self.got: list[int | str] = []
        self.unsent_bytes = 0
        self.closed = ""

    @property
    def seqs(self) -> list[int]:
        return [each for each in self.got if isinstance(each, int)]


class Theatre:
    """RelayState with its history, a feed to one shard, and the shard's sockets."""

    def __init__(self, policy: ShardPolicy = POLICY, *, blind: bool = False) -> None:
        self.shard: Shard[Sketch] = Shard(policy, lambda name: None if blind else self.readers[name].unsent_bytes)
        self.readers: dict[str, Reader] = {}
        self.history: list[Sketch] = []
        self.missing_up_to = 0
        self.reads: dict[str, int] = {}
        self.answers: dict[str, History[Sketch]] = {}
        self.now_us = NOW_US
        self.commands: list[ShardCommand[Sketch]] = []

    @property
    def last_seq(self) -> int:
        return self.history[-1].head.last_seq if self.history else 0

    # RelayState

    def append(self, *distances: int, frame_bytes: int = 100) -> Sketch:
        seqs = [self.last_seq + sum(distances[: index + 1]) for index in range(len(distances))]
        self.history.append(sketch(self.last_seq, seqs, frame_bytes))
        return self.history[-1]

    def forget(self, batches: int = 1) -> None:
        """The newest batch is always kept."""
        for batch in self.history[: min(batches, len(self.history) - 1)]:
            self.missing_up_to = batch.head.last_seq
        self.history = [batch for batch in self.history if batch.head.last_seq > self.missing_up_to]

    def serve(self, name: str) -> None:
        """RelayState answers; the answer is on its way."""
        cursor = self.reads.pop(name)
        batch = next((batch for batch in self.history if batch.head.last_seq >= cursor), None)
        self.answers[name] = History(batch, self.missing_up_to)

    # the feed

    def feed(self, batch: Sketch) -> None:
        self.carry_out(self.shard.batch(batch, self.now_us))

    def feed_head(self) -> None:
        self.shard.feed_head(self.last_seq, self.now_us)

    def publish(self, *distances: int, frame_bytes: int = 100) -> None:
        self.feed(self.append(*distances, frame_bytes=frame_bytes))

    # sockets

    def join(self, name: str, start: Start = LIVE) -> Reader:
        self.readers[name] = Reader()
        self.carry_out(self.shard.join(name, start, self.now_us))
        return self.readers[name]

    def deliver(self, name: str) -> None:
        self.carry_out(self.shard.answer(name, self.answers.pop(name)))

    def pump(self) -> None:
        self.carry_out(self.shard.pump(self.now_us))

    def run(self) -> None:
        """Let everything happen that is under way, with sockets that take everything, until nothing moves."""
        for _ in range(1_000):
            for reader in self.readers.values():
                reader.unsent_bytes = 0
            self.now_us += 30 * S_US
            before = [len(reader.got) for reader in self.readers.values()]
            self.pump()
            moved = bool(self.reads or self.answers)
            for name in list(self.reads):
                self.serve(name)
            for name in list(self.answers):
                self.deliver(name)
            if not moved and before == [len(reader.got) for reader in self.readers.values()]:
                return
        raise AssertionError("it never comes to rest")

    def carry_out(self, commands: list[ShardCommand[Sketch]]) -> None:
        self.commands = commands
        for command in commands:
            match command:
                case SendLive(batch, readers):
                    for name in readers:
                        self.send(name, batch, 0, len(batch.head.seqs))
                case SendPart(name, batch, first, end):
                    self.send(name, batch, first, end)
                case SendControl(name, error, _, _):
                    self.readers[name].got.append(error)
                case Read(name, cursor):
                    assert name not in self.reads
                    assert name not in self.answers
                    self.reads[name] = cursor
                case CloseReader(name, reason):
                    self.readers[name].closed = reason

    def send(self, name: str, batch: Sketch, first: int, end: int) -> None:
        assert first < end, "nothing is sent"
        self.readers[name].got += batch.head.seqs[first:end]
        self.readers[name].unsent_bytes += sum(batch.head.frame_bytes[first:end])


class TestLive:
    def test_a_live_reader_gets_what_comes(self) -> None:
        theatre = Theatre()
        theatre.publish(10, 5)
        reader = theatre.join("a")
        theatre.publish(1)
        theatre.publish(2, 2)
        assert reader.got == [16, 18, 20]
        assert (len(theatre.shard), theatre.shard.behind, theatre.shard.head) == (1, 0, 20)

    def test_all_live_readers_share_one_command(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        for name in "abc":
            theatre.join(name)
        batch = theatre.append(1)
        assert theatre.shard.batch(batch, NOW_US) == [SendLive(batch, ("a", "b", "c"))]

    def test_a_shard_that_knows_no_head_begins_with_the_first_batch(self) -> None:
        theatre = Theatre()
        theatre.append(100)
        reader = theatre.join("a")
        theatre.publish(5)
        assert (reader.got, theatre.shard.head) == ([105], 105)

    def test_a_batch_that_comes_twice_is_sent_once(self) -> None:
        theatre = Theatre()
        theatre.publish(5)
        reader = theatre.join("a")
        batch = theatre.append(5)
        theatre.feed(batch)
        theatre.feed(batch)
        theatre.feed(theatre.history[0])
        assert (reader.got, theatre.shard.behind, theatre.shard.head) == ([10], 0, 10)

    def test_a_reader_that_left_gets_nothing(self) -> None:
        theatre = Theatre()
        theatre.publish(5)
        gone, behind = theatre.join("a"), theatre.join("b", ALL)
        theatre.pump()
        theatre.shard.left("a")
        theatre.shard.left("b")
        theatre.shard.left("nobody")
        theatre.publish(5)
        assert (gone.got, behind.got, len(theatre.shard)) == ([], [5], 0)

    def test_a_socket_that_outlived_the_memory_stands_at_the_next_batch(self) -> None:
        theatre = Theatre()
        theatre.readers["a"] = Reader()
        theatre.append(9)
        theatre.shard.resume("a")
        theatre.publish(1, 1)
        assert theatre.readers["a"].got == [10, 11]


class TestCursors:
    def test_a_cursor_is_inclusive(self) -> None:
        theatre = Theatre()
        theatre.publish(10, 1, 1)
        readers = {cursor: theatre.join(str(cursor), Start(cursor, strict=True)) for cursor in (10, 11, 12, 13)}
        theatre.pump()
        assert {cursor: reader.got for cursor, reader in readers.items()} == {
            10: [10, 11, 12],
            11: [11, 12],
            12: [12],
            13: [],
        }
        assert theatre.shard.behind == 0
        theatre.publish(1)
        assert readers[13].got == [13]

    def test_a_cursor_beyond_the_head_waits_for_its_number(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a", Start(15, strict=True))
        theatre.pump()
        theatre.publish(2)
        theatre.pump()
        assert reader.got == []
        theatre.publish(2, 2, 2)
        assert reader.got == [16, 18]
        theatre.publish(1)
        assert reader.got == [16, 18, 19]

    def test_what_the_ring_does_not_hold_is_read(self) -> None:
        theatre = Theatre()
        for _ in range(3):
            theatre.append(10)
        theatre.publish(10)
        reader = theatre.join("a", Start(15, strict=True))
        theatre.pump()
        assert theatre.reads == {"a": 15}
        theatre.run()
        assert reader.got == [20, 30, 40]

    def test_a_reader_that_waits_for_an_answer_asks_once(self) -> None:
        theatre = Theatre()
        theatre.append(10)
        theatre.feed_head()
        theatre.join("a", ALL)
        theatre.pump()
        theatre.pump()
        assert theatre.reads == {"a": 1}
        theatre.reads.clear()
        theatre.shard.read_failed("a")
        theatre.shard.read_failed("nobody")
        theatre.pump()
        assert theatre.reads == {"a": 1}

    def test_an_answer_for_a_reader_that_left_is_nothing(self) -> None:
        assert Theatre().shard.answer("nobody", History(None, 5)) == []

    def test_an_answer_without_a_batch_is_asked_for_again(self) -> None:
        theatre = Theatre()
        theatre.append(10)
        theatre.feed_head()
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.answers["a"], theatre.reads = History(None, 4), {}
        theatre.deliver("a")
        theatre.pump()
        assert theatre.reads == {"a": 5}
        theatre.run()
        assert reader.got == ["OutdatedCursor", 10]

    def test_before_the_feed_is_open_what_there_is_is_read(self) -> None:
        theatre = Theatre()
        reader = theatre.join("a", ALL)
        theatre.append(10)
        theatre.run()
        assert reader.got == [10]
        theatre.append(10)
        theatre.pump()
        assert theatre.commands == [], "after it found nothing it waits for the feed"
        theatre.feed_head()
        theatre.run()
        assert reader.got == [10, 20]

    def test_a_future_cursor_is_refused(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a", Start(12, strict=True, future=True))
        assert (reader.got, reader.closed, len(theatre.shard)) == (["FutureCursor"], "FutureCursor", 0)
        assert theatre.commands[0] == SendControl("a", "FutureCursor", "the cursor lies in the future", is_error=True)

    @pytest.mark.parametrize("lost", [False, True], ids=["never fed", "lost"])
    def test_without_a_feed_nobody_knows_what_the_future_is(self, lost: bool) -> None:
        """Numbers may be ahead of our clock, and the shard may have been away when they were given out."""
        theatre = Theatre()
        if lost:
            theatre.publish(1)
            theatre.shard.feed_lost()
        theatre.append(30)
        cursors = {cursor: theatre.join(str(cursor), Start(cursor, strict=True, future=True)) for cursor in (20, 50)}
        first = theatre.last_seq
        cursors[first] = theatre.join("first", Start(first, strict=True, future=True))
        theatre.pump()
        assert [reader.got for reader in cursors.values()] == [[], [], []]
        theatre.feed_head()
        theatre.run()
        theatre.publish(1)
        assert [reader.closed for reader in cursors.values()] == ["", "FutureCursor", ""]
        assert cursors[20].got == cursors[first].got == [first, first + 1]
        assert cursors[50].got == ["FutureCursor"]

    def test_a_doubt_ends_when_the_feed_tells(self) -> None:
        theatre = Theatre()
        theatre.append(30)
        reader = theatre.join("a", Start(30, strict=True, future=True))
        theatre.feed_head()
        theatre.pump()
        theatre.shard.feed_lost()
        theatre.run()
        assert (reader.got, reader.closed) == ([30], "")

    def test_an_outdated_cursor_is_told_before_anything_else(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a", Start(5, outdated=True))
        theatre.run()
        assert reader.got == ["OutdatedCursor", 10]


class TestGaps:
    def test_a_batch_that_does_not_follow_sends_everybody_to_read_what_is_missing(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a")
        theatre.append(10)
        theatre.publish(10)
        assert (reader.got, theatre.shard.behind) == ([], 1)
        theatre.run()
        assert (reader.got, theatre.shard.behind) == ([20, 30], 0)

    def test_a_batch_that_overlaps_is_sent_from_where_it_is_new(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a")
        theatre.history.append(sketch(5, (10, 20)))
        theatre.feed(theatre.history[-1])
        assert reader.got == [20]

    def test_a_feed_that_skipped_says_so(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a")
        theatre.append(10)
        theatre.feed_head()
        theatre.feed_head()
        theatre.run()
        theatre.publish(10)
        assert reader.got == [20, 30]

    def test_a_lost_feed_loses_nothing(self) -> None:
        theatre = Theatre()
        theatre.publish(10)
        reader = theatre.join("a")
        theatre.shard.feed_lost()
        theatre.append(10)
        theatre.feed_head()
        theatre.publish(10)
        theatre.run()
        assert reader.got == [20, 30]

    def test_a_head_that_lies_back_is_where_the_stream_goes_on(self) -> None:
        """RelayState lost what it had shown: its new numbers lie beyond, behind an older one."""
        theatre = Theatre()
        for _ in range(3):
            theatre.publish(10)
        live, waiting = theatre.join("a"), theatre.join("b", Start(25, strict=True))
        theatre.shard.feed_lost()
        theatre.history = theatre.history[:1]
        theatre.feed_head()
        late = theatre.join("c", Start(10, strict=True))
        theatre.run()
        assert theatre.shard.head == 10
        theatre.publish(30)
        theatre.run()
        assert (live.got, waiting.got, late.got) == ([40], [40], [10, 40])
        assert not theatre.reads

    @pytest.mark.parametrize("first", ["head", "batch"])
    def test_who_joins_the_live_stream_without_a_feed_gets_nothing_from_before(self, first: str) -> None:
        theatre = Theatre()
        theatre.publish(10)
        theatre.shard.feed_lost()
        theatre.append(10)
        reader, left = theatre.join("a"), theatre.join("b")
        assert len(theatre.shard) == 2
        theatre.shard.left("b")
        if first == "head":
            theatre.feed_head()
        theatre.publish(10)
        theatre.run()
        assert (reader.got, left.got) == ([30], [])

    def test_a_hole_is_told(self) -> None:
        theatre = Theatre()
        for _ in range(3):
            theatre.append(10)
        theatre.feed_head()
        theatre.forget()
        strict, window = theatre.join("a", Start(10, strict=True)), theatre.join("b", Start(5))
        theatre.run()
        assert (strict.got, window.got) == (["OutdatedCursor", 20, 30], [20, 30])
        assert theatre.shard.holes_told == 1

    @pytest.mark.parametrize("why", ["socket", "feed"])
    def test_a_hole_is_told_to_who_was_live_and_fell_behind(self, why: str) -> None:
        theatre = Theatre(POLICY._replace(ring_bytes=200))
        theatre.publish(10)
        reader = theatre.join("a")
        if why == "socket":
            reader.unsent_bytes = POLICY.unsent_bytes + 1
            theatre.publish(10)
        else:
            theatre.append(10)
        theatre.publish(10)
        theatre.publish(10)
        theatre.forget(2)
        theatre.run()
        assert reader.got == ["OutdatedCursor", 30, 40]

    def test_a_hole_after_the_first_event_is_told_to_everybody(self) -> None:
        """The window of a reader begins where history begins; what is missing later is missing."""
        theatre = Theatre(POLICY._replace(ring_bytes=200))
        theatre.publish(10)
        theatre.publish(10)
        reader = theatre.join("a", Start(1))
        theatre.pump()
        assert (reader.got, theatre.shard.behind) == ([10], 1)
        theatre.publish(10)
        theatre.publish(10)
        theatre.forget(2)
        theatre.run()
        assert reader.got == [10, "OutdatedCursor", 30, 40]


class TestPace:
    def test_a_full_socket_falls_behind_and_catches_up(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        slow, fast = theatre.join("a"), theatre.join("b")
        slow.unsent_bytes, fast.unsent_bytes = POLICY.unsent_bytes + 1, POLICY.unsent_bytes
        theatre.publish(1)
        assert theatre.shard.behind == 1
        fast.unsent_bytes = 0
        theatre.publish(1)
        theatre.pump()
        assert (slow.got, fast.got) == ([], [2, 3])
        slow.unsent_bytes = POLICY.unsent_bytes
        theatre.publish(1)
        assert slow.got == []
        theatre.run()
        assert (slow.got, fast.got, theatre.shard.behind) == ([2, 3, 4], [2, 3, 4], 0)

    @pytest.mark.parametrize(("count", "room_bytes"), [(1, 4_000_000), (2, 2_000_000), (8, 500_000), (100, 500_000)])
    def test_a_few_readers_share_what_many_may_hold(self, count: int, room_bytes: int) -> None:
        theatre = Theatre(SHARED)
        theatre.publish(1)
        readers = [theatre.join(str(index)) for index in range(count)]
        readers[0].unsent_bytes = room_bytes
        theatre.publish(1)
        assert (theatre.shard.behind, readers[0].got) == (0, [2])
        readers[0].unsent_bytes = room_bytes + 1
        theatre.publish(1)
        theatre.pump()
        assert (theatre.shard.behind, readers[0].got) == (1, [2])
        readers[0].unsent_bytes = room_bytes
        theatre.pump()
        assert (theatre.shard.behind, readers[0].got) == (0, [2, 3])

    def test_a_turn_is_bounded(self) -> None:
        theatre = Theatre()
        theatre.publish(*[1] * 10, frame_bytes=PART_BYTES // 2)
        reader = theatre.join("a", ALL)
        theatre.pump()
        assert reader.got == [1, 2]
        theatre.publish(1)
        assert reader.got == [1, 2], "what is new waits for its turn"
        theatre.run()
        assert reader.got == list(range(1, 12))

    def test_what_was_read_is_kept_until_it_is_sent(self) -> None:
        theatre = Theatre()
        theatre.append(*[1] * 6, frame_bytes=PART_BYTES)
        theatre.feed_head()
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.serve("a")
        theatre.deliver("a")
        for _ in range(6):
            theatre.pump()
            reader.unsent_bytes = 0
        assert (reader.got, theatre.reads) == ([1, 2, 3, 4, 5, 6], {})

    def test_a_frame_may_be_larger_than_a_turn(self) -> None:
        theatre = Theatre(POLICY._replace(ring_bytes=20_000_000))
        theatre.publish(1, 1, frame_bytes=5_000_000)
        reader = theatre.join("a", ALL)
        theatre.pump()
        assert reader.got == [1]

    def test_a_reader_without_progress_is_closed(self) -> None:
        theatre = Theatre()
        theatre.publish(1, frame_bytes=600_000)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.publish(1)
        theatre.now_us += 60 * S_US
        theatre.pump()
        assert reader.closed == ""
        theatre.now_us += 1
        theatre.pump()
        assert (reader.got, reader.closed) == ([1, "ConsumerTooSlow"], "ConsumerTooSlow")
        assert (len(theatre.shard), theatre.shard.closed_too_slow) == (0, 1)

    def test_progress_right_after_a_turn_counts(self) -> None:
        theatre = Theatre()
        theatre.publish(1, frame_bytes=600_000)
        theatre.publish(1)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.now_us += 59 * S_US
        reader.unsent_bytes -= 1
        theatre.pump()
        theatre.now_us += 2 * S_US
        theatre.pump()
        assert reader.closed == ""

    def test_however_slow_a_reader_is_its_progress_counts(self) -> None:
        theatre = Theatre()
        theatre.publish(1, frame_bytes=600_000)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.publish(1)
        for _ in range(20):
            theatre.now_us += 59 * S_US
            reader.unsent_bytes -= 1
            theatre.pump()
        assert (reader.got, reader.closed) == ([1], "")

    def test_a_clock_that_steps_back_closes_nobody_and_delays_nobody(self) -> None:
        theatre = Theatre()
        theatre.publish(1, frame_bytes=600_000)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.publish(1)
        theatre.now_us -= 1_200 * S_US
        theatre.pump()
        theatre.now_us += 60 * S_US
        theatre.pump()
        assert reader.closed == ""
        theatre.now_us += 1
        theatre.pump()
        assert reader.closed == "ConsumerTooSlow"


class TestBlind:
    """The runtime does not tell what waits in a socket."""

    POLICY = POLICY._replace(unsent_bytes=100_000)

    def test_who_is_behind_is_paced(self) -> None:
        theatre = Theatre(self.POLICY, blind=True)
        theatre.publish(*[1] * 4, frame_bytes=PART_BYTES)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.pump()
        assert reader.got == [1]
        theatre.now_us += PART_BYTES - 100_001
        theatre.pump()
        assert reader.got == [1]
        theatre.now_us += 1
        theatre.pump()
        assert reader.got == [1, 2]

    def test_who_is_live_is_paced_too(self) -> None:
        """Ten megabytes come at once: what may wait is bounded, and the rest is read at the pace."""
        theatre = Theatre(self.POLICY._replace(ring_bytes=20_000_000), blind=True)
        theatre.publish(1)
        reader = theatre.join("a")
        for _ in range(20):
            theatre.publish(1, frame_bytes=500_000)
        assert (reader.got, theatre.shard.behind) == ([2], 1)
        for _ in range(19):
            before = len(reader.got)
            theatre.now_us += S_US // 2
            theatre.pump()
            assert len(reader.got) - before <= 1
        assert (reader.got, theatre.shard.behind) == (list(range(2, 22)), 0)
        theatre.publish(1, frame_bytes=500_000)
        theatre.publish(1)
        assert (reader.got[-1], theatre.shard.behind) == (21, 1), "it stays as full when it is live again"

    def test_a_live_reader_within_the_pace_stays_live(self) -> None:
        theatre = Theatre(self.POLICY, blind=True)
        theatre.publish(1)
        reader = theatre.join("a")
        for _ in range(50):
            theatre.publish(1, frame_bytes=50_000)
            theatre.now_us += 50_000
        assert (len(reader.got), theatre.shard.behind) == (50, 0)

    def test_nobody_is_called_stuck(self) -> None:
        """Frames are large and the pace is slow: a pause of more than a minute is ours."""
        theatre = Theatre(self.POLICY._replace(blind_bytes_per_s=10_000), blind=True)
        theatre.publish(1, 1, frame_bytes=5_000_000)
        reader = theatre.join("a", ALL)
        theatre.pump()
        for _ in range(8):
            theatre.now_us += 61 * S_US
            theatre.pump()
        assert (reader.got, reader.closed) == ([1], "")
        theatre.run()
        assert reader.got == [1, 2]

    def test_a_clock_that_steps_back_delays_nobody(self) -> None:
        theatre = Theatre(self.POLICY, blind=True)
        theatre.publish(1, 1, frame_bytes=PART_BYTES)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.now_us -= 1_200 * S_US
        theatre.pump()
        assert reader.got == [1, 2]


class Expected(NamedTuple):
    """Where a reader of the random play begins; None until the feed tells."""

    cursor: int | None
    strict: bool


@given(st.data(), st.booleans(), st.sampled_from([1, 2_000, 10**7]))
def test_every_reader_gets_its_events_once_and_in_order(data: st.DataObject, blind: bool, ring_bytes: int) -> None:
    theatre = Theatre(POLICY._replace(ring_bytes=ring_bytes), blind=blind)
    play = _Play(theatre)
    for _ in range(data.draw(st.integers(0, 60))):
        action = data.draw(st.sampled_from(_Play.ACTIONS))
        getattr(play, action)(data)
    play.reconnect(data)
    theatre.run()
    play.check()


class _Play:
    """Acts at random, and knows what each reader must have got in the end."""

    ACTIONS = (
        *("append", "append", "skip", "lose", "reconnect", "forget", "join", "join", "leave"),
        *("pump", "pump", "serve", "deliver", "fail", "drain"),
    )

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.events: list[int] = []
        self.expected: dict[str, Expected] = {}
        self.has_feed = False
        self.joined = 0

    def append(self, data: st.DataObject) -> None:
        """A batch, to the shard as well if there is a feed."""
        batch = self.skip(data)
        if self.has_feed:
            self.theatre.feed(batch)
            self.settle(batch.head.first_seq)

    def skip(self, data: st.DataObject) -> Sketch:
        """A batch that never reaches the shard."""
        distances = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
        batch = self.theatre.append(*distances, frame_bytes=data.draw(st.sampled_from([100, 200_000, 600_000])))
        self.events += batch.head.seqs
        return batch

    def lose(self, _: st.DataObject) -> None:
        self.has_feed = False
        self.theatre.shard.feed_lost()

    def reconnect(self, _: st.DataObject) -> None:
        self.has_feed = True
        self.theatre.feed_head()
        self.settle(self.theatre.last_seq + 1)

    def settle(self, cursor: int) -> None:
        """Live readers that joined without a feed begin here."""
        for name, expected in self.expected.items():
            if expected.cursor is None:
                self.expected[name] = Expected(cursor, expected.strict)

    def forget(self, data: st.DataObject) -> None:
        self.theatre.forget(data.draw(st.integers(1, 3)))

    def join(self, data: st.DataObject) -> None:
        name, self.joined = f"reader {self.joined}", self.joined + 1
        head = self.theatre.shard.head
        cursor = data.draw(st.none() | st.integers(1, self.theatre.last_seq + 6))
        strict = cursor is not None and data.draw(st.booleans())
        live = None if head is None or not self.has_feed else head + 1
        self.expected[name] = Expected(live if cursor is None else cursor, strict or cursor is None)
        self.theatre.join(name, Start(cursor, strict=strict))

    def leave(self, data: st.DataObject) -> None:
        if self.expected:
            name = data.draw(st.sampled_from(sorted(self.expected)))
            self.theatre.shard.left(name)
            del self.expected[name]

    def pump(self, data: st.DataObject) -> None:
        self.theatre.now_us += data.draw(st.integers(-S_US, S_US))
        self.theatre.pump()

    def serve(self, data: st.DataObject) -> None:
        if self.theatre.reads:
            self.theatre.serve(data.draw(st.sampled_from(sorted(self.theatre.reads))))

    def deliver(self, data: st.DataObject) -> None:
        if self.theatre.answers:
            self.theatre.deliver(data.draw(st.sampled_from(sorted(self.theatre.answers))))

    def fail(self, data: st.DataObject) -> None:
        waiting = [*self.theatre.reads, *self.theatre.answers]
        if waiting:
            name = data.draw(st.sampled_from(sorted(waiting)))
            self.theatre.reads.pop(name, None)
            self.theatre.answers.pop(name, None)
            self.theatre.shard.read_failed(name)

    def drain(self, data: st.DataObject) -> None:
        for reader in self.theatre.readers.values():
            reader.unsent_bytes -= data.draw(st.integers(0, reader.unsent_bytes))

    def check(self) -> None:
        missing = self.theatre.missing_up_to
        for name, (cursor, strict) in self.expected.items():
            reader = self.theatre.readers[name]
            assert reader.closed == ""
            wanted = [seq for seq in self.events if cursor is not None and seq >= cursor]
            assert reader.seqs == [seq for seq in wanted if seq in set(reader.seqs)], "once, and in order"
            assert all(seq <= missing for seq in set(wanted) - set(reader.seqs)), "only what is forgotten is missing"
            assert not wanted or wanted[-1] <= missing or reader.seqs[-1] == wanted[-1], "up to the newest"
            self.check_holes(reader.got, wanted, strict=strict)
        assert self.theatre.shard.behind == len(
            [
                cursor
                for cursor, _ in self.expected.values()
                if cursor is not None and cursor > self.theatre.last_seq + 1
            ]
        ), "who has everything is live"

    def check_holes(self, got: list[int | str], wanted: list[int], *, strict: bool) -> None:
        """Between two events with a hole between them stands a word about it, and nowhere else."""
        at, told, is_first = 0, False, True
        for each in got:
            if isinstance(each, str):
                assert each == "OutdatedCursor"
                told = True
                continue
            is_hole = wanted[at] != each
            assert told or not is_hole or (is_first and not strict), f"a hole before {each}"
            at, told, is_first = wanted.index(each) + 1, False, False
