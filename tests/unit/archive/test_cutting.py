"""Cuts: every event is in one block, in order, and no group is larger than its bounds or of two hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields
from edgerelay.archive.cutting import HOUR_US, CutPolicy, cut_blocks, hour_of

NOON = 500_000 * HOUR_US
WIDE = CutPolicy(block_bytes=10**6, group_bytes=10**6)


def position(host_id: int, low: int) -> PositionFields:
    return (host_id, 0, low, (), 0, 0)


def batch(prev_seq: int, seqs: Sequence[int], *positions: PositionFields, frame_bytes: int = 10) -> Batch:
    builder = BatchBuilder(prev_seq)
    for seq in seqs:
        builder.add(
            seq, "#commit", f"did:plc:{seq}", (f"a.b.c/{seq}",), seq.to_bytes(8, "big") + bytes(frame_bytes - 8)
        )
    return builder.build(positions, b"accounts")


def chain(*groups: Sequence[int], prev_seq: int = NOON - 1) -> Iterator[Batch]:
    for seqs in groups:
        yield batch(prev_seq, seqs)
        prev_seq = seqs[-1]


def seqs_of(blocks: Sequence[Batch]) -> list[list[int]]:
    return [list(block.head.seqs) for block in blocks]


class TestCut:
    def test_batches_become_one_block_with_all_that_readers_need(self) -> None:
        first, second = batch(7, [NOON, NOON + 1]), batch(NOON + 1, [NOON + 5])
        (block,) = cut_blocks([first, second], 0, 0, WIDE)
        assert block.frames == first.frames + second.frames
        assert block.head.prev_seq == 7
        assert block.head.dids == first.head.dids + second.head.dids
        assert block.head.paths == first.head.paths + second.head.paths
        assert block.head.accounts == b""

    def test_a_full_block_ends_and_the_next_one_follows_it(self) -> None:
        blocks = list(cut_blocks(chain(range(NOON, NOON + 7)), 0, 0, CutPolicy(30, 10**6)))
        assert [len(each) for each in seqs_of(blocks)] == [3, 3, 1]
        assert [block.head.prev_seq for block in blocks] == [NOON - 1, NOON + 2, NOON + 5]

    def test_a_full_group_ends_with_its_batch(self) -> None:
        batches = list(chain([NOON, NOON + 1, NOON + 2], [NOON + 3, NOON + 4], [NOON + 5]))
        for group_bytes, last in {10: 2, 30: 2, 31: 4, 50: 4, 51: 5}.items():
            (block,) = cut_blocks(batches, 0, 0, CutPolicy(10**6, group_bytes))
            assert block.head.last_seq == NOON + last

    def test_a_group_begins_behind_what_is_archived_within_a_batch_too(self) -> None:
        (block,) = cut_blocks(chain([NOON, NOON + 1, NOON + 2]), NOON + 1, 0, WIDE)
        assert (block.head.prev_seq, block.head.seqs) == (NOON + 1, (NOON + 2,))

    def test_a_group_ends_with_its_hour_within_a_batch_too(self) -> None:
        hour_end = NOON + HOUR_US
        batches = [
            batch(7, [hour_end - 2], position(1, 5)),
            batch(hour_end - 2, [hour_end - 1, hour_end], position(1, 9)),
        ]
        (block,) = cut_blocks(batches, 0, 0, WIDE)
        assert block.head.seqs == (hour_end - 2, hour_end - 1)
        assert block.head.positions == (position(1, 5),), "the position of a batch holds after all of its events only"
        (rest,) = cut_blocks(batches[1:], hour_end - 1, 0, WIDE)
        assert (rest.head.prev_seq, rest.head.seqs) == (hour_end - 1, (hour_end,))
        assert rest.head.positions == (position(1, 9),)

    def test_an_end_that_was_decided_holds_whatever_the_size(self) -> None:
        batches = list(chain([NOON, NOON + 1], [NOON + 2, NOON + 3]))
        for end_seq in range(NOON, NOON + 4):
            blocks = list(cut_blocks(batches, 0, end_seq, CutPolicy(10**6, 10)))
            assert seqs_of(blocks) == [list(range(NOON, end_seq + 1))]

    def test_a_block_names_the_newest_position_of_each_host(self) -> None:
        batches = [
            batch(7, [NOON], position(1, 5), position(2, 6)),
            batch(NOON, [NOON + 1], position(1, 8)),
        ]
        (block,) = cut_blocks(batches, 0, 0, WIDE)
        assert block.head.positions == (position(1, 8), position(2, 6))

    def test_nothing_makes_no_block(self) -> None:
        assert list(cut_blocks([], 0, 0, WIDE)) == []
        assert list(cut_blocks(chain([NOON]), NOON, 0, WIDE)) == []


GAPS = st.lists(
    st.lists(st.one_of(st.integers(1, 50), st.integers(1, 2 * HOUR_US)), min_size=1, max_size=6), min_size=1, max_size=6
)


@given(GAPS, st.integers(10, 60), st.integers(10, 120))
def test_group_after_group_holds_every_event_once(gaps: list[list[int]], block_bytes: int, group_bytes: int) -> None:
    policy = CutPolicy(block_bytes, group_bytes)
    seq, batches = NOON, []
    for each in gaps:
        prev_seq, seqs = seq, []
        for gap in each:
            seq += gap
            seqs.append(seq)
        batches.append(batch(prev_seq, seqs))
    blocks: list[Batch] = []
    archived_seq = 0
    while archived_seq < seq:
        left = (each for each in batches if each.head.last_seq > archived_seq)
        group = list(cut_blocks(left, archived_seq, 0, policy))
        archived_seq = group[-1].head.last_seq
        again = list(cut_blocks(batches, blocks[-1].head.last_seq if blocks else 0, archived_seq, policy))
        assert again == group
        assert len({hour_of(each) for block in group for each in block.head.seqs}) == 1
        assert sum([len(block.frames) for block in group]) < group_bytes + 60
        assert all(len(block.frames) < block_bytes + 10 for block in group)
        blocks += group
    assert [pair for block in blocks for pair in block.split()] == [pair for each in batches for pair in each.split()]
    assert [block.head.prev_seq for block in blocks] == [NOON, *(block.head.last_seq for block, _ in pairwise(blocks))]
