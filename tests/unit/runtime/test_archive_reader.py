"""Reading the archive: a cursor leads to the block with the first event at or beyond it, whatever lies between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.archive.batch import Batch
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix
from edgerelay.runtime.archive_reader import ArchiveReader, DamagedError
from edgerelay.runtime.compaction import GRACE_US
from edgerelay.runtime.objects import ObjectStoreError
from tests.coroutines import finished
from tests.histories import NOON_US, Past


@pytest.fixture
def past() -> Iterator[Past]:
    """Three hours with events and one without between, two groups or more in each."""
    created = Past()
    for _ in range(3):
        created.write(*[1] * 20)
        created.write(*[1] * 20)
        created.write(HOUR_US)
    created.write(2 * HOUR_US)
    created.archive_all()
    assert created.log.unarchived_seq == 0
    yield created
    created.close()


def find(reader: ArchiveReader[Batch], cursor: int) -> Batch | None:
    return finished(reader.find(cursor))


def test_every_cursor_leads_to_the_first_event_at_or_beyond_it(past: Past) -> None:
    seqs = [seq for seq, _ in past.events]
    cursors = {seq + beside for seq in seqs for beside in (-1, 0, 1)} | {0, 1, NOON_US + HOUR_US // 2}
    kept = past.reader()
    for cursor in sorted(cursors):
        expected = next((seq for seq in seqs if seq >= cursor), None)
        for reader in (kept, past.reader()):
            block = find(reader, cursor)
            found = None if block is None else next((seq for seq in block.head.seqs if seq >= cursor), None)
            assert found == expected, cursor
            assert block is None or block.head.prev_seq < cursor or block.head.first_seq == expected


def test_an_empty_archive_has_nothing(past: Past) -> None:
    past.objects.objects.clear()
    assert find(past.reader(), NOON_US) is None


def test_readers_that_follow_each_other_read_and_unpack_each_block_once(past: Past) -> None:
    reader, cursor, blocks = past.reader(), NOON_US, 0
    while (block := find(reader, cursor)) is not None:
        assert find(reader, cursor) is block
        cursor, blocks = block.head.last_seq + 1, blocks + 1
    assert blocks > 2 * len(past.objects.objects)
    assert past.objects.reads == 2 * len(past.objects.objects), "of each object the index, and its few blocks at once"


@pytest.mark.parametrize(("kept_bytes", "reads_a_block"), [(2_000_000, 0), (0, 1)])
def test_many_small_blocks_are_read_at_once(
    kept_bytes: int, reads_a_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of lines are; and again, each, if nothing may be kept of what was read."""
    monkeypatch.setattr("edgerelay.runtime.archive_reader.KEPT_BYTES", kept_bytes)
    past = Past(group_bytes=10_000)
    past.write(*[1] * 100)
    past.write(HOUR_US)
    past.archive_all()
    reader, cursor, blocks = past.reader(), NOON_US, 0
    while (block := find(reader, cursor)) is not None:
        cursor, blocks = block.head.last_seq + 1, blocks + 1
    assert blocks > 20
    assert past.objects.reads == (blocks if reads_a_block else len(past.objects.objects)) + len(past.objects.objects)
    past.close()


def test_what_is_read_at_once_is_bounded(past: Past) -> None:
    reader, cursor, blocks = past.reader(read_bytes=1), NOON_US, 0
    while (block := find(reader, cursor)) is not None:
        cursor, blocks = block.head.last_seq + 1, blocks + 1
    assert past.objects.reads == blocks + len(past.objects.objects), "a block is read in any case"


def test_objects_that_came_later_are_found(past: Past) -> None:
    reader = past.reader()
    last_seq = past.log.last_seq
    assert find(reader, last_seq + 1) is None
    for gap in (1, 1, HOUR_US):
        past.write(gap)
        past.archive_all()
        block = find(reader, last_seq + 1)
        assert block is not None
        assert block.head.first_seq == past.log.last_seq
        last_seq = past.log.last_seq


def test_a_bucket_that_is_down_is_no_hole(past: Past) -> None:
    reader = past.reader()
    past.objects.problem = "down"
    with pytest.raises(ObjectStoreError, match="down"):
        find(reader, NOON_US)
    past.objects.problem = ""
    assert find(reader, NOON_US) is not None


def test_an_object_that_was_taken_away_is_asked_for_no_longer(past: Past) -> None:
    reader = past.reader()
    first, *others = [ObjectName.parse(key) for key in sorted(past.objects.objects)]
    assert find(reader, others[0].first_seq) is not None  # it knows the names of the hour now
    del past.objects.objects[first.key]
    block = find(reader, first.first_seq)
    assert block is not None
    assert (block.head.prev_seq, block.head.first_seq) == (first.last_seq, others[0].first_seq)


@pytest.mark.parametrize("damage", ["block", "index", "truncated", "foreign", "another"])
def test_damage_is_named_with_its_end(past: Past, damage: str) -> None:
    name = ObjectName.parse(sorted(past.objects.objects)[1])
    block = find(past.reader(), name.first_seq)
    assert block is not None
    data = bytearray(past.objects.objects[name.key])
    match damage:
        case "block":
            data[120] ^= 1
        case "index":
            data[-100] ^= 1
        case "truncated":
            del data[-50:]
        case "foreign":
            data[:] = b"not ours"
        case "another":
            data[:] = past.objects.objects[min(past.objects.objects)]
    past.objects.objects[name.key] = bytes(data)
    with pytest.raises(DamagedError) as raised:
        find(past.reader(), name.first_seq)
    assert raised.value.last_seq == (block.head.last_seq if damage == "block" else name.last_seq)


def test_damage_ends_where_another_object_begins_and_not_before_it_began() -> None:
    past = Past()
    past.write(*[1] * 15)
    past.write(9, *[1] * 14)
    past.write(9, *[1] * 14)
    past.archive_all()
    first, second, third = [ObjectName.parse(key) for key in sorted(past.objects.objects) if key.startswith("groups/")]
    for name, last_seq in ((second, second.last_seq), (second._replace(last_seq=third.last_seq), third.first_seq - 1)):
        past.objects.objects[name.key] = b"damaged"
        with pytest.raises(DamagedError) as raised:
            find(past.reader(), first.last_seq + 1)
        assert raised.value.last_seq == last_seq
    past.close()


def test_what_is_not_ours_is_passed_over(past: Past) -> None:
    past.objects.objects |= {
        f"{hour_prefix(Folder.GROUPS, NOON_US)}readme": b"",
        f"{hour_prefix(Folder.GROUPS, NOON_US + 4 * HOUR_US)}readme": b"",
        f"{Folder.GROUPS}/2030/x": b"",
    }
    test_every_cursor_leads_to_the_first_event_at_or_beyond_it(past)


def test_blocks_that_cannot_match_are_passed_without_being_read(past: Past) -> None:
    reader, cursor, ends = past.reader(), NOON_US + 1, []
    while (passed := finished(reader.passed_up_to(cursor, lambda _: False))) != 0:
        ends.append(passed)
        cursor = passed + 1
    assert ends == [ObjectName.parse(key).last_seq for key in sorted(past.objects.objects)], "object by object"
    assert past.objects.reads == len(past.objects.objects), "of each object the index"


def test_what_may_match_or_lies_behind_a_hole_is_not_passed(past: Past) -> None:
    reader = past.reader()
    names = [ObjectName.parse(key) for key in sorted(past.objects.objects)]
    block = find(reader, names[0].first_seq)
    assert block is not None
    assert finished(reader.passed_up_to(NOON_US + 1, lambda contents: contents.first_seq > block.head.first_seq)) == (
        block.head.last_seq
    )
    assert finished(reader.passed_up_to(NOON_US + 1, lambda _: True)) == 0
    del past.objects.objects[names[1].key]
    assert finished(past.reader().passed_up_to(names[1].first_seq, lambda _: False)) == 0


def test_what_was_joined_and_is_half_taken_away_is_no_hole() -> None:
    """The reader knows the first groups, and of the others only the last is still there."""
    past = Past()
    past.write(*[1] * 15)
    past.archive_all()
    reader = past.reader()
    assert find(reader, NOON_US) is not None
    for _ in range(4):
        past.write(*[1] * 15)
    past.archive_all()
    groups = [key for key in past.objects.objects if key.startswith("groups/")]
    past.clock.now_us += 2 * HOUR_US
    past.compact(segment_bytes=10**6)
    past.clock.now_us += GRACE_US
    noted = 1  # that the hour was begun
    with past.objects.kill_after(noted + len(groups) + len(groups) - 1):
        past.compact(segment_bytes=10**6)
    assert [key for key in past.objects.objects if key.startswith("groups/")] == groups[-1:]
    block = find(reader, NOON_US + 16)
    assert block is not None
    assert block.head.first_seq == NOON_US + 16
    past.close()
