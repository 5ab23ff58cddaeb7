from __future__ import annotations

import asyncio

import pytest

from edgerelay_dev.network.log import Batch, EventLog
from edgerelay_dev.network.websocket import Opcode

MUCH = 1 << 20


def filled(count: int) -> EventLog:
    log = EventLog()
    for _ in range(count):
        log.append(lambda seq: b"frame %d" % seq)
    return log


def test_numbers_start_at_1_and_grow() -> None:
    log = filled(3)
    assert [message.seq for message in log.messages] == [1, 2, 3]
    assert (log.newest, log.live_edge, log.forgotten) == (3, 3, 0)


def test_first_number_can_be_chosen_but_not_after_a_reset() -> None:
    log = EventLog(first_seq=1_000)
    assert (log.newest, log.append(lambda _: b"").seq) == (999, 1_000)
    log.reset()
    assert log.append(lambda _: b"").seq == 1


def test_read_goes_on_behind_the_number_given() -> None:
    assert filled(3).read(1, MUCH) == Batch(b"\x82\x07frame 2\x82\x07frame 3", 3, 2)
    assert filled(3).read(3, MUCH) is None


def test_read_stops_at_the_size_given_but_returns_something() -> None:
    log = filled(3)
    assert log.read(0, 1) == Batch(b"\x82\x07frame 1", 1, 1)
    assert log.read(0, 8) == Batch(b"\x82\x07frame 1\x82\x07frame 2", 2, 2)


def test_text_message_has_its_own_opcode() -> None:
    log = EventLog()
    log.append(lambda _: b"text", Opcode.TEXT)
    assert log.messages[0].wire == b"\x81\x04text"


def test_forgotten_messages_are_no_longer_read() -> None:
    log = filled(5)
    log.forget(2)
    assert log.forgotten == 2
    batch = log.read(0, MUCH)
    assert batch is not None
    assert (batch.frames, batch.last_seq) == (3, 5)


def test_forgetting_nothing_changes_nothing() -> None:
    log = EventLog()
    log.forget(3)
    assert log.forgotten == 0


def test_log_keeps_to_its_retention() -> None:
    log = EventLog(retention_bytes=1_000)
    for _ in range(200):
        log.append(lambda _: bytes(50))
    kept = sum(len(message.frame) for message in log.messages)
    assert 800 <= kept <= 1_000
    assert log.messages[0].seq == log.forgotten + 1
    assert log.newest == 200


def test_purge_leaves_a_gap() -> None:
    log = filled(3)
    log.purge(lambda message: message.seq == 2)
    assert [message.seq for message in log.messages] == [1, 3]
    assert log.append(lambda seq: b"").seq == 4


def test_skip_leaves_a_gap_at_the_end() -> None:
    log = filled(1)
    log.skip(10)
    assert log.append(lambda seq: b"").seq == 12


def test_reset_starts_over() -> None:
    log = filled(3)
    log.forget(1)
    log.reset()
    assert (log.messages, log.newest, log.forgotten) == ([], 0, 0)
    assert log.append(lambda seq: b"").seq == 1


async def test_wait_returns_when_something_is_appended() -> None:
    log = filled(1)
    await log.wait(0)
    waiting = asyncio.ensure_future(log.wait(1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.01)
    log.append(lambda seq: b"")
    await asyncio.wait_for(waiting, 5)
