"""What of a batch goes to a channel: in one go, or part by part, it is the same."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from edgerelay.archive.batch import BatchHead
from edgerelay.relay.channel import FIREHOSE, Channel, Message, Wire
from edgerelay.relay.delivery import (
    LOOKED_BYTES,
    PART_BYTES,
    REMEMBERED_BATCHES,
    RENDERED_BYTES,
    Delivery,
    hides_nothing,
)
from edgerelay.relay.filters import Filter


class Frames(NamedTuple):
    head: BatchHead
    size_bytes: int
    frames: tuple[str, ...]


def batch_of(count: int, frame_bytes: int = 100, first_seq: int = 10) -> Frames:
    seqs = tuple(range(first_seq, first_seq + 10 * count, 10))
    paths = tuple([(f"app.{number % 2}/k", "com.b/k") for number in range(count)])
    head = BatchHead(
        first_seq - 1, seqs, ("#commit",) * count, (frame_bytes,) * count, ("did:plc:a",) * count, paths, (), b""
    )
    return Frames(head, count * frame_bytes, tuple([f"frame {seq}" for seq in seqs]))


class Renderer:
    """Two messages for each event."""

    def __init__(self) -> None:
        self.rendered: list[int] = []

    def __call__(self, wire: Wire, batch: Frames, index: int) -> tuple[list[Message], bool]:
        seq = batch.head.seqs[index]
        is_new = seq not in self.rendered
        self.rendered += [seq] * is_new
        return [Message(number, 7, f"{wire} {number}") for number in (seq, seq + 1)], is_new


ODD = Channel(Wire.LINES, Filter(collections=frozenset(["app.1"])))
ALL = ODD._replace(filter=Filter())
CHANNELS = [FIREHOSE, FIREHOSE._replace(filter=ODD.filter), ODD, ALL, ODD._replace(max_bytes=6)]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("frame_bytes", [100, PART_BYTES // 2, PART_BYTES])
def test_the_parts_are_the_whole(channel: Channel, frame_bytes: int) -> None:
    delivery, batch = Delivery(Renderer(), hides_nothing), batch_of(7, frame_bytes)
    whole, size_bytes = Delivery(Renderer(), hides_nothing).whole(channel, batch)
    sent: list[str] = []
    sizes, cursor, is_last = 0, 0, False
    while not is_last:
        part = delivery.part(channel, batch, cursor, 0)
        sent += part.messages
        assert cursor < part.cursor
        assert part.rendered_bytes <= RENDERED_BYTES + frame_bytes + LOOKED_BYTES * 7
        sizes, cursor, is_last = sizes + part.size_bytes, part.cursor, part.is_last
    assert (sent, sizes, cursor) == (list(whole), size_bytes, 71)


def test_the_firehose_gets_the_frames_as_they_are() -> None:
    renderer, batch = Renderer(), batch_of(3)
    assert Delivery(renderer, hides_nothing).whole(FIREHOSE, batch)[0] is batch.frames
    assert renderer.rendered == []


def test_only_what_passes_is_rendered() -> None:
    renderer = Renderer()
    messages, size_bytes = Delivery(renderer, hides_nothing).whole(ODD, batch_of(4))
    assert (renderer.rendered, messages, size_bytes) == ([20, 40], ["lines 20", "lines 40"], 14)


def test_what_lies_before_the_first_number_is_left_out() -> None:
    part = Delivery(Renderer(), hides_nothing).part(ALL, batch_of(2), 0, 11)
    assert part.messages == ["lines 11", "lines 20", "lines 21"]


def test_of_a_packed_message_of_v2_the_limit_is_for_what_is_inside() -> None:
    def packed(wire: Wire, batch: Frames, index: int) -> tuple[list[Message], bool]:
        return [Message(batch.head.seqs[index], 3, "packed", unpacked_bytes=7)], True

    delivery = Delivery(packed, hides_nothing)
    found = {limit: delivery.whole(Channel(Wire.ZSTD_EVENTS, max_bytes=limit), batch_of(1)) for limit in (5, 7)}
    assert found == {5: ([], 0), 7: (["packed"], 3)}


def test_a_batch_of_the_same_numbers_is_not_taken_for_the_former_one() -> None:
    delivery, batch = Delivery(Renderer(), hides_nothing), batch_of(2)
    assert delivery.whole(ODD, batch)[0] == ["lines 20"]
    other = batch._replace(head=batch.head._replace(paths=(("app.1/k",), ("app.0/k",))))
    assert delivery.whole(ODD, other)[0] == ["lines 10", "lines 11"]


def test_few_batches_are_remembered() -> None:
    delivery = Delivery(Renderer(), hides_nothing)
    for number in range(3 * REMEMBERED_BATCHES):
        delivery.whole(ODD, batch_of(1, first_seq=10 + number))
    assert len(delivery._columns) == REMEMBERED_BATCHES


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_is_hidden_or_was_purged_is_live_and_never_read_back(channel: Channel) -> None:
    batch = batch_of(8)
    sizes = (100, 0, 100, 100, 0, 100, 100, 100)
    batch = batch._replace(head=batch.head._replace(frame_bytes=sizes))
    hidden = {3, 6}
    delivery = Delivery(Renderer(), lambda head: hidden if head is batch.head else ())
    live, _ = delivery.whole(channel, batch)
    part = delivery.part(channel, batch, 0, 0)
    gone = {str(batch.head.seqs[index]) for index in (1, 3, 4, 6)} | {str(batch.head.seqs[i] + 1) for i in (1, 3, 4, 6)}
    assert list(part.messages) == [message for message in live if message.split()[1] not in gone]


def test_what_others_had_rendered_costs_nothing() -> None:
    delivery, batch = Delivery(Renderer(), hides_nothing), batch_of(4, RENDERED_BYTES)
    first = delivery.part(ALL, batch, 0, 0)
    assert (first.rendered_bytes, first.is_last) == (RENDERED_BYTES + LOOKED_BYTES * 4, False)
    delivery.whole(ALL, batch)
    again = delivery.part(ALL, batch, 0, 0)
    assert (again.rendered_bytes, again.is_last) == (0, True)
