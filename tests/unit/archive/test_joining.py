"""Joined containers are what one writer would have written of all their blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import SealedBlock
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.archive.joining import JOINED_BLOCKS, Joining
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.errors import InvariantError
from tests.packing import HOUR_US, PLAIN, a_batch, container_of, jetstream_blocks, open_container


def chain(count: int, generation: int = 0) -> list[SealedBlock]:
    """Blocks of which each begins where the one before ends."""
    blocks: list[SealedBlock] = []
    for number in range(count):
        prev_seq = blocks[-1].facts.contents.last_seq if blocks else HOUR_US
        blocks.append(seal_batch(a_batch(prev_seq, [f"did:plc:{number % 3}"]), PLAIN, generation))
    return blocks


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_the_blocks_of_all_in_one(sizes: list[int]) -> None:
    blocks, joining, start = chain(sum(sizes)), Joining(10**6), 0
    for size in sizes:
        assert joining.take(open_container(container_of(blocks[start : start + size])))
        start += size
    assert len(joining) == len(sizes)
    joined = joining.finish()
    data = b"".join([joined.start, *[block.packed for block in blocks], joined.end])
    assert data == container_of(blocks)
    assert (joined.size_bytes, joined.index) == (len(data), open_container(data))
    assert joined.name(Folder.FIREHOSE) == ObjectName(Folder.FIREHOSE, joined.index.first_seq, joined.index.last_seq, 0)


def test_the_newest_generation_is_the_whole_ones() -> None:
    old, new = chain(2)
    joining = Joining(10**6)
    joining.take(open_container(container_of([old])))
    joining.take(open_container(container_of([new], generation=3)))
    assert joining.finish().index.generation == 3


def test_there_is_room_for_one_and_then_for_what_fits() -> None:
    first, second = [open_container(container_of([block])) for block in chain(2)]
    both = sum(index.blocks[0].facts.packed_bytes for index in (first, second))
    tight = Joining(1)
    assert tight.take(first)
    assert not tight.take(second)
    assert tight.finish().index.last_seq == first.last_seq
    exact = Joining(both)
    assert exact.take(first)
    assert exact.take(second)


def test_there_are_no_more_blocks_than_a_reader_wants_to_hold() -> None:
    blocks = chain(JOINED_BLOCKS + 1)
    most, one = open_container(container_of(blocks[:-1])), open_container(container_of(blocks[-1:]))
    joining = Joining(10**9)
    assert joining.take(most)
    assert not joining.take(one)


def test_a_hole_is_not_joined_nor_is_what_overlaps_or_is_of_another_stream() -> None:
    first, second, third = [open_container(container_of([block])) for block in chain(3)]
    joining = Joining(10**6)
    assert joining.take(first)
    for other in (third, first, open_container(container_of(jetstream_blocks(), Stream.JETSTREAM))):
        assert not joining.take(other)
    assert joining.take(second)
    assert joining.take(third)


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(InvariantError, match="nothing"):
        Joining(1).finish()
