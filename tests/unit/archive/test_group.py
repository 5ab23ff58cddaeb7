"""A group: one object whose name says its range, and whose blocks are those that were added."""

from __future__ import annotations

import pytest

from edgerelay.archive.batch import Batch
from edgerelay.archive.block import SealedBlock
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container import ContainerOpening
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.group import GroupWriter
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.errors import InvariantError
from tests.histories import NOON_US, batch_of

CODEC = ZlibCodec()


def read(data: bytes) -> list[Batch]:
    opening = ContainerOpening(len(data))
    while (wanted := opening.wanted) is not None:
        opening.take(data[wanted.offset : wanted.end])
    assert opening.index.stream == Stream.FIREHOSE
    blocks = [SealedBlock(each.facts, data[each.range.offset : each.range.end]) for each in opening.index.blocks]
    return [open_batch(block, {CODEC.id: CODEC}) for block in blocks]


def test_its_blocks_come_back() -> None:
    blocks = [batch_of(5, [NOON_US, NOON_US + 1]), batch_of(NOON_US + 1, [NOON_US + 7])]
    writer = GroupWriter(CODEC)
    for block in blocks:
        writer.add(block)
    name, data = writer.finish()
    assert name == ObjectName(Folder.GROUPS, NOON_US, NOON_US + 7)
    assert read(data) == blocks


def test_blocks_must_follow_each_other() -> None:
    writer = GroupWriter(CODEC)
    writer.add(batch_of(5, [NOON_US]))
    with pytest.raises(InvariantError):
        writer.add(batch_of(4, [NOON_US - 1]))


def test_a_group_is_never_empty() -> None:
    with pytest.raises(InvariantError, match="without blocks"):
        GroupWriter(CODEC).finish()
