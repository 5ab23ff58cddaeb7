"""Cuts the stream of batches into the blocks of one group.

A batch is what one flush wrote; a block is what is packed and read as one piece, and a group what is stored as one
object. A full block ends behind any event, a full group behind a batch. No group reaches into another hour, so that the
hour of a number says where it is stored.

It does not decide when a group is due, and does not pack anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields

__all__ = ["HOUR_US", "CutPolicy", "cut_blocks", "hour_of"]

HOUR_US: Final = 3_600_000_000
"""Microseconds of an hour."""


class CutPolicy(NamedTuple):
    """Where a block and a group are full, in bytes of frames. They may end an event and a batch beyond."""

    block_bytes: int
    group_bytes: int


def hour_of(seq: int) -> int:
    """The hour, counted from 1970, in which a number lies."""
    return seq // HOUR_US


def cut_blocks(batches: Iterable[Batch], after_seq: int, end_seq: int, policy: CutPolicy) -> Iterator[Batch]:
    """The blocks of the group that begins with the first event behind `after_seq`, as batches without accounts.

    A block names the positions of the hosts after the last batch of the group that ends in it or before it; it names
    none where there is no such batch yet.

    Args:
        batches: in order, the first of which holds that event.
        end_seq: the group ends with this event, whatever its size; 0 if that was not decided before.
    """
    builder: BatchBuilder | None = None
    positions: dict[int, PositionFields] = {}
    prev_seq = hour = group_bytes = 0
    for batch in batches:
        head = batch.head
        prev_seq = head.prev_seq
        if builder is not None and not end_seq and group_bytes >= policy.group_bytes:
            break
        for index, (seq, frame) in enumerate(batch.split()):
            if seq > after_seq:
                if builder is None:
                    builder, hour = BatchBuilder(prev_seq), hour_of(seq)
                is_behind = seq > end_seq if end_seq else hour_of(seq) != hour
                if is_behind:
                    yield builder.build(list(positions.values()), b"")
                    return
                if builder.frames_bytes >= policy.block_bytes:
                    yield builder.build(list(positions.values()), b"")
                    builder = BatchBuilder(prev_seq)
                builder.add(seq, head.kinds[index], head.dids[index], head.paths[index], frame)
                group_bytes += len(frame)
            prev_seq = seq
        positions.update({fields[0]: fields for fields in head.positions})
    if builder is not None:
        yield builder.build(list(positions.values()), b"")
