"""Messages of Jetstream: rendered once, whoever wants them, and kept within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from operator import is_
from typing import NamedTuple

import pytest

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.jetstream import render
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.archive.jetstream_v2 import render_events
from edgerelay.relay.channel import Channel, Message, Wire
from edgerelay.relay.cursor import Start
from edgerelay.relay.filters import Filter
from edgerelay.relay.shard import Shard, ShardPolicy
from edgerelay.relay.shard_commands import History, Read, Send
from edgerelay.runtime.lines import ENTRY_BYTES, LINES_BYTES, Lines
from edgerelay.runtime.memory import MemoryLog
from tests.oracle import frames

DID, REV = frames.did(1), frames.tid(2**60)


class Raw(NamedTuple):
    """A batch of frames."""

    head: BatchHead
    size_bytes: int
    frames: tuple[bytes, ...]


def batch_of(*raws: bytes, first_seq: int = frames.NOW_US) -> Raw:
    count = len(raws)
    seqs = tuple(range(first_seq, first_seq + count))
    head = BatchHead(first_seq - 1, seqs, ("#account",) * count, (1,) * count, (DID,) * count, ((),) * count, (), b"")
    return Raw(head, count, raws)


def account(seq: int) -> bytes:
    return frames.account(seq, DID)


class Rig:
    """Lines whose packing is a word before each, and what was asked of it."""

    def __init__(self, limit_bytes: int = LINES_BYTES) -> None:
        self.log = MemoryLog()
        self.looked_at = 0
        self.packed = 0
        self.lines: Lines[Raw] = Lines(self._frame, self._pack, lambda data: [data], self.log, limit_bytes)

    def _frame(self, batch: Raw, index: int) -> bytes:
        self.looked_at += 1
        return batch.frames[index]

    def _pack(self, line: bytes) -> bytes:
        self.packed += 1
        return b"packed " + line

    def all(self, wire: Wire, batch: Raw) -> list[Sequence[Message]]:
        return [self.lines.render(wire, batch, index)[0] for index in range(len(batch.frames))]


def test_a_message_is_a_line() -> None:
    [line] = render(account(frames.NOW_US)).lines
    batch = batch_of(account(frames.NOW_US))
    assert Rig().all(Wire.LINES, batch) == [(Message(frames.NOW_US, len(line.json), line.json.decode()),)]
    packed = b"packed " + line.json
    assert Rig().all(Wire.ZSTD_LINES, batch) == [(Message(frames.NOW_US, len(packed), [packed]),)]


def test_v2_has_its_own_messages() -> None:
    raw = frames.sync(frames.NOW_US, DID, REV)
    [event] = render_events(raw)
    batch = batch_of(raw)
    assert Rig().all(Wire.EVENTS, batch) == [(Message(frames.NOW_US, len(event.json), event.json),)]
    packed = b"packed " + event.json.encode()
    message = Message(frames.NOW_US, len(packed), [packed], unpacked_bytes=len(event.json))
    assert Rig().all(Wire.ZSTD_EVENTS, batch) == [(message,)]
    assert Rig().all(Wire.LINES, batch) == [()]


def test_everything_is_made_once_for_all_readers_and_wires() -> None:
    rig, batch = Rig(), batch_of(*[account(frames.NOW_US + number) for number in range(3)])
    for _ in range(5):
        rig.all(Wire.ZSTD_LINES, batch)
        rig.all(Wire.LINES, batch)
    assert (rig.looked_at, rig.packed) == (3, 3)
    for _ in range(5):
        rig.all(Wire.EVENTS, batch)
        rig.all(Wire.ZSTD_EVENTS, batch)
    assert (rig.looked_at, rig.packed) == (6, 6)
    assert not rig.lines.render(Wire.LINES, batch, 0)[1]
    assert Rig().lines.render(Wire.LINES, batch, 0)[1]


@pytest.mark.parametrize("count", [1, 200])
def test_what_is_rendered_and_packed_does_not_grow_with_the_readers(count: int) -> None:
    """Live ones and those who read back, of every wire, each with a filter of its own."""
    rig, events = Rig(), 5
    batch = batch_of(*[account(frames.NOW_US + number) for number in range(events)])
    shard: Shard[Raw] = Shard(ShardPolicy(10**6, 10**6, 10**6, 60), lambda _: 0, rig.lines.render)
    shard.feed_head(frames.NOW_US - 1, frames.NOW_US)
    for number, wire in product(range(count), Wire):
        wanted = Filter(dids=frozenset([DID, f"did:plc:other{number}"]))
        start = Start(frames.NOW_US) if number % 2 else Start(None)
        shard.join(f"{wire} {number}", start, frames.NOW_US, Channel(wire, wanted))
    sent = []
    commands = shard.batch(batch, frames.NOW_US)
    while commands:
        sent += [each for each in commands if isinstance(each, Send)]
        for each in commands:
            if isinstance(each, Read):
                assert shard.answer(each.reader, History(batch, 0)) == []
        commands = shard.pump(frames.NOW_US)
    assert sum(len(each.readers) * len(each.messages) for each in sent) == count * len(Wire) * events
    assert (rig.looked_at, rig.packed) == (2 * events, 2 * events), "for lines and for v2, and packed ones of both"
    for each in sent:
        if each.readers[0].startswith(Wire.FRAMES):
            assert all(map(is_, each.messages, batch.frames)), "frames are handed on, and not copied"


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    raws = [account(frames.NOW_US + number) for number in range(6)]
    [[message]] = Rig().all(Wire.LINES, batch_of(raws[0]))
    rig = Rig(3 * (ENTRY_BYTES + message.size_bytes))
    rig.all(Wire.LINES, batch_of(*raws))
    assert rig.lines.kept_bytes == 3 * (ENTRY_BYTES + message.size_bytes)
    rig.all(Wire.LINES, batch_of(*raws[3:], first_seq=frames.NOW_US + 3))
    assert rig.looked_at == 6
    rig.all(Wire.LINES, batch_of(raws[0]))
    assert rig.looked_at == 7


def test_one_that_is_larger_than_the_bound_is_made_each_time() -> None:
    rig, batch = Rig(1), batch_of(account(frames.NOW_US))
    assert rig.all(Wire.LINES, batch) == rig.all(Wire.LINES, batch) != [()]
    assert (rig.looked_at, rig.lines.kept_bytes) == (2, 0)


def test_what_is_damaged_is_logged_and_has_no_messages() -> None:
    rig = Rig()
    assert rig.all(Wire.ZSTD_LINES, batch_of(b"damaged", account(frames.NOW_US + 1)))[0] == ()
    ((seq, problem),) = [line.values() for line in rig.log.named("not_rendered")]
    assert (seq, problem) == (frames.NOW_US, "RenderError('a kept frame cannot be read: the header is not a map')")


def test_a_defect_costs_one_event_on_one_wire() -> None:
    log, batch = MemoryLog(), batch_of(account(frames.NOW_US))

    def packed(_: bytes) -> bytes:
        raise KeyError("a defect")

    lines: Lines[Raw] = Lines(lambda batch, index: batch.frames[index], packed, bytes, log)
    assert lines.render(Wire.ZSTD_LINES, batch, 0) == ((), True)
    assert [line["problem"] for line in log.named("not_rendered")] == ["KeyError('a defect')"]
    assert len(lines.render(Wire.LINES, batch, 0)[0]) == 1


def test_an_operation_without_a_line_is_logged_where_one_looks_for_it() -> None:
    rig = Rig()
    _, body = frames.parts(frames.commit(frames.NOW_US, DID, REV))
    operation = {"action": "create", "path": "a.b.c/self", "cid": frames.link(b"of a record that is not there")}
    assert rig.all(Wire.LINES, batch_of(frames.frame("#commit", {**body, "ops": [operation], "blocks": b""}))) == [()]
    (line,) = rig.log.lines
    assert line == ("debug", "lines_skipped", {"seq": frames.NOW_US, "reasons": ["bad_car"]})


def kept_lines(*raws: bytes, first_seq: int = frames.NOW_US) -> LineBlock:
    """A block of the lines of frames of accounts."""
    head = batch_of(*raws, first_seq=first_seq).head
    return LineBlock(head, first_seq, [render(raw).lines[0].json for raw in raws], 0)


class TestKeptLines:
    def test_they_are_sent_as_they_lie_there(self) -> None:
        rig, raw = Rig(), account(frames.NOW_US)
        rendered, _ = rig.lines.render(Wire.LINES, batch_of(raw), 0)
        kept_bytes = rig.lines.kept_bytes
        assert Rig().lines.render(Wire.LINES, kept_lines(raw), 0) == (list(rendered), False)
        assert rig.lines.render(Wire.LINES, kept_lines(raw), 0) == (list(rendered), False)
        assert (rig.looked_at, rig.lines.kept_bytes) == (1, kept_bytes)

    def test_they_are_packed_once(self) -> None:
        rig, block = Rig(), kept_lines(account(frames.NOW_US))
        packed, is_made = rig.lines.render(Wire.ZSTD_LINES, block, 0)
        assert [message.data for message in packed] == [[b"packed " + block.lines[0]]]
        assert is_made
        assert rig.lines.render(Wire.ZSTD_LINES, block, 0) == (packed, False)
        assert (rig.packed, rig.looked_at) == (1, 0)

    def test_a_line_is_not_taken_for_the_event_whose_number_it_has(self) -> None:
        rig, raw = Rig(), account(frames.NOW_US)
        _, body = frames.parts(frames.commit(frames.NOW_US, DID, REV))
        without = frames.frame("#commit", {**body, "blocks": b""})
        assert rig.lines.render(Wire.ZSTD_LINES, batch_of(without), 0)[0] == ()
        assert len(rig.lines.render(Wire.ZSTD_LINES, kept_lines(raw), 0)[0]) == 1
