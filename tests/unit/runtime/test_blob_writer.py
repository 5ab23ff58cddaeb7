"""References beside a segment of lines: what is stored is what its lines say, whatever the sizes, once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.blob_block import open_references
from edgerelay.archive.blobs import BlobReference, find_blobs
from edgerelay.archive.block import BlockError, Contents, SealedBlock, seal
from edgerelay.archive.codec import ZLIB, ZlibCodec
from edgerelay.archive.container_index import Stream
from edgerelay.archive.jetstream import render
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.atproto.cid import cid_for_raw, cid_to_link
from edgerelay.runtime.blob_writer import HOSTS_AT_ONCE, READ_BYTES, BlobWriter
from edgerelay.runtime.container_objects import read_index
from edgerelay.runtime.memory import MemoryLog, MemoryObjects
from edgerelay.runtime.objects import ObjectMissingError
from tests.coroutines import finished
from tests.oracle import frames
from tests.packing import HOUR_US, container_of
from tests.unit.archive.test_jetstream import commit

CODEC = ZlibCodec(quality=0)
LINES = ObjectName(Folder.JETSTREAM, HOUR_US + 10, HOUR_US + 25)


def lines_with_blobs(first_seq: int, blobs: Sequence[tuple[int, bytes]]) -> bytes:
    """Lines of commits, each of an account by its number, with an image."""
    lines = b""
    for number, (who, image) in enumerate(blobs):
        blob = {"$type": "blob", "ref": cid_to_link(cid_for_raw(image)), "mimeType": "image/png", "size": len(image)}
        raw = commit([("create", "a.b.c/k", dumps({"image": blob}, canonical=True))], repo=frames.did(who))
        [line] = render(raw).lines
        lines += line.json.replace(b'"time_us":%d' % line.time_us, b'"time_us":%d' % (first_seq + number)) + b"\n"
    return lines


class World:
    """A bucket with a segment of lines, and a RelayState that knows some hosts."""

    def __init__(self, blocks: Sequence[tuple[int, int, int, bytes]]) -> None:
        self.objects = MemoryObjects()
        self.asked: list[Sequence[str]] = []
        self.log = MemoryLog()
        self.pauses = 0
        sealed = [seal(raw, Contents(prev, first, last, (), (), None, ()), CODEC) for prev, first, last, raw in blocks]
        self.lines = ObjectName(Folder.JETSTREAM, blocks[0][1], blocks[-1][2])
        finished(self.objects.put(self.lines.key, container_of(sealed, Stream.JETSTREAM)))

    async def hosts_of(self, dids: Sequence[str]) -> list[str]:
        self.asked.append(dids)
        return ["https://pds.test" if did == frames.did(1) else "" for did in dids]

    async def pause(self) -> None:
        self.pauses += 1

    def write(self) -> list[ObjectName]:
        return finished(BlobWriter(self.objects, CODEC, self.hosts_of, self.log, self.pause).write(self.lines))

    def stored(self, names: Sequence[ObjectName]) -> list[BlobReference]:
        found: list[BlobReference] = []
        for name in names:
            index = finished(read_index(self.objects, name.key))
            for block in index.blocks:
                packed = finished(self.objects.read(name.key, *block.range))
                found += open_references(SealedBlock(block.facts, packed), {ZLIB: CODEC})
        return found


def test_the_references_of_a_segment_have_its_range_and_their_hosts() -> None:
    lines = lines_with_blobs(HOUR_US + 10, [(1, b"a"), (2, b"b")])
    world = World([(HOUR_US, HOUR_US + 10, HOUR_US + 15, lines), (HOUR_US + 15, HOUR_US + 20, HOUR_US + 25, b"")])
    names = world.write()
    assert names == [LINES._replace(folder=Folder.BLOBS)]
    assert [(each.did, each.host) for each in world.stored(names)] == [
        (frames.did(1), "https://pds.test"),
        (frames.did(2), ""),
    ]


def test_a_second_time_nothing_changes() -> None:
    world = World([(HOUR_US, HOUR_US + 10, HOUR_US + 25, lines_with_blobs(HOUR_US + 10, [(1, b"a")]))])
    names = world.write()
    before = dict(world.objects.objects)
    assert (world.write(), world.objects.objects) == (names, before)


def test_a_segment_without_blobs_asks_nobody_and_is_done_with() -> None:
    world = World([(HOUR_US, HOUR_US + 10, HOUR_US + 25, b"")])
    assert (len(world.write()), world.asked) == (1, [])


def test_accounts_are_asked_for_once_in_a_block_and_never_too_many() -> None:
    who = [(number % (HOSTS_AT_ONCE + 1), b"%d" % number) for number in range(2 * HOSTS_AT_ONCE + 2)]
    world = World([(HOUR_US, HOUR_US + 10, HOUR_US + 1_000, lines_with_blobs(HOUR_US + 10, who))])
    assert len(world.stored(world.write())) == len(who)
    assert [len(each) for each in world.asked] == [HOSTS_AT_ONCE, 1]


def test_large_segments_are_read_piece_by_piece() -> None:
    pieces = [(HOUR_US + at, HOUR_US + at + 1, HOUR_US + at + 1, b"x" * (READ_BYTES // 2)) for at in range(5)]
    world = World(pieces)
    world.write()
    assert world.pauses == 5


def test_damage_has_a_name_and_nothing_is_stored() -> None:
    world = World([(HOUR_US, HOUR_US + 10, HOUR_US + 25, lines_with_blobs(HOUR_US + 10, [(1, b"a")]))])
    data = bytearray(world.objects.objects[world.lines.key])
    data[200] ^= 1
    world.objects.objects[world.lines.key] = bytes(data)
    with pytest.raises(BlockError):
        world.write()
    assert list(world.objects.objects) == [world.lines.key]
    del world.objects.objects[world.lines.key]
    with pytest.raises(ObjectMissingError):
        world.write()


@given(st.lists(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=2)), max_size=4), min_size=1, max_size=4))
def test_whatever_lines_say_is_stored(drawn: list[list[tuple[int, bytes]]]) -> None:
    blocks = []
    for number, blobs in enumerate(drawn):
        start = HOUR_US + 100 * number
        blocks.append((start, start + 1, start + 100, lines_with_blobs(start + 1, blobs)))
    world = World(blocks)
    names = world.write()
    found = [each._replace(host="") for each in world.stored(names)]
    assert found == [each for *_, raw in blocks for each in find_blobs(raw)]
    assert (names[0].first_seq, names[-1].last_seq) == (blocks[0][1], blocks[-1][2])
