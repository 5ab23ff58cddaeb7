"""Containers: what was written is read by ranges, and whatever is wrong with an object has a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import BlockError, SealedBlock, unseal
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container import (
    MAX_FOOTER_BYTES,
    MAX_HEADER_BYTES,
    TAIL_BYTES,
    ContainerOpening,
    ContainerWriter,
    read_header,
)
from edgerelay.archive.container_errors import (
    ContainerCorrupt,
    ContainerError,
    ContainerForeign,
    ContainerNewer,
    ContainerTruncated,
)
from edgerelay.archive.container_index import MAX_BLOCKS, ByteRange, ContainerIndex, Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.entries import write_entry
from edgerelay.archive.firehose_block import open_batch, seal_batch
from edgerelay.errors import InvariantError
from tests.conftest import ROOT
from tests.packing import (
    CODECS,
    GOLDEN,
    HOUR_US,
    a_batch,
    blob_blocks,
    container_of,
    firehose_blocks,
    golden_containers,
    jetstream_blocks,
    open_container,
)

WHOLE = container_of(firehose_blocks(), generation=1)
LINES = container_of(jetstream_blocks(), Stream.JETSTREAM)
TRAILER_BYTES = 14


def blocks_of(data: bytes) -> list[SealedBlock]:
    """All sealed blocks, each read by its own range."""
    placed = open_container(data).blocks
    return [SealedBlock(each.facts, data[each.offset : each.range.end]) for each in placed]


def large_container(blocks: int) -> bytes:
    """With so many blocks that its footer is longer than what is read first."""
    dids = [f"did:plc:{number}" for number in range(60)]
    return container_of(seal_batch(a_batch(1_000 * number, dids), ZlibCodec(1)) for number in range(1, blocks + 1))


class TestWrite:
    def test_what_was_written_is_read(self) -> None:
        assert blocks_of(WHOLE) == firehose_blocks()
        assert [open_batch(each, CODECS) for each in blocks_of(WHOLE)] == [
            open_batch(each, CODECS) for each in firehose_blocks()
        ]
        assert open_container(WHOLE)[:5] == (Stream.FIREHOSE, 1, HOUR_US, HOUR_US + 10, HOUR_US + 134)

    def test_both_streams_have_one_format(self) -> None:
        assert blocks_of(LINES) == jetstream_blocks()
        assert unseal(blocks_of(LINES)[0], CODECS).endswith(b'"kind":"account"}\n')
        assert open_container(LINES).stream is Stream.JETSTREAM

    def test_the_writer_gives_each_byte_once_and_knows_what_readers_will(self) -> None:
        writer = ContainerWriter(Stream.FIREHOSE, 1)
        written = b""
        for block in firehose_blocks():
            written += writer.add(block)
            assert written.endswith(block.packed)
            assert writer.written_bytes == len(written)
        index = writer.index()
        written += writer.finish()
        assert written == WHOLE
        assert writer.written_bytes == len(WHOLE)
        assert index == open_container(WHOLE)

    @given(st.lists(st.booleans(), min_size=2, max_size=2))
    def test_containers_are_joined_without_unpacking(self, cuts: list[bool]) -> None:
        """Blocks of several containers, read by range and written again, are the container of all of them."""
        parts: list[list[SealedBlock]] = [[]]
        for block, cut in zip(firehose_blocks(), [False, *cuts], strict=True):
            if cut:
                parts.append([])
            parts[-1].append(block)
        containers = [container_of(part) for part in parts]
        assert container_of([block for each in containers for block in blocks_of(each)], generation=1) == WHOLE

    def test_a_damaged_block_is_not_written(self) -> None:
        block = firehose_blocks()[0]
        writer = ContainerWriter(Stream.FIREHOSE)
        for packed in (block.packed[:-1], block.packed[:-1] + b"\0"):
            with pytest.raises(BlockError):
                writer.add(block._replace(packed=packed))
        assert writer.written_bytes == 0
        assert writer.add(block) + writer.finish() == container_of([block])

    def test_blocks_must_come_in_order(self) -> None:
        first, second, third = firehose_blocks()
        writer = ContainerWriter(Stream.FIREHOSE)
        written = writer.add(second)
        for block in (first, second):
            with pytest.raises(InvariantError, match="overlaps"):
                writer.add(block)
        written += writer.add(third) + writer.finish()
        assert written == container_of([second, third])

    def test_a_container_has_a_block(self) -> None:
        with pytest.raises(InvariantError, match="without blocks"):
            ContainerWriter(Stream.FIREHOSE).finish()

    def test_a_container_has_room_for_so_many_blocks(self) -> None:
        writer = ContainerWriter(Stream.FIREHOSE)
        block = firehose_blocks()[0]
        for number in range(MAX_BLOCKS):
            contents = block.facts.contents._replace(prev_seq=number, first_seq=number + 1, last_seq=number + 1)
            numbered = block._replace(facts=block.facts._replace(contents=contents))
            assert writer.has_room(numbered.facts)
            writer.add(numbered)
        assert not writer.has_room(block.facts)
        with pytest.raises(InvariantError, match=f"a container of {MAX_BLOCKS} blocks"):
            writer.add(block)
        assert len(writer.finish()) < MAX_FOOTER_BYTES

    def test_a_footer_never_becomes_longer_than_readers_take(self) -> None:
        """Each block with as many accounts as it can have, all different."""
        writer, block = ContainerWriter(Stream.FIREHOSE), firehose_blocks()[0]
        data, number = b"", 0
        while True:
            hashes = b"".join([each.to_bytes(4, "big") for each in range(number * 65_536, (number + 1) * 65_536)])
            contents = block.facts.contents._replace(
                prev_seq=number, first_seq=number + 1, last_seq=number + 1, did_filter=DidFilter(hashes)
            )
            full = block._replace(facts=block.facts._replace(contents=contents))
            if not writer.has_room(full.facts):
                break
            data += writer.add(full)
            number += 1
        footer = writer.finish()
        assert MAX_FOOTER_BYTES * 0.8 < len(footer) <= MAX_FOOTER_BYTES + TRAILER_BYTES
        assert open_container(data + footer).blocks[-1].facts.contents.last_seq == number


class TestGolden:
    @pytest.mark.parametrize("name", ["firehose.ers", "jetstream.ers", "blobs.ers"])
    def test_the_writer_writes_the_same_bytes_as_ever(self, name: str) -> None:
        assert golden_containers()[name] == (GOLDEN / name).read_bytes()

    def test_the_reader_reads_what_was_written_once(self) -> None:
        frames = (GOLDEN / "firehose.ers").read_bytes()
        assert [open_batch(each, CODECS) for each in blocks_of(frames)] == [
            open_batch(each, CODECS) for each in firehose_blocks()
        ]
        lines = (GOLDEN / "jetstream.ers").read_bytes()
        assert blocks_of(lines) == jetstream_blocks()
        assert open_container(lines).header == (Stream.JETSTREAM, 0, HOUR_US, HOUR_US + 10)
        assert blocks_of((GOLDEN / "blobs.ers").read_bytes()) == blob_blocks()

    def test_the_documentation_shows_one_of_them(self) -> None:
        page = (ROOT / "docs" / "segment-format.md").read_text()
        shown = re.findall(r"^ *([0-9]+) ((?: [0-9a-f]{2})+)  ", page, re.MULTILINE)
        data = bytes.fromhex("".join([row for _, row in shown]))
        assert data == (GOLDEN / "jetstream.ers").read_bytes()
        starts = list(accumulate([len(bytes.fromhex(row)) for _, row in shown], initial=0))
        assert [int(start) for start, _ in shown] == starts[:-1]


class TestOpen:
    def test_a_short_container_is_read_at_once(self) -> None:
        opening = ContainerOpening(len(WHOLE))
        assert opening.wanted == ByteRange(0, len(WHOLE))
        opening.take(WHOLE)
        assert opening.wanted is None
        assert opening.index.blocks[0].facts == firehose_blocks()[0].facts

    def test_of_a_long_one_the_end_is_read_and_then_what_is_missing_of_the_footer(self) -> None:
        data = large_container(200)
        opening = ContainerOpening(len(data))
        asked = []
        while opening.wanted is not None:
            asked.append(opening.wanted)
            opening.take(data[opening.wanted.offset : opening.wanted.end])
        tail, rest = asked
        assert tail == ByteRange(len(data) - TAIL_BYTES, TAIL_BYTES)
        assert rest.end == tail.offset
        assert rest.offset == opening.index.blocks[-1].range.end, "no byte of a block is read"
        assert len(opening.index.blocks) == 200

    def test_of_a_middling_one_the_end_is_enough(self) -> None:
        data = large_container(78)
        assert len(data) > TAIL_BYTES
        opening = ContainerOpening(len(data))
        opening.take(data[-TAIL_BYTES:])
        assert len(opening.index.blocks) == 78

    def test_of_one_whose_footer_is_as_long_as_what_is_read_first_nothing_more_is_asked_for(self) -> None:
        data = large_container(20)
        index = open_container(data)
        start, end = index.blocks[-1].range.end, len(data) - TRAILER_BYTES
        skipped = write_entry(77, bytes(TAIL_BYTES - (len(data) - start) - len(write_entry(77, b""))))
        footer = data[start:end] + skipped + data[end : end + 2] + (end - start + len(skipped)).to_bytes(4, "big")
        padded = data[:start] + footer + crc32(footer).to_bytes(4, "big") + data[-4:]
        opening = ContainerOpening(len(padded))
        opening.take(padded[-TAIL_BYTES:])
        assert (opening.wanted, opening.index) == (None, index)
        assert padded[:-TAIL_BYTES] == data[:start]

    def test_it_is_used_as_it_asks(self) -> None:
        opening = ContainerOpening(len(WHOLE))
        with pytest.raises(InvariantError, match="not open yet"):
            _ = opening.index
        opening.take(WHOLE)
        with pytest.raises(InvariantError, match="nothing was wanted"):
            opening.take(b"")

    def test_fewer_bytes_than_were_wanted_are_no_container(self) -> None:
        with pytest.raises(ContainerTruncated, match="instead of"):
            ContainerOpening(len(WHOLE)).take(WHOLE[1:])

    def test_the_header_says_the_same(self) -> None:
        assert read_header(WHOLE) == open_container(WHOLE).header
        assert read_header(LINES[:MAX_HEADER_BYTES]) == open_container(LINES).header


def resealed(data: bytes, change: Callable[[bytearray], None]) -> bytes:
    """A container whose footer was changed by somebody who knows the checksum."""
    index = open_container(data)
    start = index.blocks[-1].range.end
    footer = bytearray(data[start:-8])
    change(footer)
    return data[:start] + footer + crc32(footer).to_bytes(4, "big") + data[-4:]


class TestWrongObjects:
    @pytest.mark.parametrize("end", [0, 1, 3, 4, 10, 63, 300, len(WHOLE) - 14, len(WHOLE) - 1])
    def test_one_that_is_cut_short_is_truncated(self, end: int) -> None:
        with pytest.raises(ContainerTruncated):
            open_container(WHOLE[:end])

    def test_any_end_that_is_missing_is_noticed(self) -> None:
        for end in range(len(WHOLE)):
            with pytest.raises(ContainerError):
                open_container(WHOLE[:end])

    def test_any_beginning_that_is_missing_is_noticed(self) -> None:
        for start in range(1, len(WHOLE)):
            with pytest.raises(ContainerError):
                open_container(WHOLE[start:])
        with pytest.raises(ContainerTruncated, match="speaks of"):
            open_container(WHOLE[1:])

    def test_one_of_which_the_middle_is_missing_is_truncated(self) -> None:
        with pytest.raises(ContainerTruncated, match=f"its index speaks of {len(WHOLE)}"):
            open_container(WHOLE[:100] + WHOLE[110:])

    def test_one_with_more_bytes_than_it_knows_of_is_corrupt(self) -> None:
        with pytest.raises(ContainerCorrupt, match=f"its index speaks of {len(WHOLE)}"):
            open_container(b"\0" + WHOLE)

    def test_a_truncated_one_that_is_long_costs_one_more_look(self) -> None:
        data = large_container(200)[:-1]
        opening = ContainerOpening(len(data))
        opening.take(data[-TAIL_BYTES:])
        assert opening.wanted == ByteRange(0, 4)
        with pytest.raises(ContainerTruncated, match="begins as a container"):
            opening.take(data[:4])

    @pytest.mark.parametrize("data", [b"{", b"text", b"PK\3\4" + bytes(500), bytes(TAIL_BYTES * 2)], ids=len)
    def test_what_never_was_a_container_is_foreign(self, data: bytes) -> None:
        with pytest.raises(ContainerForeign):
            open_container(data)
        with pytest.raises(ContainerForeign):
            read_header(data)

    def test_what_only_ends_as_one_is_refused(self) -> None:
        with pytest.raises(ContainerError):
            open_container(bytes(100) + WHOLE[-14:])

    @pytest.mark.parametrize("at", [TRAILER_BYTES, TRAILER_BYTES - 1])
    def test_a_newer_version_is_refused_by_name(self, at: int) -> None:
        data = bytearray(WHOLE)
        data[-at] += 1
        with pytest.raises(ContainerNewer, match=r"a container of version (2|257); this code knows 1"):
            open_container(bytes(data))

    def test_a_footer_that_is_too_long_is_not_read(self) -> None:
        data = bytearray(WHOLE)
        data[-12] = 0x7F
        with pytest.raises(ContainerCorrupt, match="a footer of"):
            open_container(bytes(data))

    def test_a_footer_longer_than_the_object_is_truncated(self) -> None:
        data = bytearray(WHOLE)
        data[-10] = 0xFF
        with pytest.raises(ContainerTruncated, match="in an object of"):
            open_container(bytes(data))

    def test_a_changed_footer_does_not_match_its_checksum(self) -> None:
        start = open_container(WHOLE).blocks[-1].range.end
        for at in (start, start + 100, len(WHOLE) - 20, len(WHOLE) - 5):
            data = bytearray(WHOLE)
            data[at] ^= 1
            with pytest.raises(ContainerCorrupt, match="the checksum of the footer"):
                open_container(bytes(data))

    def test_an_index_that_begins_before_the_header_is_corrupt(self) -> None:
        def earlier(entries: bytearray) -> None:
            for placed in open_container(WHOLE).blocks:
                at = entries.index(placed.offset.to_bytes(8, "big") + placed.facts.packed_bytes.to_bytes(4, "big"))
                entries[at : at + 8] = (placed.offset - 60).to_bytes(8, "big")

        with pytest.raises(ContainerCorrupt, match="speaks of"):
            open_container(resealed(WHOLE, earlier)[60:])

    @given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
    def test_each_changed_byte_is_noticed_or_changes_nothing(self, at: int, value: int) -> None:
        data = bytearray(WHOLE)
        data[at] ^= value
        try:
            batches = [open_batch(each, CODECS) for each in blocks_of(bytes(data))]
        except (ContainerError, BlockError):
            return
        assert batches == [open_batch(each, CODECS) for each in firehose_blocks()]
        assert open_container(bytes(data)) == open_container(WHOLE)
        assert at < open_container(WHOLE).blocks[0].offset, "only the header is not read"

    @given(st.integers(0, 62), st.integers(1, 255))
    def test_each_changed_byte_of_the_header_is_noticed_by_who_reads_it(self, at: int, value: int) -> None:
        data = bytearray(WHOLE)
        data[at] ^= value
        with pytest.raises(ContainerError):
            read_header(bytes(data))

    @pytest.mark.parametrize("end", [0, 4, 9, 62])
    def test_a_header_that_is_cut_short_is_truncated(self, end: int) -> None:
        with pytest.raises(ContainerTruncated):
            read_header(WHOLE[:end])

    def test_a_header_is_not_longer_than_what_is_read_of_it(self) -> None:
        longest = MAX_HEADER_BYTES - 14
        with pytest.raises(ContainerTruncated):
            read_header(WHOLE[:6] + longest.to_bytes(4, "big") + WHOLE[10:])
        with pytest.raises(ContainerCorrupt, match=f"a header of {longest + 1} bytes"):
            read_header(WHOLE[:6] + (longest + 1).to_bytes(4, "big") + WHOLE[10:])

    @given(st.binary(max_size=200), st.booleans(), st.booleans())
    def test_any_bytes_are_a_container_or_refused(self, data: bytes, begins: bool, ends: bool) -> None:
        framed = (WHOLE[:6] if begins else b"") + data + (WHOLE[-14:] if ends else b"")
        for read in (open_container, read_header):
            with pytest.raises(ContainerError):
                read(framed)

    @given(st.data())
    def test_a_footer_by_somebody_who_knows_the_checksum_is_read_or_refused(self, data: st.DataObject) -> None:
        def change(footer: bytearray) -> None:
            for _ in range(data.draw(st.integers(1, 3))):
                footer[data.draw(st.integers(0, len(footer) - 1))] = data.draw(st.integers(0, 255))

        changed = resealed(WHOLE, change)
        try:
            index: ContainerIndex = open_container(changed)
            for block in blocks_of(changed):
                open_batch(block, CODECS)
        except (ContainerError, BlockError):
            return
        assert index.blocks_from(0) == index.blocks
