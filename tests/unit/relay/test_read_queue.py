"""Reads of history: where the waits together are the longest; and who stands within what was read."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.read_queue import ReadQueue
from edgerelay.relay.shard_commands import Read

LINES = Channel(Wire.LINES)
NOW_US = 1_795_000_000_000_000


def queue_of(*waiting: tuple[str, int, int]) -> ReadQueue:
    """Of those with these names, at these cursors, that have waited for so long."""
    queue = ReadQueue()
    for name, cursor, waited_us in waiting:
        queue.add(Read(name, cursor, FIREHOSE), NOW_US - waited_us)
    return queue


def next_of(queue: ReadQueue, now_us: int = NOW_US) -> str:
    read = queue.next(now_us)
    return read.reader if read is not None else ""


def names_of(queue: ReadQueue) -> str:
    return "".join(next_of(queue) for _ in range(len(queue)))


def test_nobody_waits() -> None:
    queue = ReadQueue()
    assert (queue.next(NOW_US), queue.take(0, 10**18, has_lines=False), len(queue), bool(queue)) == (None, [], 0, False)


def test_who_waits_longest_is_first() -> None:
    assert names_of(queue_of(("a", 10, 5), ("b", 30, 9), ("c", 20, 7))) == "bca"


def test_the_waits_at_one_place_count_together() -> None:
    queue = queue_of(("a", 10, 7), ("b", 20, 4), ("c", 20, 4))
    assert next_of(queue) == "b"
    assert queue.take(20, 20, has_lines=False) == [Read("c", 20, FIREHOSE)]
    assert names_of(queue) == "a"


def test_those_who_want_lines_are_another_place() -> None:
    queue = queue_of(("a", 10, 7), ("b", 20, 4))
    queue.add(Read("c", 20, LINES), NOW_US - 4)
    assert names_of(queue) == "abc"


def test_all_wires_without_lines_are_one_place() -> None:
    queue = queue_of(("a", 10, 7), ("b", 20, 4))
    queue.add(Read("c", 20, Channel(Wire.EVENTS)), NOW_US - 4)
    assert next_of(queue) == "b"


def test_of_equal_waits_the_lowest_is_first() -> None:
    assert names_of(queue_of(("c", 30, 5), ("a", 10, 5), ("b", 20, 5))) == "abc"


def test_who_came_first_at_a_place_is_first() -> None:
    assert names_of(queue_of(("a", 7, 3), ("b", 7, 2), ("c", 7, 1))) == "abc"


def test_one_alone_waits_as_long_as_many_together() -> None:
    """There are always three at one place, that come back as soon as they were read for."""
    queue, turns = queue_of(("z", 30, 0), ("a", 20, 0), ("b", 20, 0), ("c", 20, 0)), []
    for second in range(1, 6):
        read = queue.next(NOW_US + second)
        assert read is not None
        served = [read, *queue.take(read.cursor, read.cursor, has_lines=False)]
        turns.append("".join(each.reader for each in served))
        for each in served:
            if each.reader != "z":
                queue.add(each, NOW_US + second)
    assert turns == ["abc", "abc", "abc", "z", "abc"]


def test_who_stands_within_what_was_read_is_taken() -> None:
    queue = queue_of(("a", 9, 0), ("d", 21, 0), ("c", 20, 9), ("b", 10, 0), ("f", 20, 1))
    queue.add(Read("e", 15, LINES), NOW_US)
    assert [each.reader for each in queue.take(10, 20, has_lines=False)] == ["b", "c", "f"]
    assert [each.reader for each in queue.take(10, 20, has_lines=True)] == ["e"]
    assert (len(queue), names_of(queue), bool(queue)) == (2, "ad", False)


class Entry(NamedTuple):
    read: Read
    since_us: int

    @property
    def place(self) -> tuple[int, bool]:
        return self.read.cursor, self.read.channel.wire.has_lines


class Twin:
    """The same by looking at everybody each time."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, read: Read, now_us: int) -> None:
        self.entries.append(Entry(read, now_us))

    def next(self, now_us: int) -> Read | None:
        waited_us: dict[tuple[int, bool], int] = {}
        for entry in self.entries:
            waited_us[entry.place] = waited_us.get(entry.place, 0) + now_us - entry.since_us
        if not waited_us:
            return None
        longest_us = max(waited_us.values())
        place = min(place for place, us in waited_us.items() if us == longest_us)
        first = next(entry for entry in self.entries if entry.place == place)
        self.entries.remove(first)
        return first.read

    def take(self, first_seq: int, last_seq: int, *, has_lines: bool) -> list[Read]:
        taken = [entry for entry in self.entries if first_seq <= entry.place[0] <= last_seq]
        taken = [entry for entry in taken if entry.place[1] == has_lines]
        self.entries = [entry for entry in self.entries if entry not in taken]
        return [entry.read for entry in sorted(taken, key=lambda entry: entry.place)]


CHANNELS = st.sampled_from([FIREHOSE, Channel(Wire.EVENTS), LINES, Channel(Wire.ZSTD_LINES)])
ADDS = st.tuples(st.integers(0, 6), CHANNELS)
TAKES = st.tuples(st.integers(0, 6), st.integers(-1, 6), st.booleans())


@given(st.lists(st.tuples(st.one_of(ADDS, ADDS, TAKES, st.none()), st.integers(-3, 9)), max_size=40))
def test_it_is_what_looking_at_everybody_would_tell(
    steps: list[tuple[tuple[int, Channel] | tuple[int, int, bool] | None, int]],
) -> None:
    """Whatever the clock does."""
    queue, twin, now_us = ReadQueue(), Twin(), NOW_US
    for number, (step, passed_us) in enumerate(steps):
        now_us += passed_us
        if step is None:
            assert queue.next(now_us) == twin.next(now_us)
        elif len(step) == 2:
            cursor, channel = step
            for each in queue, twin:
                each.add(Read(str(number), cursor, channel), now_us)
        else:
            first_seq, count, has_lines = step
            taken = queue.take(first_seq, first_seq + count, has_lines=has_lines)
            assert taken == twin.take(first_seq, first_seq + count, has_lines=has_lines)
        assert (len(queue), bool(queue)) == (len(twin.entries), bool(twin.entries))
    for _ in range(len(queue) + 1):
        assert queue.next(now_us) == twin.next(now_us)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10_000)), min_size=1, max_size=6),
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.integers(1, 1_000),
    st.booleans(),
)
def test_everybody_has_a_turn_soon(
    readers: list[tuple[int, int]], cursors: list[int], step_us: int, takes_others: bool
) -> None:
    """However those who had theirs come back, and however long the others had waited before.

    As long as somebody waits for t, whoever is read for stands where all have waited for t together, so that the first
    of them has waited for t / n. Nobody can do that more often than n times in t.
    """
    queue, now_us, count = ReadQueue(), NOW_US, len(readers)
    turn_of = dict.fromkeys(map(str, range(count)), 0)
    for name, (cursor, waited_us) in zip(turn_of, readers, strict=True):
        queue.add(Read(name, cursor, FIREHOSE), now_us - waited_us)
    most_turns = 2 * count * count
    for turn in range(1, 3 * most_turns + 1):
        now_us += step_us
        read = queue.next(now_us)
        assert read is not None
        served = [read, *(queue.take(read.cursor, read.cursor + 1, has_lines=False) if takes_others else [])]
        for each in served:
            turn_of[each.reader] = turn
            queue.add(each._replace(cursor=cursors[turn % len(cursors)]), now_us)
        assert turn - min(turn_of.values()) <= most_turns
