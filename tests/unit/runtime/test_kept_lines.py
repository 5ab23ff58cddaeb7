"""Lines of the archive are read where they are whole, from beginnings of blocks, and looked for with few calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from edgerelay.archive.block import Contents
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.kept_lines import LACKING_US, KeptLines
from tests.coroutines import finished
from tests.histories import NOON_US, Past
from tests.line_readers import LineReader

LINES: Final = Channel(Wire.LINES)


@pytest.fixture
def past() -> Iterator[Past]:
    """Sixty commits of up to three operations, all of them in segments of both streams, and two in the log."""
    created = Past(width=3)
    for _ in range(12):
        created.write(*[1] * 5)
    created.compact_all()
    created.write(HOUR_US)
    created.write(1)
    yield created
    created.close()


def find(lines: KeptLines, cursor: int) -> History[LineBlock] | None:
    return finished(lines.find(cursor, None))


def reader_of(past: Past, cursor: int = 1) -> LineReader:
    return LineReader(past, past.replay(), cursor, LINES, frozenset(), 0)


def test_what_lies_in_the_archive_as_lines_is_not_rendered(past: Past) -> None:
    reader = reader_of(past).read_all()
    assert reader.seen == reader.expected()
    assert reader.rendered == 2, "those in the log"


def test_frames_need_not_even_be_there(past: Past) -> None:
    objects = past.objects.objects
    for name in [name for name in objects if name.startswith((Folder.FIREHOSE, Folder.GROUPS))]:
        del objects[name]
    reader = reader_of(past).read_all()
    assert (reader.seen, reader.holes) == (reader.expected(), [])


def test_a_block_is_entered_at_its_beginning_alone(past: Past) -> None:
    lines = past.kept_lines()
    first = find(lines, 1)
    assert first is not None
    assert first.batch is not None
    for cursor in (NOON_US, NOON_US + 1, first.batch.first_seq):
        assert find(lines, cursor) == first
    assert find(lines, first.batch.first_seq + 1) is None
    second = find(lines, first.batch.head.last_seq + 1)
    assert second is not None
    assert second.batch is not None
    assert second.batch.head.prev_seq <= first.batch.head.last_seq < second.batch.first_seq


def test_after_one_block_of_frames_a_reader_is_at_a_beginning(past: Past) -> None:
    """It fell behind in the midst of a block, right after a commit of several operations."""
    wide = next(seq for seq, _ in past.events[8:] if len(past.lines_of(seq)) > 1)
    reader = reader_of(past, wide + 1).read_all()
    assert reader.seen == reader.expected()
    assert reader.rendered < 5 + 2, "of one block, and those in the log"


def test_blocks_that_cannot_match_are_passed(past: Past) -> None:
    def is_late(contents: Contents) -> bool:
        return contents.last_seq > NOON_US + 100

    found = finished(past.kept_lines().find(1, is_late))
    assert found is not None
    assert found[:2] == (None, 0)
    assert NOON_US < found.passed_up_to <= NOON_US + 100


def test_where_lines_lack_frames_are_rendered() -> None:
    past = Past(width=3)
    for _ in range(12):
        past.write(*[1] * 5)
    past.archive_all()
    past.write(1)
    for number in range(len(past.queue.messages))[1:]:
        past.deliver(number)  # the first group has no lines yet
    reader = reader_of(past).read_all()
    assert (reader.seen, reader.holes) == (reader.expected(), [])
    assert 1 < reader.rendered < 30
    past.close()


def test_damage_is_named_and_frames_are_rendered(past: Past) -> None:
    objects = past.objects.objects
    damaged = [name for name in objects if name.startswith(Folder.JETSTREAM)]
    for name in damaged:
        objects[name] = objects[name][:-1]
    reader = reader_of(past).read_all()
    assert (reader.seen, reader.holes) == (reader.expected(), [])
    told = [told["last_seq"] for told in past.lines.named("archive_damaged")]
    assert set(told) == {ObjectName.parse(name).last_seq for name in damaged}
    assert len(told) <= len(damaged) + 1, "not for each block"


def test_without_any_lines_they_are_not_looked_for_at_each_block(past: Past) -> None:
    objects = past.objects.objects
    for name in [name for name in objects if name.startswith(Folder.JETSTREAM)]:
        del objects[name]
    lines = past.kept_lines()
    assert find(lines, NOON_US + 1) is None
    past.objects.problem = "nobody asks"
    for cursor in (NOON_US + 1, NOON_US + 50, NOON_US // LACKING_US * LACKING_US + LACKING_US - 1):
        assert find(lines, cursor) is None


def test_lines_that_come_later_are_found_further_on(past: Past) -> None:
    past.compact_all()
    lines = past.kept_lines()
    last_seq = past.log.last_seq
    assert find(lines, last_seq + 1) is None
    past.write(LACKING_US)
    past.compact_all()
    assert find(lines, last_seq + LACKING_US) is not None
