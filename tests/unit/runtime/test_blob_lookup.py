"""Looking references up: what is found is what a search through everything finds, in as many parts as it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerelay.archive.blob_block import BlobBlockWriter
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import Contents
from edgerelay.archive.container_index import Stream
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from edgerelay.runtime.blob_lookup import LOOKUP_BLOCKS, LOOKUP_OBJECTS, BlobLookup, Found, Wanted
from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import ObjectStoreError
from tests.coroutines import finished
from tests.packing import CODECS, PLAIN, container_of

NOON_US = 500_004 * HOUR_US  # noon of a day
NEWEST_US = NOON_US + 10 * 24 * HOUR_US
CIDS = [cid_to_text(cid_for_raw(bytes([number]))) for number in range(3)]
ALICE, BOB = "did:plc:alice", "did:plc:bob"


def reference(seq: int, did: str = ALICE, cid: str = CIDS[0]) -> BlobReference:
    return BlobReference(seq, did, f"a.b.c/{seq}", cid, "image/png", 1)


class Archive:
    """Objects of references, and everything that is in them."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.everything: list[BlobReference] = []

    def store(self, first_seq: int, blocks: Sequence[Sequence[BlobReference]]) -> str:
        """An object whose blocks each cover a minute."""
        writer, sealed, at = BlobBlockWriter(PLAIN, block_bytes=1), [], first_seq
        for references in blocks:
            lines = Contents(at - 1, at, at + 59_999_999, (), (), None, ())
            sealed += [*writer.add(lines, references), *writer.finish()]
            self.everything += references
            at += 60_000_000
        name = ObjectName(Folder.BLOBS, first_seq, at - 1)
        finished(self.objects.put(name.key, container_of(sealed, Stream.BLOBS)))
        return name.key

    def find(self, wanted: Wanted, before_seq: int = NEWEST_US, oldest_seq: int = 0) -> Found:
        oldest_seq = oldest_seq or NOON_US - 24 * HOUR_US
        return finished(BlobLookup(self.objects, CODECS, wanted).find(before_seq, oldest_seq))

    def find_all(self, wanted: Wanted) -> list[BlobReference]:
        """All parts, one after the other."""
        found, before_seq = list[BlobReference](), NEWEST_US
        while before_seq:
            part = self.find(wanted, before_seq)
            assert part.before_seq < before_seq
            found, before_seq = [*found, *part.references], part.before_seq
        return found

    def expected(self, wanted: Wanted) -> list[BlobReference]:
        """The slow and obvious way."""
        found = [each for each in self.everything if wanted.did in ("", each.did) and wanted.cid in ("", each.cid)]
        return sorted(found, reverse=True)


def test_by_account_and_by_blob_and_by_both() -> None:
    archive = Archive()
    archive.store(NOON_US, [[reference(NOON_US), reference(NOON_US + 1, BOB)]])
    archive.store(NOON_US + HOUR_US, [[reference(NOON_US + HOUR_US, BOB, CIDS[1])]])
    for wanted in (Wanted(ALICE), Wanted(BOB), Wanted(cid=CIDS[0]), Wanted(BOB, CIDS[1]), Wanted(ALICE, CIDS[1])):
        assert archive.find(wanted) == Found(archive.expected(wanted), [], 0)


def test_what_cannot_match_is_not_read() -> None:
    archive = Archive()
    for hour in range(4):
        archive.store(NOON_US + hour * HOUR_US, [[reference(NOON_US + hour * HOUR_US)], []])
    archive.objects.reads = 0
    assert archive.find(Wanted(BOB)).references == []
    assert archive.objects.reads == 4, "the indexes"
    assert archive.find(Wanted(ALICE, CIDS[1])).references == []
    assert archive.objects.reads == 8
    assert len(archive.find(Wanted(ALICE)).references) == 4
    assert archive.objects.reads == 16, "and of each object the one block"


def test_what_is_too_old_or_too_new_is_not_looked_at() -> None:
    archive = Archive()
    for day in range(3):
        archive.store(NOON_US + day * 24 * HOUR_US, [[reference(NOON_US + day * 24 * HOUR_US)]])
    middle = NOON_US + 24 * HOUR_US
    assert [each.seq for each in archive.find(Wanted(ALICE), 2 * middle - NOON_US, middle).references] == [middle]


def test_no_look_up_reads_too_many_objects_or_blocks() -> None:
    archive = Archive()
    for hour in range(LOOKUP_OBJECTS + 2):
        archive.store(NOON_US + hour * HOUR_US, [[reference(NOON_US + hour * HOUR_US)]])
    part = archive.find(Wanted(ALICE))
    assert (len(part.references), part.before_seq > 0) == (LOOKUP_OBJECTS, True)
    assert archive.find_all(Wanted(ALICE)) == archive.expected(Wanted(ALICE))
    archive = Archive()
    archive.store(NOON_US, [[reference(NOON_US + minute * 60_000_000)] for minute in range(LOOKUP_BLOCKS + 2)])
    part = archive.find(Wanted(ALICE))
    assert (len(part.references), part.before_seq > 0) == (LOOKUP_BLOCKS, True)
    assert archive.find_all(Wanted(ALICE)) == archive.expected(Wanted(ALICE))


def test_objects_that_overlap_tell_a_reference_once() -> None:
    archive = Archive()
    archive.store(NOON_US, [[reference(NOON_US)]])
    archive.store(NOON_US, [[reference(NOON_US)], [reference(NOON_US + 60_000_000, BOB)]])
    assert archive.find(Wanted(ALICE)).references == [reference(NOON_US)]


def test_damage_is_told_and_the_others_are_read() -> None:
    archive = Archive()
    archive.store(NOON_US, [[reference(NOON_US)]])
    damaged = archive.store(NOON_US + HOUR_US, [[reference(NOON_US + HOUR_US)]])
    archive.objects.objects[damaged] = archive.objects.objects[damaged][:-1]
    assert archive.find(Wanted(ALICE)) == Found([reference(NOON_US)], [damaged], 0)


def test_a_bucket_that_does_not_answer_is_no_empty_archive() -> None:
    archive = Archive()
    archive.objects.problem = "down"
    with pytest.raises(ObjectStoreError):
        archive.find(Wanted(ALICE))


some_references = st.lists(st.tuples(st.sampled_from([ALICE, BOB, "did:web:c"]), st.sampled_from(CIDS)), max_size=3)


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(0, 100), st.lists(some_references, min_size=1, max_size=4), max_size=6),
    st.sampled_from([Wanted(ALICE), Wanted(BOB, CIDS[1]), Wanted(cid=CIDS[2]), Wanted("did:web:nobody")]),
)
def test_whatever_there_is_is_found(hours: dict[int, list[list[tuple[str, str]]]], wanted: Wanted) -> None:
    archive = Archive()
    for hour, blocks in hours.items():
        start = NOON_US + hour * HOUR_US
        archive.store(
            start,
            [
                [reference(start + minute * 60_000_000 + at, *each) for at, each in enumerate(block)]
                for minute, block in enumerate(blocks)
            ],
        )
    assert archive.find_all(wanted) == archive.expected(wanted)
