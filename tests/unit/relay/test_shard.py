"""A shard: whichever way its events come, each reader gets every one from its cursor on, once, in order.

`Theatre` plays RelayState, the feed and the sockets; the last test lets chance write the play.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import KINDS, BatchHead
from edgerelay.archive.block import Contents, collections_of
from edgerelay.archive.did_filter import DidFilter
from edgerelay.relay.channel import FIREHOSE, Channel, Message, Wire
from edgerelay.relay.cursor import Start
from edgerelay.relay.delivery import LOOKED_BYTES, PART_BYTES, RENDERED_BYTES
from edgerelay.relay.filters import Filter
from edgerelay.relay.room import CALM_BYTES, MOST_UNSENT_BYTES, SHARED_UNSENT_BYTES
from edgerelay.relay.shard import Shard, ShardPolicy
from edgerelay.relay.shard_commands import CloseReader, History, Read, Send, SendControl, ShardCommand
from edgerelay.relay.turns import FIRST_REST_US, LONGEST_REST_US, PACE_US

S_US = 1_000_000
NOW_US = 1_795_000_000 * S_US
POLICY = ShardPolicy(
    ring_bytes=2_000_000, unsent_bytes=500_000, blind_bytes_per_s=1_000_000, stuck_s=60, shared_unsent_bytes=0
)
SHARED = POLICY._replace(shared_unsent_bytes=SHARED_UNSENT_BYTES)
LIVE, ALL = Start(None), Start(1, strict=True)


class Happening(NamedTuple):
    """An event, as filters see it."""

    kind: str = "#sync"
    did: str = "did:plc:a"
    paths: tuple[str, ...] = ()


SYNC = Happening()


class Sketch(NamedTuple):
    """A batch whose frames are the numbers of its events."""

    head: BatchHead
    size_bytes: int
    frames: tuple[int, ...]


def sketch(prev_seq: int, seqs: Sequence[int], frame_bytes: int = 100, happenings: Sequence[Happening] = ()) -> Sketch:
    count = len(seqs)
    kinds, dids, paths = zip(*(happenings or [SYNC] * count), strict=True)
    head = BatchHead(prev_seq, tuple(seqs), kinds, (frame_bytes,) * count, dids, paths, (), b"")
    return Sketch(head, frame_bytes * count, tuple(seqs))


def lines_of(wire: Wire, batch: Sketch, index: int) -> tuple[list[Message], bool]:
    """A message for each operation, and one for what is no commit."""
    seq, count = batch.head.seqs[index], max(1, len(batch.head.paths[index]))
    return [Message(number, 10, f"{wire} {number}") for number in range(seq, seq + count)], True


def may_match(batch: Sketch, wanted: Filter) -> bool:
    """What the archive would say of a block with these events."""
    head = batch.head
    paths = [path for paths in head.paths for path in paths]
    counts = tuple([head.kinds.count(kind) for kind in KINDS])
    filters = collections_of(paths), DidFilter.of(head.dids)
    matches = wanted.may_match()
    return matches is None or matches(Contents(head.prev_seq, head.first_seq, head.last_seq, counts, *filters, ()))


class Reader:
    """What a socket took, and what still waits in it."""

    def __init__(self) -> None:
        self.got: list[int | str] = []
        self.unsent_bytes = 0
        self.closed = ""

    @property
    def messages(self) -> list[int | str]:
        return [each for each in self.got if each != "OutdatedCursor"]


class Theatre:
    """RelayState with its history, a feed to one shard, and the shard's sockets."""

    def __init__(self, policy: ShardPolicy = POLICY, *, blind: bool = False) -> None:
        self.policy, self.blind = policy, blind
        self.shard = self.new_shard()
        self.readers: dict[str, Reader] = {}
        self.history: list[Sketch] = []
        self.missing_up_to = 0
        self.reads: dict[str, tuple[int, Filter]] = {}
        self.answers: dict[str, History[Sketch]] = {}
        self.now_us = NOW_US
        self.commands: list[ShardCommand] = []

    def new_shard(self) -> Shard[Sketch]:
        return Shard(self.policy, lambda name: None if self.blind else self.readers[name].unsent_bytes, lines_of)

    @property
    def last_seq(self) -> int:
        return self.history[-1].head.last_seq if self.history else 0

    # RelayState

    def append(self, *distances: int, frame_bytes: int = 100, happenings: Sequence[Happening] = ()) -> Sketch:
        seqs = [self.last_seq + sum(distances[: index + 1]) for index in range(len(distances))]
        self.history.append(sketch(self.last_seq, seqs, frame_bytes, happenings))
        return self.history[-1]

    def forget(self, batches: int = 1) -> None:
        """The newest batch is always kept."""
        for batch in self.history[: min(batches, len(self.history) - 1)]:
            self.missing_up_to = batch.head.last_seq
        self.history = [batch for batch in self.history if batch.head.last_seq > self.missing_up_to]

    def serve(self, name: str) -> None:
        """History answers; the answer is on its way."""
        cursor, wanted = self.reads.pop(name)
        batch = next((batch for batch in self.history if batch.head.last_seq >= cursor), None)
        if batch is not None and cursor > self.missing_up_to and not may_match(batch, wanted):
            self.answers[name] = History(None, 0, batch.head.last_seq)
        else:
            self.answers[name] = History(batch, self.missing_up_to)

    # the feed

    def feed(self, batch: Sketch) -> None:
        self.shard.measured(0 if self.blind else sum(reader.unsent_bytes for reader in self.readers.values()))
        self.carry_out(self.shard.batch(batch, self.now_us))

    def feed_head(self) -> None:
        self.shard.feed_head(self.last_seq, self.now_us)

    def publish(self, *distances: int, frame_bytes: int = 100, happenings: Sequence[Happening] = ()) -> None:
        self.feed(self.append(*distances, frame_bytes=frame_bytes, happenings=happenings))

    # sockets

    def join(self, name: str, start: Start = LIVE, channel: Channel = FIREHOSE) -> Reader:
        self.readers[name] = Reader()
        self.carry_out(self.shard.join(name, start, self.now_us, channel))
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
            moved = self.shard.moved or bool(self.reads or self.answers)
            for name in list(self.reads):
                self.serve(name)
            for name in list(self.answers):
                self.deliver(name)
            if not moved and before == [len(reader.got) for reader in self.readers.values()]:
                return
        raise AssertionError("it never comes to rest")

    def carry_out(self, commands: list[ShardCommand]) -> None:
        self.commands = commands
        for command in commands:
            match command:
                case Send(names, messages, _):
                    for name in names:
                        self.send(name, messages)
                case SendControl(name, error, _, _):
                    self.readers[name].got.append(error)
                case Read(name, cursor, wanted):
                    assert name not in self.reads
                    assert name not in self.answers
                    self.reads[name] = cursor, wanted.filter
                case CloseReader(name, reason):
                    self.readers[name].closed = reason

    def send(self, name: str, messages: Sequence[int | str]) -> None:
        assert messages, "nothing is sent"
        self.readers[name].got += messages
        sizes = {
            seq: size for batch in self.history for seq, size in zip(batch.frames, batch.head.frame_bytes, strict=True)
        }
        self.readers[name].unsent_bytes += sum(
            [sizes.get(each, 0) if isinstance(each, int) else 10 for each in messages]
        )


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
        assert theatre.shard.batch(batch, NOW_US) == [Send(("a", "b", "c"), batch.frames, 100)]

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
        assert theatre.reads == {"a": (15, Filter())}
        theatre.run()
        assert reader.got == [20, 30, 40]

    def test_a_reader_that_waits_for_an_answer_asks_once(self) -> None:
        theatre = Theatre()
        theatre.append(10)
        theatre.feed_head()
        theatre.join("a", ALL)
        theatre.pump()
        theatre.pump()
        assert theatre.reads == {"a": (1, Filter())}
        theatre.reads.clear()
        theatre.shard.read_failed("a")
        theatre.shard.read_failed("nobody")
        theatre.pump()
        assert theatre.reads == {"a": (1, Filter())}

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
        assert theatre.reads == {"a": (5, Filter())}
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

    @pytest.mark.parametrize(
        ("cursor", "got"),
        [
            (10, ["OutdatedCursor", "lines 15"]),
            (14, ["OutdatedCursor", "lines 15"]),
            (15, ["lines 15"]),
        ],
    )
    def test_what_followed_within_the_last_missing_event_is_told_too(self, cursor: int, got: list[int | str]) -> None:
        theatre = Theatre(POLICY._replace(ring_bytes=1))
        theatre.append(10, happenings=[COMMIT._replace(paths=("a.b/1", "a.b/2"))])
        theatre.append(5)
        theatre.forget()
        reader = theatre.join("a", Start(cursor, strict=True), LINES)
        theatre.run()
        assert reader.got == got


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

    @pytest.mark.parametrize(("count", "room_bytes"), [(1, 4_000_000), (2, 2_000_000), (8, 500_000), (16, 500_000)])
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
        theatre.now_us += FIRST_REST_US
        theatre.pump()
        assert (theatre.shard.behind, readers[0].got) == (0, [2, 3])

    def test_a_batch_that_is_too_much_for_so_many_is_handed_over_in_turns(self) -> None:
        """What is handed over at once is bounded, although their sockets are empty, and then what waits in all."""
        count, frame_bytes = 100, MOST_UNSENT_BYTES // 100 // 3
        theatre = Theatre(SHARED)
        theatre.publish(1)
        readers = [theatre.join(str(index)) for index in range(count)]
        theatre.publish(*[1] * 4, frame_bytes=frame_bytes)
        assert CALM_BYTES <= sum(reader.unsent_bytes for reader in readers) <= 2 * CALM_BYTES + 4 * frame_bytes
        for _ in range(10):
            theatre.now_us += LONGEST_REST_US
            theatre.pump()
        assert sum(reader.unsent_bytes for reader in readers) <= MOST_UNSENT_BYTES + CALM_BYTES
        assert {tuple(reader.got) for reader in readers} >= {(2, 3, 4, 5)}
        theatre.run()
        assert (theatre.shard.behind, {tuple(reader.got) for reader in readers}) == (0, {(2, 3, 4, 5)})

    def test_those_who_take_nothing_do_not_slow_down_those_who_take_everything(self) -> None:
        """Three hundred stand still with full sockets; one takes what comes, and has all of it after a few turns."""
        theatre = Theatre(SHARED)
        theatre.publish(1)
        stalled = [theatre.join(str(index)) for index in range(300)]
        brisk = theatre.join("brisk")
        for _ in range(20):
            theatre.publish(*[1] * 20, frame_bytes=5_000)
            for _ in range(4):
                theatre.now_us += FIRST_REST_US
                brisk.unsent_bytes = 0
                theatre.pump()
        assert brisk.got == list(range(2, 402))
        assert sum(reader.unsent_bytes for reader in stalled) <= MOST_UNSENT_BYTES + CALM_BYTES

    def test_so_do_those_who_are_live_and_get_something_now_and_then(self) -> None:
        """A batch that has nothing for them does not look at their sockets."""
        theatre = Theatre(SHARED)
        theatre.publish(1)
        dids = [f"did:plc:{index}" for index in range(300)]
        stalled = [theatre.join(did, channel=wanting(dids=frozenset([did]))) for did in dids]
        for _ in range(30):
            for did in dids:
                theatre.publish(1, frame_bytes=20_000, happenings=[Happening("#sync", did)])
        assert sum(reader.unsent_bytes for reader in stalled) <= MOST_UNSENT_BYTES + CALM_BYTES

    def test_a_full_socket_is_looked_at_less_and_less_often(self) -> None:
        theatre, looks = Theatre(), list[int]()
        theatre.publish(1)
        reader = theatre.join("a")

        def look(_: str) -> int:
            looks.append(theatre.now_us)
            return reader.unsent_bytes

        theatre.shard._unsent = look
        reader.unsent_bytes = POLICY.unsent_bytes + 1
        theatre.publish(1)
        for _ in range(1_000):
            theatre.now_us += 1_000
            theatre.pump()
        rests = [after - before for before, after in pairwise(looks[1:])]
        assert rests[:5] == [FIRST_REST_US * factor for factor in (1, 2, 4, 8, 16)]
        assert set(rests[5:]) == {LONGEST_REST_US}

    def test_what_follows_is_asked_for_with_the_last_part(self) -> None:
        """If the socket has room for more: what is read waits in our memory."""
        theatre = Theatre(POLICY._replace(ring_bytes=1))
        for size in 100, 600_000, 100:
            theatre.append(1, frame_bytes=size)
        theatre.feed_head()
        theatre.join("a", ALL)
        theatre.pump()
        theatre.serve("a")
        theatre.deliver("a")
        theatre.pump()
        assert (theatre.readers["a"].got, list(theatre.reads)) == ([1], ["a"])
        theatre.serve("a")
        theatre.deliver("a")
        theatre.pump()
        assert (theatre.readers["a"].got, list(theatre.reads)) == ([1, 2], [])

    def test_what_was_read_beyond_the_head_is_handed_over_all_the_same(self) -> None:
        """RelayState has newer events than the feed has brought yet."""
        theatre = Theatre()
        theatre.publish(1)
        theatre.join("a", ALL)
        theatre.shard.ring.clear()
        theatre.history[0] = sketch(0, (1, 2, 3), PART_BYTES // 2)
        theatre.pump()
        theatre.serve("a")
        theatre.deliver("a")
        theatre.pump()
        assert (theatre.readers["a"].got, theatre.shard.head, theatre.shard.is_pumping) == ([1, 2], 1, True)
        theatre.readers["a"].unsent_bytes = 0
        theatre.pump()
        assert (theatre.readers["a"].got, theatre.shard.is_pumping) == ([1, 2, 3], False)

    def test_one_for_whom_much_is_rendered_in_vain_keeps_nobody_waiting(self) -> None:
        theatre = Theatre()
        size = RENDERED_BYTES // 2
        theatre.publish(*[1] * 20, frame_bytes=size, happenings=[COMMIT] * 20)
        theatre.join("vain", ALL, LINES._replace(max_bytes=1))
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.pump()
        assert reader.got

    def test_it_is_said_when_to_pump_again(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        theatre.publish(1, 1, frame_bytes=PART_BYTES)
        reader = theatre.join("a", ALL)
        theatre.pump()
        assert (reader.got, theatre.shard.rest_us(theatre.now_us)) == ([1], 0)
        reader.unsent_bytes = POLICY.unsent_bytes + 1
        theatre.pump()
        assert theatre.shard.rest_us(theatre.now_us) == FIRST_REST_US
        theatre.now_us += 3_600 * S_US
        reader.unsent_bytes -= 1
        theatre.readers["a"].unsent_bytes = POLICY.unsent_bytes + 1
        theatre.pump()
        assert theatre.shard.rest_us(theatre.now_us + 1_000) <= PACE_US

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
        theatre.now_us += LONGEST_REST_US
        theatre.pump()
        assert (reader.got, reader.closed) == ([1, "ConsumerTooSlow"], "ConsumerTooSlow")
        assert len(theatre.shard) == 0

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
        theatre.now_us += LONGEST_REST_US
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


COMMIT = Happening("#commit", "did:plc:a", ("app.a/1",))
LINES = Channel(Wire.LINES)


def wanting(**fields: Any) -> Channel:
    return Channel(filter=Filter(**fields))


class TestChannels:
    def test_readers_of_one_channel_share_one_command_and_channels_get_what_is_theirs(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        of_b = wanting(dids=frozenset(["did:plc:b"]))
        readers = {
            "a": theatre.join("a"),
            "b": theatre.join("b", channel=of_b),
            "c": theatre.join("c", channel=LINES),
            "d": theatre.join("d", channel=LINES._replace(wire=Wire.ZSTD_LINES)),
            "e": theatre.join("e", channel=of_b),
        }
        two = Happening("#commit", "did:plc:b", ("app.a/1", "app.b/2"))
        batch = theatre.append(1, 1, happenings=[COMMIT, two])
        commands = theatre.shard.batch(batch, NOW_US)
        assert commands == [
            Send(("a",), (2, 3), 200),
            Send(("c",), ["lines 2", "lines 3", "lines 4"], 30),
            Send(("d",), ["zstd 2", "zstd 3", "zstd 4"], 30),
            Send(("b", "e"), [3], 100),
        ]
        assert [reader.got for reader in readers.values()] == [[]] * 5

    def test_who_gets_nothing_stays_live_however_full_its_socket_is(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        reader = theatre.join("a", channel=wanting(dids=frozenset(["did:plc:b"])))
        reader.unsent_bytes = POLICY.unsent_bytes + 1
        theatre.publish(1)
        assert (reader.got, theatre.shard.behind) == ([], 0)

    @pytest.mark.parametrize(("cursor", "numbers"), [(10, [10, 11, 12, 20]), (11, [11, 12, 20]), (12, [12, 20])])
    def test_a_cursor_within_an_event_leaves_out_what_lies_before_it(self, cursor: int, numbers: list[int]) -> None:
        theatre = Theatre()
        theatre.publish(5, 5, 10, happenings=[SYNC, COMMIT._replace(paths=("a.b/1", "a.b/2", "a.b/3")), SYNC])
        reader = theatre.join("a", Start(cursor, strict=True), LINES)
        theatre.run()
        assert reader.got == [f"lines {number}" for number in numbers]
        assert theatre.shard.behind == 0

    def test_a_cursor_a_little_beyond_the_head_repeats_nothing(self) -> None:
        theatre = Theatre()
        theatre.publish(1_000)
        reader = theatre.join("a", Start(1_005, strict=True), LINES)
        theatre.pump()
        assert not theatre.shard.is_pumping
        theatre.publish(2, 2)
        theatre.publish(2)
        theatre.publish(2)
        assert reader.got == ["lines 1006", "lines 1008"]
        assert theatre.shard.behind == 0

    def test_a_cursor_in_the_future_may_be_live(self) -> None:
        theatre = Theatre()
        start = Start(1_000, future=True, live_if_future=True)
        unfed = theatre.join("a", start, LINES)
        theatre.append(5)
        theatre.feed_head()
        theatre.pump()
        fed = theatre.join("b", start, LINES)
        theatre.publish(1)
        assert unfed.got == fed.got == ["FutureCursor", "lines 6"]
        assert (unfed.closed, theatre.shard.behind) == ("", 0)

    def test_a_doubt_about_an_operation_ends_when_the_feed_tells(self) -> None:
        theatre = Theatre()
        reader = theatre.join("a", Start(300, future=True, live_if_future=True), LINES)
        theatre.append(400)
        theatre.feed_head()
        theatre.run()
        assert reader.got == ["lines 400"]

    def test_messages_that_are_too_large_are_left_out(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        readers = [theatre.join(str(size), ALL, LINES._replace(max_bytes=size)) for size in (9, 10)]
        theatre.run()
        theatre.publish(1)
        assert [reader.got for reader in readers] == [[], ["lines 1", "lines 2"]]

    def test_where_nothing_passes_a_reader_gets_on_at_once(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        theatre.publish(1)
        reader = theatre.join("a", ALL, wanting(dids=frozenset(["did:plc:b"])))
        theatre.pump()
        assert (theatre.shard.moved, theatre.shard.behind) == (True, 1)
        theatre.pump()
        assert (theatre.shard.behind, reader.got) == (0, [])
        theatre.pump()
        assert not theatre.shard.moved

    def test_what_cannot_match_is_passed_and_a_hole_behind_it_is_told(self) -> None:
        theatre = Theatre(POLICY._replace(ring_bytes=1))
        theatre.append(10)
        theatre.append(10)
        theatre.append(10, happenings=[COMMIT])
        theatre.feed_head()
        reader = theatre.join("a", Start(5), wanting(collections=frozenset(["app.a"]), kinds=frozenset(["#commit"])))
        theatre.pump()
        theatre.serve("a")
        theatre.deliver("a")
        theatre.forget(2)
        theatre.run()
        assert reader.got == ["OutdatedCursor", 30]

    def test_what_is_rendered_in_one_turn_is_bounded_and_everybody_has_a_turn(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        theatre.publish(1_000, 1, 1, 1, frame_bytes=RENDERED_BYTES)
        readers = [theatre.join(name, Start(1_000), LINES) for name in "abc"]
        counts = []
        for _ in range(6):
            theatre.pump()
            counts.append([len(reader.got) for reader in readers])
        assert counts == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2]]

    def test_so_is_what_is_looked_through_for_filters_that_let_nothing_pass(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        theatre.publish(*[1] * (RENDERED_BYTES // LOOKED_BYTES // 2))
        for name in "abcde":
            theatre.join(name, Start(2), wanting(dids=frozenset([f"did:plc:of_{name}"])))
        theatre.join("like_a", Start(2), wanting(dids=frozenset(["did:plc:of_a"])))
        behind = []
        for _ in range(3):
            theatre.pump()
            behind.append(theatre.shard.behind)
        assert behind == [4, 2, 0]


class TestChanges:
    B = wanting(dids=frozenset(["did:plc:b"]))
    MIX = (COMMIT, COMMIT._replace(did="did:plc:b"))

    def test_a_live_reader_gets_what_it_wants_from_then_on(self) -> None:
        theatre = Theatre()
        theatre.publish(1)
        reader = theatre.join("a")
        theatre.publish(1, 1, happenings=self.MIX)
        theatre.shard.change("a", self.B)
        theatre.publish(1, 1, happenings=self.MIX)
        theatre.shard.change("a", FIREHOSE)
        theatre.publish(1)
        assert reader.got == [2, 3, 5, 6]

    def test_a_reader_that_is_behind_goes_on_where_it_is(self) -> None:
        theatre = Theatre()
        theatre.publish(1, 1, 1, 1, frame_bytes=PART_BYTES // 2, happenings=self.MIX * 2)
        reader = theatre.join("a", ALL)
        theatre.pump()
        theatre.shard.change("a", self.B)
        theatre.run()
        assert reader.got == [1, 2, 4]

    def test_what_was_asked_for_by_the_former_filter_is_asked_again(self) -> None:
        """The answer passed what the new filter wants."""
        theatre = Theatre()
        theatre.append(1, happenings=[COMMIT])
        theatre.append(1, happenings=self.MIX[1:])
        theatre.feed_head()
        reader = theatre.join("a", ALL, self.B)
        theatre.pump()
        theatre.serve("a")
        theatre.shard.change("a", FIREHOSE)
        theatre.deliver("a")
        theatre.run()
        assert reader.got == [1, 2]

    def test_who_waits_for_the_feed_may_change_too(self) -> None:
        theatre = Theatre()
        reader = theatre.join("a")
        theatre.shard.change("a", self.B)
        theatre.shard.change("nobody", self.B)
        theatre.publish(1, 1, happenings=self.MIX)
        assert reader.got == [2]


class TestSleep:
    @pytest.mark.parametrize("channel", [FIREHOSE, LINES])
    def test_who_waited_for_its_number_goes_on_waiting(self, channel: Channel) -> None:
        theatre = Theatre()
        theatre.publish(1_000)
        theatre.join("a", Start(1_005, strict=True), channel)
        theatre.pump()
        assert not theatre.shard.is_pumping
        theatre.shard = theatre.new_shard()
        theatre.feed_head()
        theatre.shard.resume("a", channel, 1_005, theatre.now_us)
        assert not theatre.shard.is_pumping
        theatre.publish(2, 2)
        theatre.publish(2)
        theatre.run()
        assert [str(each)[-4:] for each in theatre.readers["a"].got] == ["1006"]
        theatre.publish(2, 2)
        assert [str(each)[-4:] for each in theatre.readers["a"].got] == ["1006", "1008", "1010"]


DIDS = st.sampled_from(["did:plc:a", "did:plc:b"])
PATHS = st.lists(st.sampled_from(["app.a/1", "app.b/1", "com.c/1"]), max_size=3).map(tuple)
HAPPENINGS = st.builds(Happening, st.just("#commit"), DIDS, PATHS) | st.builds(
    Happening, st.sampled_from(["#sync", "#identity", "#account"]), DIDS, st.just(())
)
FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(["#commit", "#sync", "#identity"]), max_size=2),
    st.frozensets(st.sampled_from(["did:plc:a", "did:plc:b", "did:plc:c"]), max_size=2),
    st.frozensets(st.sampled_from(["app.a", "com.c", "net.d"]), max_size=2),
    st.sampled_from([(), ("app.",), ("com.", "net.")]),
)
CHANNELS = st.just(FIREHOSE) | st.builds(Channel, st.sampled_from(Wire), FILTERS, st.sampled_from([0, 0, 9, 10]))


class Expected(NamedTuple):
    """Where a reader of the random play begins, None until the feed tells, and what it gets."""

    cursor: int | None
    strict: bool
    channel: Channel
    is_live: bool
    """It had no cursor, and gets whole events."""


@given(st.data(), st.booleans(), st.sampled_from([1, 2_000, 10**7]))
def test_every_reader_gets_its_messages_once_and_in_order(data: st.DataObject, blind: bool, ring_bytes: int) -> None:
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
        *("append", "append", "skip", "lose", "reconnect", "forget", "join", "join", "leave", "sleep"),
        *("pump", "pump", "serve", "deliver", "fail", "drain"),
    )

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.events: list[tuple[int, Happening]] = []
        self.expected: dict[str, Expected] = {}
        self.starts: dict[str, int] = {}
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
        happenings = data.draw(st.lists(HAPPENINGS, min_size=1, max_size=4))
        width = len(self.events[-1][1].paths) if self.events else 1
        distances = []
        for happening in happenings:
            distances.append(max(1, width) - 1 + data.draw(st.integers(1, 4)))
            width = len(happening.paths)
        frame_bytes = data.draw(st.sampled_from([100, 200_000, 600_000]))
        batch = self.theatre.append(*distances, frame_bytes=frame_bytes, happenings=happenings)
        self.events += zip(batch.head.seqs, happenings, strict=True)
        return batch

    def lose(self, _: st.DataObject) -> None:
        self.has_feed = False
        self.theatre.shard.feed_lost()

    def reconnect(self, _: st.DataObject) -> None:
        self.has_feed = True
        self.theatre.feed_head()
        self.settle(self.theatre.last_seq + 1)

    def sleep(self, _: st.DataObject) -> None:
        """The shard loses its memory, which it may when nothing is under way."""
        theatre, head = self.theatre, self.theatre.shard.head
        if not self.has_feed or head is None or theatre.shard.is_pumping or theatre.reads or theatre.answers:
            return
        theatre.shard = theatre.new_shard()
        theatre.shard.feed_head(head, theatre.now_us)
        for name, expected in self.expected.items():
            theatre.shard.resume(name, expected.channel, self.starts[name], theatre.now_us)

    def settle(self, cursor: int) -> None:
        """Live readers that joined without a feed begin here."""
        for name, expected in self.expected.items():
            if expected.cursor is None:
                self.expected[name] = expected._replace(cursor=cursor)

    def forget(self, data: st.DataObject) -> None:
        self.theatre.forget(data.draw(st.integers(1, 3)))

    def join(self, data: st.DataObject) -> None:
        name, self.joined = f"reader {self.joined}", self.joined + 1
        head, channel = self.theatre.shard.head, data.draw(CHANNELS)
        cursor = data.draw(st.none() | st.integers(1, self.theatre.last_seq + 6))
        strict = cursor is not None and data.draw(st.booleans())
        live = None if head is None or not self.has_feed else head + 1
        self.expected[name] = Expected(
            live if cursor is None else cursor, strict or cursor is None, channel, cursor is None
        )
        self.starts[name] = cursor or 0
        self.theatre.join(name, Start(cursor, strict=strict), channel)

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

    def wanted(self, expected: Expected) -> dict[int | str, int]:
        """The messages that a reader must get, in order, each with the number of its event: a slow twin."""
        wire, (kinds, dids, collections, prefixes), max_bytes = expected.channel
        messages: dict[int | str, int] = {}
        if expected.cursor is None:
            return messages
        for seq, (kind, did, paths) in self.events:
            if (kinds and kind not in kinds) or (dids and did not in dids):
                continue
            passing = [
                index
                for index, path in enumerate(paths)
                if not (collections or prefixes)
                or path.split("/")[0] in collections
                or any(path.startswith(prefix) for prefix in prefixes)
            ]
            is_open = not (collections or prefixes) or kind != "#commit"
            if wire is Wire.FRAMES:
                if seq >= expected.cursor and (passing or is_open):
                    messages[seq] = seq
                continue
            for index in passing if paths else [0] * is_open:
                first = seq if expected.is_live else seq + index
                if first >= expected.cursor and not 0 < max_bytes < 10:
                    messages[f"{wire} {seq + index}"] = seq
        return messages

    def check(self) -> None:
        missing = self.theatre.missing_up_to
        for name, expected in self.expected.items():
            reader, wanted = self.theatre.readers[name], self.wanted(expected)
            assert reader.closed == ""
            got = set(reader.messages)
            assert reader.messages == [each for each in wanted if each in got], "once, and in order"
            assert all(seq <= missing for each, seq in wanted.items() if each not in got), "only what is forgotten"
            self.check_holes(reader.got, list(wanted), strict=expected.strict)
        waiting = [
            cursor for cursor, *_ in self.expected.values() if cursor is not None and cursor > self.theatre.last_seq + 1
        ]
        assert self.theatre.shard.behind == len(waiting), "who has everything is live"

    def check_holes(self, got: list[int | str], wanted: list[int | str], *, strict: bool) -> None:
        """Between two messages with a hole between them stands a word about it."""
        at, told, is_first = 0, False, True
        for each in got:
            if each == "OutdatedCursor":
                told = True
                continue
            is_hole = wanted[at] != each
            assert told or not is_hole or (is_first and not strict), f"a hole before {each}"
            at, told, is_first = wanted.index(each) + 1, False, False
