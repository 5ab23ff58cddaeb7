"""Recovery: what the bucket alone tells. What a node makes of it is in `test_node`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from edgerelay.archive.batch import PositionFields
from edgerelay.archive.codec import ZlibCodec
from edgerelay.relay.position import PositionRow
from edgerelay.runtime import recovery as module
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.recovery import Recovered, recover
from tests.coroutines import finished, no_pause
from tests.histories import NOON_US, Past, batch_of


@pytest.fixture
def past() -> Iterator[Past]:
    created = Past()
    yield created
    created.close()


def recovered(past: Past) -> Recovered:
    codec = ZlibCodec()
    return finished(recover(past.objects, {codec.id: codec}, past.lines, no_pause))


def append(past: Past, *positions: PositionFields) -> None:
    """Fifteen events and the positions behind them: a group."""
    last_seq = past.log.last_seq or NOON_US
    past.log.append(batch_of(past.log.last_seq, range(last_seq + 1, last_seq + 16), *positions), NOON_US, 0)


def test_an_empty_bucket_tells_nothing(past: Past) -> None:
    assert recovered(past) == Recovered(0, {}, {}, (), {})


def test_the_newest_number_and_the_newest_position_of_each_host(past: Past) -> None:
    append(past, (2, 0, 5, (), 1, 0))
    append(past, (1, 3, 17, ((19, 20), (22, 22)), 1_000, 900))
    append(past, (1, 3, 30, ((32, 33),), 2_000, 0))
    past.archive_all()
    finished(Exports(past.objects).save_hosts({1: "wss://pds.test"}))
    found = recovered(past)
    assert found.last_seq == NOON_US + 45
    assert found.hosts == {1: "wss://pds.test"}
    assert found.positions == {
        1: PositionRow(1, 3, 30, ((32, 33),), 2_000, 0),
        2: PositionRow(2, 0, 5, (), 1, 0),
    }
    assert len(found.accounts) == 7
    assert {account.host_id for account in found.accounts} == {1}


def test_no_more_than_the_newest_blocks_are_read(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECALLED_BLOCKS", 2)
    append(past, (2, 0, 5, (), 1, 0))
    append(past, (1, 0, 17, (), 1_000, 0))
    past.archive_all()
    reads = past.objects.reads
    assert recovered(past).positions.keys() == {1}
    assert past.objects.reads - reads == 3, "an index and two blocks"


def test_others_may_run_between_two_blocks(past: Past) -> None:
    append(past)
    past.archive_all()
    pauses = 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1
        await asyncio.sleep(0)

    codec = ZlibCodec()
    finished(recover(past.objects, {codec.id: codec}, past.lines, pause))
    assert pauses == 3


def test_a_bucket_that_is_down_is_not_an_empty_one(past: Past) -> None:
    past.objects.problem = "down"
    with pytest.raises(ObjectStoreError):
        recovered(past)
