"""The end of the archive: the newest names and blocks, whatever lies beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.archive_end import END_HOURS, PROBED_NAMES, is_overtaken, newest_blocks, newest_names
from edgerelay.runtime.memory import MemoryObjects
from tests.coroutines import finished
from tests.histories import NOON_US, Past


@pytest.fixture
def past() -> Iterator[Past]:
    created = Past()
    yield created
    created.close()


def names(past: Past) -> list[ObjectName]:
    return finished(newest_names(past.objects))


def blocks(past: Past) -> list[Batch]:
    async def read() -> list[Batch]:
        codec = ZlibCodec()
        listed = await newest_names(past.objects)
        return [block async for block in newest_blocks(past.objects, listed, {codec.id: codec}, past.lines)]

    return finished(read())


def backwards(found: list[Batch]) -> list[tuple[int, bytes]]:
    return [event for block in reversed(found) for event in block.split()]


@given(
    st.lists(st.tuples(st.sampled_from([Folder.GROUPS, Folder.FIREHOSE]), st.integers(0, 300)), max_size=12),
    st.lists(st.integers(0, 300), max_size=2 * PROBED_NAMES),
)
def test_the_newest_hours_are_those_that_a_list_of_all_names_ends_with(
    wanted: list[tuple[Folder, int]], foreign: list[int]
) -> None:
    objects = MemoryObjects()
    own = {ObjectName(folder, NOON_US + step * HOUR_US // 3, NOON_US + step * HOUR_US // 3) for folder, step in wanted}
    for name in own:
        objects.objects[name.key] = b""
    for step in foreign:
        key = ObjectName(Folder.GROUPS, NOON_US + step * HOUR_US, NOON_US + step * HOUR_US).key
        objects.objects[f"{key}.bak"] = b""
    objects.objects["groups/notes.txt"] = b""
    expected: set[ObjectName] = set()
    for folder in (Folder.GROUPS, Folder.FIREHOSE):
        hours = sorted({hour_of(name.first_seq) for name in own if name.folder is folder})[-END_HOURS:]
        expected |= {name for name in own if name.folder is folder and hour_of(name.first_seq) in hours}
    found = finished(newest_names(objects))
    assert set(found) == expected
    assert [name.last_seq for name in found] == sorted([name.last_seq for name in expected], reverse=True)


def test_an_empty_archive_has_no_end(past: Past) -> None:
    assert (names(past), blocks(past)) == ([], [])


def test_blocks_come_from_the_newest_on(past: Past) -> None:
    past.write(*[1] * 20)
    past.write(HOUR_US, *[1] * 20)
    past.archive_all()
    assert backwards(blocks(past)) == past.events


def test_what_is_in_two_objects_comes_once(past: Past) -> None:
    past.write(*[1] * 20)
    past.archive_all()
    for key, data in list(past.objects.objects.items()):
        past.objects.objects[key.replace("groups", "firehose")] = data
    assert len(names(past)) == 2 * len(past.objects.objects) // 2
    assert backwards(blocks(past)) == past.events


def test_what_is_damaged_is_told_and_left_out(past: Past) -> None:
    for _ in range(3):
        past.write(*[1] * 15)
    past.archive_all()
    first, middle, last = sorted(past.objects.objects)
    past.objects.objects[middle] = past.objects.objects[middle][:-1]
    damaged = bytearray(past.objects.objects[last])
    damaged[100] ^= 1
    past.objects.objects[last] = bytes(damaged)
    found = backwards(blocks(past))
    assert found[:15] == past.events[:15]
    assert 15 < len(found) < 30
    assert [line["last_seq"] for line in past.lines.named("archive_damaged")] == [
        ObjectName.parse(last).last_seq,
        ObjectName.parse(middle).last_seq,
    ]
    assert first in past.objects.objects


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9), st.sampled_from([Folder.GROUPS, Folder.FIREHOSE]))),
    st.integers(0, 50),
    st.integers(0, 9),
)
def test_it_is_overtaken_if_an_object_since_the_hour_of_what_is_archived_reaches_beyond_the_log(
    objects: list[tuple[int, int, Folder]], archived: int, logged: int
) -> None:
    bucket, step_us = MemoryObjects(), HOUR_US // 8
    archived_seq = NOON_US + archived * step_us
    last_seq = archived_seq + logged * step_us
    names = [
        ObjectName(folder, NOON_US + first * step_us + 1, NOON_US + (first + length) * step_us + 1)
        for first, length, folder in objects
    ]
    for name in names:
        bucket.objects[name.key] = b""
    expected = any(name.hour >= hour_of(archived_seq) and name.last_seq > last_seq for name in names)
    assert finished(is_overtaken(bucket, archived_seq, last_seq)) == expected
