"""The index as entries: it comes back, whatever it says, and what nobody wrote is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import (
    MAX_COLLECTION_BYTES,
    MAX_EVENTS,
    MAX_GENERATION,
    MAX_PACKED_BYTES,
    MAX_RAW_BYTES,
    MAX_SEQ,
    BlockFacts,
    Contents,
    UpstreamPosition,
)
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.container_errors import ContainerCorrupt, ContainerError, ContainerNewer
from edgerelay.archive.container_index import MAX_BLOCKS, ContainerIndex, PlacedBlock, Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.entries import CRITICAL, write_entry
from edgerelay.archive.index_entries import (
    decode_header,
    decode_index,
    encode_header,
    encode_index,
    largest_entry_bytes,
)
from edgerelay.atproto.cid import cid_for_raw

numbers = st.integers(0, MAX_SEQ)
contents_without_numbers = st.builds(
    Contents,
    st.just(0),
    st.just(0),
    st.just(0),
    st.lists(st.integers(0, MAX_EVENTS // 8), max_size=8).map(tuple),
    st.none() | st.sets(st.text("abé.", max_size=9), max_size=4).map(lambda names: tuple(sorted(names))),
    st.none() | st.sets(st.text(max_size=3), max_size=9).map(DidFilter.of),
    st.lists(st.builds(UpstreamPosition, numbers, numbers, numbers), max_size=3).map(tuple),
    st.none() | st.sets(st.binary(max_size=3).map(cid_for_raw), max_size=9).map(CidFilter.of),
)
facts = st.builds(
    BlockFacts,
    st.integers(0, 255),
    st.integers(0, MAX_GENERATION),
    st.integers(0, MAX_RAW_BYTES),
    st.integers(0, MAX_PACKED_BYTES),
    st.integers(0, 2**32 - 1),
    contents_without_numbers,
)


@st.composite
def indexes(draw: st.DrawFn) -> ContainerIndex:
    some = draw(st.lists(facts, min_size=1, max_size=5))
    seqs = sorted(draw(st.sets(numbers, min_size=2 * len(some), max_size=2 * len(some))))
    offsets = accumulate([each.packed_bytes for each in some], initial=draw(st.integers(0, 100)))
    blocks = [
        PlacedBlock(offset, each._replace(contents=each.contents._replace(prev_seq=p, first_seq=p + 1, last_seq=last)))
        for offset, each, p, last in zip(offsets, some, seqs[::2], seqs[1::2], strict=False)
    ]
    return ContainerIndex.of(draw(st.sampled_from(Stream)), draw(st.integers(0, MAX_GENERATION)), blocks)


@given(indexes())
def test_an_index_comes_back(index: ContainerIndex) -> None:
    assert decode_index(encode_index(index)) == index
    assert decode_header(encode_header(index.header)) == index.header


@given(indexes())
def test_the_sum_of_the_largest_entries_is_enough(index: ContainerIndex) -> None:
    largest = sum(largest_entry_bytes(block.facts) for block in index.blocks)
    assert len(encode_index(index)) <= largest + 200


CONTENTS = Contents(5, 6, 9, (3, 1), ("a.b.c",), DidFilter.of("a"), (UpstreamPosition(1, 2, 3),))
BLOCK = PlacedBlock(63, BlockFacts(2, 1, 100, 10, 0xABCDEF01, CONTENTS))
SECOND = PlacedBlock(73, BLOCK.facts._replace(contents=CONTENTS._replace(prev_seq=9, first_seq=10, last_seq=12)))
INDEX = ContainerIndex.of(Stream.JETSTREAM, 1, (BLOCK, SECOND))


def entry(tag: int, value: str) -> bytes:
    return write_entry(tag, bytes.fromhex(value))


def block_entry(**others: str | None) -> bytes:
    """The entry of `BLOCK`, written by hand, with other values."""
    values = {
        "place": "000000000000003f" + "0000000a" + "00000064" + "abcdef01" + "02" + "00000001",
        "range": "0000000000000005" + "0000000000000006" + "0000000000000009",
        "counts": "00000003" + "00000001",
        "collections": "0000",
        "dids": "ca978112",
        "positions": "0000000000000001" + "0000000000000002" + "0000000000000003",
        **others,
    }
    tags = {"place": 0x8001, "range": 0x8002, "counts": 0x8003, "collections": 4, "dids": 5, "positions": 6, "cids": 7}
    return write_entry(
        0x8007, b"".join([entry(tags[name], value) for name, value in values.items() if value is not None])
    )


def footer(blocks: Sequence[bytes] = (block_entry(),), /, **others: str | None) -> bytes:
    """The footer of a container of `BLOCK`, written by hand, with other values."""
    values = {
        "stream": b"jetstream".hex(),
        "generation": "00000001",
        "start": "0000000000000005" + "0000000000000006",
        "end": "0000000000000009",
        "collections": "0005" + b"a.b.c".hex(),
        "dids": "ca978112",
        **others,
    }
    tags = {
        "stream": 0x8001,
        "generation": 0x8002,
        "start": 0x8003,
        "end": 0x8004,
        "collections": 5,
        "dids": 6,
        "cids": 8,
    }
    parts = [entry(tags[name], value) for name, value in values.items() if value is not None]
    return b"".join([*parts, *blocks])


ONE = ContainerIndex.of(Stream.JETSTREAM, 1, [BLOCK])
NEWER = write_entry(CRITICAL | 77, b"newer")


def test_golden_bytes() -> None:
    assert encode_index(ONE) == footer()
    assert decode_index(footer()) == ONE


class TestWhatIsLeftOut:
    def test_a_block_need_not_say_more_than_where_it_is_and_what_it_counts(self) -> None:
        index = decode_index(footer([block_entry(collections=None, dids=None, positions=None)], dids=None))
        contents = CONTENTS._replace(collections=None, did_filter=None, positions=())
        assert index.blocks == (BLOCK._replace(facts=BLOCK.facts._replace(contents=contents)),)
        assert (index.collections, index.did_filter) == (None, None)

    def test_without_the_table_no_collection_can_be_told(self) -> None:
        index = decode_index(footer(collections=None))
        assert (index.collections, index.blocks[0].facts.contents.collections) == (None, None)

    @pytest.mark.parametrize("name", ["stream", "generation", "start", "end"])
    def test_the_whole_must_say_what_it_is(self, name: str) -> None:
        with pytest.raises(ContainerCorrupt, match="is missing"):
            decode_index(footer(**{name: None}))

    @pytest.mark.parametrize("name", ["place", "range", "counts"])
    def test_a_block_must_say_where_it_is(self, name: str) -> None:
        with pytest.raises(ContainerCorrupt, match="is missing"):
            decode_index(footer([block_entry(**{name: None})]))

    def test_newer_entries_that_are_optional_do_not_matter(self) -> None:
        newer = write_entry(77, b"newer")
        with_newer = write_entry(0x8007, block_entry()[7:] + newer)
        assert decode_index(newer + footer([with_newer]) + newer) == ONE

    @pytest.mark.parametrize("raw", [footer() + NEWER, footer([write_entry(0x8007, block_entry()[7:] + NEWER)])])
    def test_newer_entries_that_are_critical_are_refused(self, raw: bytes) -> None:
        with pytest.raises(ContainerNewer, match="0x804d"):
            decode_index(raw)

    def test_newer_entries_of_a_header_are_refused_alike(self) -> None:
        assert decode_header(encode_header(INDEX.header) + write_entry(77, b"")) == INDEX.header
        with pytest.raises(ContainerNewer, match="0x804d"):
            decode_header(encode_header(INDEX.header) + NEWER)

    def test_a_stream_that_is_not_known_is_newer(self) -> None:
        with pytest.raises(ContainerNewer, match="the stream 'later'"):
            decode_index(footer(stream=b"later".hex()))


class TestDamage:
    @pytest.mark.parametrize(
        "others",
        [
            {"stream": "ff"},
            {"generation": "01"},
            {"start": "01"},
            {"start": "0000000000000004" + "0000000000000006"},
            {"start": "0000000000000005" + "0000000000000007"},
            {"end": "000000000000000a"},
            {"end": ""},
            {"collections": "00"},
            {"collections": "0006" + b"a.b.c".hex()},
            {"collections": "0001ff"},
            {"collections": "0001610001" + "61"},
            {"collections": "0001620001" + "61"},
            {"collections": f"{MAX_COLLECTION_BYTES + 1:04x}" + "61" * (MAX_COLLECTION_BYTES + 1)},
            {"collections": "".join([f"0004{number:08x}" for number in range(4_097)])},
            {"collections": ""},
            {"dids": "00"},
            {"dids": "0000000200000001"},
            {"cids": "00"},
            {"cids": "0000000200000001"},
        ],
        ids=lambda others: str(others)[:50],
    )
    def test_a_whole_that_nobody_wrote_is_refused(self, others: dict[str, str]) -> None:
        with pytest.raises(ContainerCorrupt):
            decode_index(footer(**others))

    @pytest.mark.parametrize(
        "others",
        [
            {"place": "00"},
            {"place": "000000000000003f" + "ffffffff" + "00000064" + "abcdef01" + "02" + "00000001"},
            {"place": "000000000000003f" + "0000000a" + "ffffffff" + "abcdef01" + "02" + "00000001"},
            {"range": ""},
            {"range": "0000000000000006" + "0000000000000006" + "0000000000000009"},
            {"range": "0000000000000005" + "0000000000000006" + "ffffffffffffffff"},
            {"counts": "000000"},
            {"counts": "ffffffff"},
            {"counts": "00000001" * 17},
            {"collections": "00"},
            {"collections": "0001"},
            {"collections": "00000000"},
            {"dids": "000000"},
            {"dids": "0000000100000001"},
            {"cids": "0000000100000001"},
            {"positions": "00"},
            {"positions": "ffffffffffffffff" * 3},
        ],
        ids=lambda others: str(others)[:50],
    )
    def test_a_block_that_nobody_wrote_is_refused(self, others: dict[str, str]) -> None:
        with pytest.raises(ContainerCorrupt):
            decode_index(footer([block_entry(**others)]))

    def test_there_is_a_block_and_there_are_not_too_many(self) -> None:
        with pytest.raises(ContainerCorrupt, match="0 blocks"):
            decode_index(footer([]))
        with pytest.raises(ContainerCorrupt, match=f"{MAX_BLOCKS + 1} blocks"):
            decode_index(footer([block_entry()] * (MAX_BLOCKS + 1)))

    def test_blocks_that_overlap_are_refused(self) -> None:
        with pytest.raises(ContainerCorrupt, match="footer: a block at 63"):
            decode_index(footer([block_entry(), block_entry()]))
        behind = "0000000000000049" + "0000000a" + "00000064" + "abcdef01" + "02" + "00000001"
        with pytest.raises(ContainerCorrupt, match="footer: a block from 6 on overlaps"):
            decode_index(footer([block_entry(), block_entry(place=behind)]))

    @given(st.data())
    def test_any_bytes_are_an_index_or_refused(self, data: st.DataObject) -> None:
        raw = bytearray(footer())
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        try:
            index = decode_index(bytes(raw))
        except ContainerError:
            return
        assert index.blocks
        for before, after in pairwise(index.blocks):
            assert before.range.end == after.offset
        # What was decoded can be written again.
        assert decode_index(encode_index(index)).blocks == index.blocks
