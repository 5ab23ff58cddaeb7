"""Blocks of references: together they hold each reference once and cover the numbers that they were made of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.blob_block import MAX_ROWS_BYTES, BlobBlockWriter, open_references, purge_references
from edgerelay.archive.blobs import BlobReference, write_row
from edgerelay.archive.block import MAX_RAW_BYTES, BlockError, Contents, SealedBlock, seal
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.container_index import Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from tests.packing import CODECS, PLAIN, container_of, open_container

Span = tuple[int, int, int, Sequence[BlobReference]]


def reference(seq: int, did: str = "did:plc:a", data: bytes = b"a") -> BlobReference:
    return BlobReference(seq, did, f"a.b.c/{seq}", cid_to_text(cid_for_raw(data)), "image/png", 1, "https://a.test")


def blocks_of(spans: Sequence[Span], block_bytes: int = 1_000) -> list[SealedBlock]:
    writer = BlobBlockWriter(PLAIN, block_bytes)
    blocks = [block for *numbers, references in spans for block in writer.add(lines(*numbers), references)]
    return [*blocks, *writer.finish()]


def lines(prev_seq: int, first_seq: int, last_seq: int) -> Contents:
    """What a block of lines says of itself."""
    return Contents(prev_seq, first_seq, last_seq, (), (), None, ())


def ranges(blocks: Sequence[SealedBlock]) -> list[tuple[int, int, int]]:
    contents = [block.facts.contents for block in blocks]
    return [(each.prev_seq, each.first_seq, each.last_seq) for each in contents]


def test_the_facts_are_those_of_the_references() -> None:
    [block] = blocks_of([(5, 10, 20, [reference(10), reference(12, "did:plc:b", b"b")]), (20, 21, 30, [])])
    contents = block.facts.contents
    assert ranges([block]) == [(5, 10, 30)]
    assert (contents.counts, contents.collections, contents.positions) == ((2,), ("a.b.c",), ())
    assert contents.did_filter == DidFilter.of(["did:plc:a", "did:plc:b"])
    assert contents.cid_filter == CidFilter.of([cid_for_raw(b"a"), cid_for_raw(b"b")])


def test_events_without_references_are_covered() -> None:
    [block] = blocks_of([(5, 10, 20, [])])
    assert (ranges([block]), block.facts.raw_bytes) == ([(5, 10, 20)], 0)
    assert blocks_of([]) == []


def test_a_full_block_ends_where_a_block_of_lines_does() -> None:
    spans: list[Span] = [(5, 10, 20, [reference(10)] * 3), (20, 21, 30, []), (30, 31, 40, [reference(31)])]
    blocks = blocks_of(spans, 200)
    assert ranges(blocks) == [(5, 10, 20), (20, 21, 40)]
    assert [len(open_references(block, CODECS)) for block in blocks] == [3, 1]


def test_an_operation_may_have_a_number_behind_that_of_the_last_event() -> None:
    [block] = blocks_of([(5, 10, 20, [reference(23)]), (20, 30, 30, [])])
    assert (ranges([block]), open_references(block, CODECS)) == ([(5, 10, 30)], [reference(23)])


def test_what_has_no_room_is_counted() -> None:
    writer = BlobBlockWriter(PLAIN, max_rows_bytes=3 * len(write_row(reference(10))))
    assert [*writer.add(lines(5, 10, 20), [reference(10)] * 5)] == []
    [block] = writer.finish()
    assert (len(open_references(block, CODECS)), writer.left_out) == (3, 2)
    assert MAX_ROWS_BYTES < MAX_RAW_BYTES


def test_a_hole_stays_one() -> None:
    assert ranges(blocks_of([(5, 10, 20, [reference(10)]), (40, 41, 50, [])])) == [(5, 10, 20), (40, 41, 50)]


def test_a_container_unites_the_filters() -> None:
    spans: list[Span] = [(5, 10, 20, [reference(10)]), (40, 41, 50, [reference(41, "did:plc:b", b"b")])]
    index = open_container(container_of(blocks_of(spans), Stream.BLOBS))
    assert index.stream is Stream.BLOBS
    assert index.cid_filter == CidFilter.of([cid_for_raw(b"a"), cid_for_raw(b"b")])
    assert [block.facts.contents.cid_filter for block in index.blocks] == [
        CidFilter.of([cid_for_raw(b"a")]),
        CidFilter.of([cid_for_raw(b"b")]),
    ]


def test_only_those_that_are_wanted_are_read() -> None:
    [block] = blocks_of([(5, 10, 20, [reference(10), reference(12, "did:plc:b", b"b")])])
    assert [each.seq for each in open_references(block, CODECS, "did:plc:b")] == [12]
    assert open_references(block, CODECS, "did:plc:b", cid_to_text(cid_for_raw(b"a"))) == []


def test_a_purge_leaves_the_references_of_others_and_all_numbers() -> None:
    [block] = blocks_of([(5, 10, 20, [reference(10), reference(12, "did:plc:b", b"b"), reference(13)])])
    purged = purge_references(block, "did:plc:a", CODECS)
    assert purged is not None
    assert (open_references(purged, CODECS), ranges([purged])) == ([reference(12, "did:plc:b", b"b")], ranges([block]))
    contents = purged.facts.contents
    assert (purged.facts.generation, contents.counts) == (1, (1,))
    assert contents.did_filter == DidFilter.of(["did:plc:b"])
    assert contents.cid_filter == CidFilter.of([cid_for_raw(b"b")])
    assert purge_references(purged, "did:plc:a", CODECS) is None
    assert purge_references(block, "did:plc:nobody", CODECS) is None


def test_damage_has_a_name() -> None:
    [block] = blocks_of([(5, 10, 20, [reference(10)])])
    with pytest.raises(BlockError, match="block 10 to 20: a row"):
        open_references(seal(b"text", block.facts.contents, PLAIN), CODECS)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.binary(max_size=1)), max_size=6),
        ),
        max_size=5,
    ),
    st.integers(1, 1_000),
)
def test_whatever_comes_is_kept_once_and_in_order(
    drawn: list[tuple[int, list[tuple[int, str, bytes]]]], block_bytes: int
) -> None:
    spans: list[Span] = []
    for number, (hole, found) in enumerate(drawn, 1):
        first_seq = number * 20 + hole
        references = [reference(first_seq + at, f"did:plc:{who}", data) for at, who, data in sorted(found)]
        prev_seq = first_seq - 1 if hole or not spans else spans[-1][2]
        spans.append((prev_seq, first_seq, first_seq + 9, references))
    blocks = blocks_of(spans, block_bytes)
    kept = [each for block in blocks for each in open_references(block, CODECS)]
    assert kept == [each for *_, references in spans for each in references]
    for block in blocks:
        contents, own = block.facts.contents, open_references(block, CODECS)
        assert all(contents.first_seq <= each.seq <= contents.last_seq for each in own)
        assert contents.did_filter == DidFilter.of(each.did for each in own)
    if blocks:
        assert (blocks[0].facts.contents.first_seq, blocks[-1].facts.contents.last_seq) == (spans[0][1], spans[-1][2])
        container_of(blocks, Stream.BLOBS)
