"""The index of a container: what it says of the whole is what its blocks say, and a cursor finds its block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import BlockFacts, Contents
from edgerelay.archive.container_index import (
    MAX_COLLECTIONS,
    ByteRange,
    ContainerIndex,
    PlacedBlock,
    Stream,
    check_order,
    collections_table,
)
from edgerelay.archive.did_filter import DidFilter
from edgerelay.errors import InvariantError

FACTS = BlockFacts(2, 0, 100, 10, 0, Contents(5, 6, 9, (4,), ("a.b.c",), DidFilter.of("a"), ()))


def placed(offset: int, prev_seq: int, last_seq: int, **fields: object) -> PlacedBlock:
    contents = FACTS.contents._replace(prev_seq=prev_seq, first_seq=prev_seq + 1, last_seq=last_seq)
    return PlacedBlock(offset, FACTS._replace(contents=contents._replace(**fields)))  # type: ignore[arg-type] # any


BLOCKS = (
    placed(60, 5, 9),
    placed(70, 9, 20, collections=("d.e.f",), did_filter=DidFilter.of("bc")),
    placed(80, 25, 26, collections=()),
)
INDEX = ContainerIndex.of(Stream.FIREHOSE, 3, BLOCKS)


def test_the_whole_is_its_blocks_together() -> None:
    assert INDEX.header == (Stream.FIREHOSE, 3, 5, 6)
    assert (INDEX.prev_seq, INDEX.first_seq, INDEX.last_seq) == (5, 6, 26)
    assert INDEX.collections == ("a.b.c", "d.e.f")
    assert INDEX.did_filter == DidFilter.of("abc")
    assert INDEX.blocks == BLOCKS


def test_what_is_not_known_of_one_block_is_not_known_of_the_whole() -> None:
    index = ContainerIndex.of(Stream.FIREHOSE, 0, (*BLOCKS, placed(90, 26, 30, collections=None, did_filter=None)))
    assert (index.collections, index.did_filter) == (None, None)
    assert index.blocks[:3] == BLOCKS


def test_collections_that_are_too_many_to_list_are_any() -> None:
    def names(count: int) -> tuple[str, ...]:
        return tuple(f"n{number:05}" for number in range(count))

    blocks = (placed(0, 0, 1, collections=names(MAX_COLLECTIONS)), placed(10, 1, 2), placed(20, 2, 3, collections=()))
    index = ContainerIndex.of(Stream.FIREHOSE, 0, blocks)
    assert index.blocks == (blocks[0], placed(10, 1, 2, collections=None), blocks[2])
    assert index.collections is None
    assert collections_table([block.facts.contents for block in index.blocks]) == list(names(MAX_COLLECTIONS))


@given(st.integers(0, 40))
def test_a_cursor_finds_the_first_block_that_it_needs(cursor: int) -> None:
    assert INDEX.blocks_from(cursor) == tuple([each for each in BLOCKS if each.facts.contents.last_seq >= cursor])


def test_a_block_lies_where_it_says() -> None:
    assert BLOCKS[1].range == ByteRange(70, 10)
    assert BLOCKS[1].range.end == 80


@pytest.mark.parametrize(
    ("after", "wrong"),
    [(placed(71, 9, 10), "at 71"), (placed(69, 9, 10), "at 69"), (placed(70, 8, 10), "from 9 on overlaps")],
)
def test_blocks_lie_one_behind_the_other(after: PlacedBlock, wrong: str) -> None:
    check_order(BLOCKS)
    with pytest.raises(InvariantError, match=wrong):
        check_order([BLOCKS[0], after])
