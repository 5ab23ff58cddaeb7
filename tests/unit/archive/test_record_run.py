"""The bytes of record runs. The golden ones are of accounts, as they are stored in the field."""

from __future__ import annotations

import random
from dataclasses import replace
from hashlib import sha256
from zlib import adler32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.record_run import (
    BLOCK_RECORDS,
    KEY_BYTES,
    PAGE_RECORDS,
    Manifest,
    Page,
    RecordRunError,
    Run,
)

MAX_ROW_BYTES = 1_000_000  # what the design allows a row of a run
ACCOUNT = 96  # bytes
LENGTHS = (KEY_BYTES + 1, 64, ACCOUNT)


def record(key: bytes, value: int = 0, length: int = ACCOUNT) -> bytes:
    rest = length - KEY_BYTES
    return key + (value & (1 << 8 * rest) - 1).to_bytes(rest, "big")


def records_of(seed: int, count: int, length: int = ACCOUNT) -> list[bytes]:
    source = random.Random(seed)
    keys = sorted(source.randbytes(KEY_BYTES) for _ in range(count))
    return [record(key, source.getrandbits(600), length) for key in keys]


def sealed(body: bytes) -> bytes:
    return body + adler32(body).to_bytes(4, "little")


keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
NEWER = Run(run_id=8, first_keys=(b"\x01" * 16,), counts=(3,), slots=(5,))
OLDER = Run(run_id=2, first_keys=(b"\x00" * 16, b"\x80" * 16), counts=(1_408, 20), slots=(0, 1))
MANIFEST = Manifest(mark=1_795_000_000_000_000, next_run_id=9, runs=(NEWER, OLDER))

FULL = Page(run_id=1, index=0, count=PAGE_RECORDS, record_bytes=ACCOUNT)
FULL_RECORDS = records_of(1, PAGE_RECORDS)
PAGE = Page(run_id=4, index=2, count=2, record_bytes=ACCOUNT)
RECORDS = records_of(3, 2)
HEAD, BLOCKS = PAGE.encode(RECORDS)


class TestGoldenBytes:
    def test_block(self) -> None:
        records = [record(b"\x11" * 16, 1), record(b"\x22" * 16, 2)]
        _, blocks = Page(run_id=7, index=3, count=2, record_bytes=ACCOUNT).encode(records)
        assert blocks == sealed(b"ERB1\x07\0\0\0\x21\0\0\0" + records[0] + records[1])

    def test_head(self) -> None:
        key = bytes(range(16))
        head, _ = Page(run_id=7, index=3, count=1, record_bytes=ACCOUNT).encode([record(key)])
        # There is one word; 0x0f0e0d0c sets its bits 12 and 8 (low ten bits), 3 and 28 (next ten).
        word = 1 << 12 | 1 << 8 | 1 << 3 | 1 << 28
        assert head == sealed(b"ERH1\x07\0\0\0\x03\0\0\0" + key + word.to_bytes(4, "little"))

    def test_manifest(self) -> None:
        assert MANIFEST.encode() == sealed(
            b"ERM1" + bytes(8)
            + (1_795_000_000_000_000).to_bytes(8, "little") + b"\x09\0\0\0\x02\0\0\0"
            + b"\x08\0\0\0\x01\0\0\0" + b"\x05\0\0\0\x03\0\0\0" + b"\x01" * 16
            + b"\x02\0\0\0\x02\0\0\0" + b"\0\0\0\0\x80\x05\0\0" + b"\0" * 16 + b"\x01\0\0\0\x14\0\0\0" + b"\x80" * 16
        )  # fmt: skip

    def test_a_full_page(self) -> None:
        head, blocks = FULL.encode(FULL_RECORDS)
        assert sha256(head + blocks).hexdigest() == "1b8d8ade8e7bb6396c22be7de515b8b79b41de0c726faf6c19ae4bbdede70f34"
        assert len(head) + len(blocks) <= MAX_ROW_BYTES


class TestPage:
    @given(st.integers(1, 2**32), st.integers(1, 3 * BLOCK_RECORDS), st.sampled_from(LENGTHS))
    def test_a_page_finds_what_it_holds_and_nothing_else(self, seed: int, count: int, length: int) -> None:
        records = records_of(seed, count, length)
        page = Page(run_id=4, index=2, count=count, record_bytes=length)
        row, blocks = page.encode(records)
        head = page.decode_head(row)
        assert page.records(blocks) == records
        for found in records:
            start, size = page.span(head.block_of(found[:KEY_BYTES]))
            assert head.may_contain(found[:KEY_BYTES])
            assert page.find(found[:KEY_BYTES], start // page.span(0)[1], blocks[start : start + size]) == found
        source = random.Random(seed + 1)
        for _ in range(10):
            key = max(source.randbytes(KEY_BYTES), records[0][:KEY_BYTES])
            block = head.block_of(key)
            start, size = page.span(block)
            twin = next((found for found in records if found[:KEY_BYTES] == key), None)
            assert page.find(key, block, blocks[start : start + size]) == twin

    @pytest.mark.parametrize(
        ("count", "spans"),
        [
            (1, [(0, 112)]),
            (BLOCK_RECORDS, [(0, 12_304)]),
            (BLOCK_RECORDS + 2, [(0, 12_304), (12_304, 208)]),
        ],
    )
    def test_where_the_blocks_of_a_page_are(self, count: int, spans: list[tuple[int, int]]) -> None:
        page = Page(run_id=1, index=0, count=count, record_bytes=ACCOUNT)
        assert [page.span(block) for block in range(page.block_count)] == spans

    def test_the_filter_denies_nearly_all_other_keys(self) -> None:
        head = FULL.decode_head(FULL.encode(FULL_RECORDS)[0])
        source = random.Random(2)
        passed = sum(head.may_contain(source.randbytes(KEY_BYTES)) for _ in range(20_000))
        assert passed < 240  # 1.2 %; 0.8 % is expected


class TestDamage:
    """Whatever happened to a row, and any other row in its place, is an error with a name."""

    @pytest.mark.parametrize("length", range(len(BLOCKS)))
    def test_blocks_that_are_cut_short(self, length: int) -> None:
        with pytest.raises(RecordRunError, match="block 22 of run 4"):
            PAGE.find(RECORDS[0][:KEY_BYTES], 0, BLOCKS[:length])
        with pytest.raises(RecordRunError, match="page 2 of run 4"):
            PAGE.records(BLOCKS[:length])

    @pytest.mark.parametrize("length", range(len(HEAD)))
    def test_a_head_that_is_cut_short(self, length: int) -> None:
        with pytest.raises(RecordRunError, match="head 2 of run 4"):
            PAGE.decode_head(HEAD[:length])

    @pytest.mark.parametrize("length", range(len(MANIFEST.encode())))
    def test_a_manifest_that_is_cut_short(self, length: int) -> None:
        with pytest.raises(RecordRunError, match="manifest"):
            Manifest.decode(MANIFEST.encode()[:length])

    @given(st.integers(0, len(BLOCKS) - 1), st.integers(1, 255))
    def test_a_byte_of_a_block_that_changed(self, at: int, change: int) -> None:
        blocks = BLOCKS[:at] + bytes([BLOCKS[at] ^ change]) + BLOCKS[at + 1 :]
        with pytest.raises(RecordRunError, match="the checksum does not match"):
            PAGE.records(blocks)

    @given(st.integers(0, len(HEAD) - 1), st.integers(1, 255))
    def test_a_byte_of_a_head_that_changed(self, at: int, change: int) -> None:
        with pytest.raises(RecordRunError, match="the checksum does not match"):
            PAGE.decode_head(HEAD[:at] + bytes([HEAD[at] ^ change]) + HEAD[at + 1 :])

    def test_a_page_of_another_place(self) -> None:
        with pytest.raises(RecordRunError, match="head 1 of run 4: found number 2 of run 4"):
            replace(PAGE, index=1).decode_head(HEAD)
        with pytest.raises(RecordRunError, match="block 22 of run 5: found number 22 of run 4"):
            replace(PAGE, run_id=5).records(BLOCKS)

    def test_another_block_of_the_same_page(self) -> None:
        _, blocks = FULL.encode(FULL_RECORDS)
        start, length = FULL.span(3)
        with pytest.raises(RecordRunError, match="block 2 of run 1: found number 3"):
            FULL.find(FULL_RECORDS[0][:KEY_BYTES], 2, blocks[start : start + length])

    def test_bytes_of_another_kind(self) -> None:
        with pytest.raises(RecordRunError, match="found a b'ERB1'"):
            Page(run_id=4, index=22, count=2, record_bytes=ACCOUNT).decode_head(BLOCKS)

    def test_records_of_another_length(self) -> None:
        other = replace(PAGE, record_bytes=64)
        with pytest.raises(RecordRunError, match="block 22 of run 4: 208 bytes instead of 144"):
            other.find(RECORDS[0][:KEY_BYTES], 0, BLOCKS)
        with pytest.raises(RecordRunError, match="page 2 of run 4: 208 bytes instead of 144"):
            other.records(BLOCKS)

    def test_another_number_of_records(self) -> None:
        other = replace(PAGE, count=3)
        with pytest.raises(RecordRunError, match="block 22 of run 4: 208 bytes instead of 304"):
            other.find(RECORDS[0][:KEY_BYTES], 0, BLOCKS)
        with pytest.raises(RecordRunError, match="page 2 of run 4: 208 bytes instead of 304"):
            other.records(BLOCKS)
        with pytest.raises(RecordRunError, match="head 2 of run 4: 36 bytes instead of 40"):
            other.decode_head(HEAD)

    @pytest.mark.parametrize(
        ("manifest", "problem"),
        [
            (MANIFEST._replace(next_run_id=8), "a run id is used twice or lies ahead"),
            (MANIFEST._replace(runs=(NEWER, OLDER._replace(run_id=8))), "used twice"),
            (MANIFEST._replace(runs=(NEWER._replace(slots=(1,)), OLDER)), "two pages in one slot"),
            (MANIFEST._replace(runs=(OLDER._replace(first_keys=(b"\1" * 16, b"\0" * 16)),)), "not in order"),
            (MANIFEST._replace(runs=(OLDER._replace(first_keys=(b"\1" * 16,) * 2),)), "not in order"),
            (MANIFEST._replace(runs=(NEWER._replace(counts=(0,)),)), "not in order"),
            (MANIFEST._replace(runs=(Run(1, (), (), ()),)), "does not hold the runs that it announces"),
        ],
    )
    def test_a_manifest_that_cannot_be(self, manifest: Manifest, problem: str) -> None:
        with pytest.raises(RecordRunError, match=problem):
            Manifest.decode(manifest.encode())

    @pytest.mark.parametrize("more", [b"more", b"\0" * 24])
    def test_a_manifest_with_trailing_bytes(self, more: bytes) -> None:
        with pytest.raises(RecordRunError, match="its runs take"):
            Manifest.decode(sealed(MANIFEST.encode()[:-4] + more))

    @pytest.mark.parametrize("length", range(12, len(MANIFEST.encode()) - 4))
    def test_a_manifest_that_was_sealed_short(self, length: int) -> None:
        with pytest.raises(RecordRunError, match="manifest"):
            Manifest.decode(sealed(MANIFEST.encode()[:length]))


class TestManifest:
    @given(
        st.integers(0, 2**53),
        st.lists(st.lists(st.tuples(keys, st.integers(1, 2_000)), min_size=1, max_size=4, unique_by=lambda p: p[0])),
    )
    def test_a_manifest_comes_back(self, seq: int, runs: list[list[tuple[bytes, int]]]) -> None:
        slots = iter(range(1_000))
        listed = []
        for run_id, pages in enumerate(runs):
            first_keys, counts = zip(*sorted(pages), strict=True)
            listed.append(Run(run_id, first_keys, counts, tuple(next(slots) for _ in pages)))
        manifest = Manifest(seq, len(runs), tuple(listed))
        assert Manifest.decode(manifest.encode()) == manifest

    def test_the_page_of_a_key(self) -> None:
        run = OLDER._replace(first_keys=(b"\x10" * 16, b"\x80" * 16))
        first_bytes = (0x00, 0x0F, 0x10, 0x7F, 0x80, 0xFF)
        assert [run.page_of(bytes([first]) * 16) for first in first_bytes] == [-1, -1, 0, 0, 1, 1]
        assert run.page_of(b"") == -1
        assert run.records == 1_428
        assert run.page(1, ACCOUNT) == Page(run_id=2, index=1, count=20, record_bytes=ACCOUNT)
