"""Blocks that need not be read: as many as cannot match and have nothing missing between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import BlockFacts, Contents
from edgerelay.archive.container_index import PlacedBlock
from edgerelay.archive.matching import passed_blocks


def block(prev_seq: int, last_seq: int, name: str = "a") -> PlacedBlock:
    return PlacedBlock(0, BlockFacts(0, 0, 0, 0, 0, Contents(prev_seq, last_seq, last_seq, (), (name,), None, ())))


def passed(blocks: list[PlacedBlock], cursor: int) -> int:
    return passed_blocks(blocks, cursor, lambda contents: contents.collections == ("b",))


def test_the_first_that_may_match_ends_it() -> None:
    blocks = [block(0, 10), block(10, 20), block(20, 30, "b"), block(30, 40)]
    assert passed(blocks, 5) == passed(blocks, 1) == 2
    assert passed(blocks[2:], 25) == 0
    assert passed(blocks[3:], 31) == 1


def test_a_hole_ends_it() -> None:
    blocks = [block(0, 10), block(15, 20)]
    assert passed(blocks, 10) == 1
    assert passed(blocks[1:], 15) == 0, "what lies between the cursor and the block is missing"
    assert passed(blocks[1:], 16) == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_passing_block_by_block_is_passing_them_at_once(plan: list[tuple[bool, bool]]) -> None:
    blocks = [
        block(10 * number - 5 * is_hole, 10 * number + 5, "b" if matches else "a")
        for number, (is_hole, matches) in enumerate(plan, 1)
    ]
    blocks[0] = block(0, 15, blocks[0].facts.contents.collections[0])  # type: ignore[index]  # they are known
    one_by_one = 0
    while one_by_one < len(blocks):
        cursor = blocks[one_by_one - 1].facts.contents.last_seq + 1 if one_by_one else 1
        if not passed(blocks[one_by_one : one_by_one + 1], cursor):
            break
        one_by_one += 1
    assert passed(blocks, 1) == one_by_one
