"""Reads of a shard: one at a time, once for all who want the same, and with rests between them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.shard_commands import History, Read
from edgerelay.runtime.history_reads import LIVE_US, LONGEST_REST_US, SHORTEST_REST_US, WORK_US, HistoryReads
from tests.coroutines import finished


class Block:
    """Events 10, 11, …, 19, or the next ten."""

    size_bytes = 1

    def __init__(self, cursor: int) -> None:
        first = cursor // 10 * 10
        seqs = tuple(range(first, first + 10))
        self.head = BatchHead(first - 1, seqs, ("#sync",) * 10, (1,) * 10, ("",) * 10, ((),) * 10, (), b"")


class Rig:
    """Reads, of which some fail, and what came of them."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.found: list[str] = []
        self.answers: list[str] = []
        self.at_once = self.most_at_once = 0
        self.tasks: list[Coroutine[Any, Any, None]] = []
        self.now_us = 10**9
        self.head = 0
        self.gone: set[str] = set()
        self.reads = HistoryReads(self.find, self.answer, self, self.clock, self.tasks.append)

    def awaits(self, read: Read) -> bool:
        return read.reader not in self.gone

    def clock(self) -> int:
        self.now_us += 1_000
        return self.now_us

    async def find(self, read: Read) -> History[Block] | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.found.append(read.reader)
        return None if read.reader == self.failing else History(Block(read.cursor), 0)

    def answer(self, read: Read, history: History[Block]) -> None:
        assert history.batch is not None
        assert history.batch.head.prev_seq < read.cursor <= history.batch.head.last_seq
        self.answers.append(read.reader)

    def run(self) -> None:
        while self.tasks:
            finished(self.tasks.pop())


def test_a_block_is_read_once_for_all_who_stand_in_it() -> None:
    rig = Rig()
    for name, cursor in ("a", 12), ("b", 25), ("c", 19), ("d", 10):
        rig.reads.ask(Read(name, cursor, FIREHOSE))
    rig.reads.ask(Read("e", 15, Channel(Wire.LINES)))
    assert len(rig.tasks) == 1
    rig.run()
    assert (rig.found, rig.answers, rig.most_at_once) == (["a", "b", "e"], ["a", "d", "c", "b", "e"], 1)


def test_who_stands_just_outside_of_what_was_read_is_read_for() -> None:
    rig = Rig()
    for name, cursor in ("a", 12), ("b", 9), ("c", 20):
        rig.reads.ask(Read(name, cursor, FIREHOSE))
    rig.run()
    assert (rig.found, rig.answers) == (["a", "b", "c"], ["a", "b", "c"])


def test_who_waits_longest_is_read_for_first_and_the_waits_at_one_place_count_together() -> None:
    rig = Rig()
    for name, cursor in ("a", 52), ("b", 32), ("c", 12), ("d", 12):
        rig.reads.ask(Read(name, cursor, FIREHOSE))
        rig.now_us += 10_000
    rig.now_us += 20_000
    rig.run()
    assert (rig.found, rig.answers) == (["c", "a", "b"], ["c", "d", "a", "b"])


def test_who_comes_while_others_are_read_for_waits_for_the_same_task() -> None:
    rig = Rig()
    late = [Read("d", 13, FIREHOSE), Read("c", 25, FIREHOSE)]
    told = rig.answer

    def answer(read: Read, history: History[Block]) -> None:
        told(read, history)
        if late:
            rig.reads.ask(late.pop())

    rig.reads = HistoryReads(rig.find, answer, rig, rig.clock, rig.tasks.append)
    rig.reads.ask(Read("a", 12, FIREHOSE))
    rig.reads.ask(Read("b", 32, FIREHOSE))
    assert len(rig.tasks) == 1
    finished(rig.tasks.pop())
    assert (rig.found, rig.most_at_once, rig.tasks) == (["a", "b", "c", "d"], 1, [])


def test_lines_of_the_archive_are_shared_only_by_who_stands_before_their_first_event() -> None:
    """A cursor within the block may lie within an event, some of whose lines its reader has had."""
    head = Block(12).head
    block = LineBlock(head, first_seq=12, lines=[b""] * 10, size_bytes=0)
    found: list[str] = []
    answers: list[str] = []
    tasks: list[Coroutine[Any, Any, None]] = []

    async def find(read: Read) -> History[LineBlock]:
        found.append(read.reader)
        return History(block, 0)

    reads = HistoryReads(find, lambda read, _: answers.append(read.reader), Rig(), lambda: 10**9, tasks.append)
    for name, cursor in ("a", 10), ("b", 12), ("c", 13), ("d", 11):
        reads.ask(Read(name, cursor, Channel(Wire.LINES)))
    finished(tasks.pop())
    assert (found, answers) == (["a", "c"], ["a", "d", "b", "c"])


def test_who_comes_when_all_was_read_is_read_for() -> None:
    rig = Rig()
    for name in "ab":
        rig.reads.ask(Read(name, 12, FIREHOSE))
        rig.run()
    assert rig.answers == ["a", "b"]


def test_nothing_is_read_for_who_has_left() -> None:
    rig = Rig()
    for name, cursor in ("a", 12), ("b", 22), ("c", 32):
        rig.reads.ask(Read(name, cursor, FIREHOSE))
    rig.gone |= {"a", "b"}
    rig.run()
    assert (rig.found, rig.answers) == (["c"], ["c"])


@pytest.mark.parametrize("cursor", [12, 13, 32])
def test_one_that_fails_holds_up_nobody(cursor: int) -> None:
    rig = Rig(failing="a")
    rig.reads.ask(Read("a", 12, FIREHOSE))
    rig.reads.ask(Read("b", cursor, FIREHOSE))
    rig.run()
    assert (rig.found, rig.answers) == (["a", "b"], ["b"])


def test_an_answer_without_a_batch_is_for_whoever_asked_only() -> None:
    """What is not there for one is asked for again for the next, whose filter may be another."""
    answers: list[str] = []
    tasks: list[Coroutine[Any, Any, None]] = []

    async def find(_: Read) -> History[Block]:
        answers.append("read")
        return History(None, 0)

    reads = HistoryReads(find, lambda read, _: answers.append(read.reader), Rig(), lambda: 10**9, tasks.append)
    for name in "ab":
        reads.ask(Read(name, 12, FIREHOSE))
    finished(tasks.pop())
    assert answers == ["read", "a", "read", "b"]


@pytest.mark.parametrize(
    ("took_us", "age_us", "rest_us"),
    [
        (0, 0, SHORTEST_REST_US),
        (5_000, 0, 5_000),
        (-30_000, 0, SHORTEST_REST_US),
        (10**7, 0, LONGEST_REST_US),
        (5_000, LIVE_US + 1, SHORTEST_REST_US),
    ],
)
def test_the_rest_is_as_long_as_the_read_while_the_stream_is_live(took_us: int, age_us: int, rest_us: int) -> None:
    rig = Rig()
    rig.head = rig.now_us + 1_000 - age_us
    assert rig.reads._rest_us(rig.now_us + 1_000 - took_us) == rest_us


def test_one_reader_alone_has_few_rests_while_nothing_is_live() -> None:
    rig = Rig()
    rests = [rig.reads._rest_us(rig.now_us)]
    rig.reads.ask(Read("a", 12, FIREHOSE))
    rig.run()
    rests.append(rig.reads._rest_us(rig.now_us))
    rig.now_us += WORK_US
    rests.append(rig.reads._rest_us(rig.now_us))
    assert rests == [SHORTEST_REST_US, 0, SHORTEST_REST_US]
