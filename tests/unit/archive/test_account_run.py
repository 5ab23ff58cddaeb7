"""The bytes of account runs, and how runs merge."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from hashlib import sha256
from zlib import adler32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.account_run import (
    KEY_BYTES,
    MERGE_RUNS,
    PAGE_RECORDS,
    RECORD_BYTES,
    AccountRunError,
    Filter,
    Manifest,
    Page,
    Run,
    choose_merge,
    merge_pages,
)

MAX_ROW_BYTES = 1_000_000  # what the design allows a row of a run


def record(key: bytes, value: int = 0) -> bytes:
    return key + value.to_bytes(RECORD_BYTES - KEY_BYTES, "big")


def records_of(seed: int, count: int) -> list[bytes]:
    source = random.Random(seed)
    return [record(key, source.getrandbits(600)) for key in sorted(source.randbytes(KEY_BYTES) for _ in range(count))]


def sealed(body: bytes) -> bytes:
    return body + adler32(body).to_bytes(4, "little")


keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
runs_of_records = st.dictionaries(keys, st.integers(0, 9)).map(
    lambda found: [record(key, value) for key, value in sorted(found.items())]
)
MANIFEST = Manifest(
    checkpoint_seq=1_795_000_000_000_000,
    next_run_id=9,
    runs=(Run(8, (b"\x01" * 16,), (3,), (5,)), Run(2, (b"\x00" * 16, b"\x80" * 16), (1_365, 20), (0, 1))),
)


class TestGoldenBytes:
    def test_page(self) -> None:
        records = [record(b"\x11" * 16, 1), record(b"\x22" * 16, 2)]
        row = Page.encode(7, 3, records)
        assert row == sealed(b"ERP1\x07\0\0\0\x03\0\0\0" + records[0] + records[1])

    def test_filter(self) -> None:
        row = Filter.encode(7, 3, [record(bytes(range(16)))])
        # There is one word; 0x0f0e0d0c sets its bits 12 and 8 (low ten bits), 3 and 28 (next ten).
        assert row == sealed(b"ERF1\x07\0\0\0\x03\0\0\0" + (1 << 12 | 1 << 8 | 1 << 3 | 1 << 28).to_bytes(4, "little"))

    def test_manifest(self) -> None:
        assert MANIFEST.encode() == sealed(
            b"ERM1" + bytes(8)
            + (1_795_000_000_000_000).to_bytes(8, "little") + b"\x09\0\0\0\x02\0\0\0"
            + b"\x08\0\0\0\x01\0\0\0" + b"\x05\0\0\0\x03\0\0\0" + b"\x01" * 16
            + b"\x02\0\0\0\x02\0\0\0" + b"\0\0\0\0\x55\x05\0\0" + b"\0" * 16 + b"\x01\0\0\0\x14\0\0\0" + b"\x80" * 16
        )  # fmt: skip

    def test_a_full_page_and_its_filter(self) -> None:
        records = records_of(1, PAGE_RECORDS)
        rows = Page.encode(1, 0, records) + Filter.encode(1, 0, records)
        assert sha256(rows).hexdigest() == "b4261da60f98eb0126d8e619034324cf3b2cf252be4d1a425cd225633d450ef7"

    def test_a_full_row_is_within_the_bound(self) -> None:
        records = records_of(1, PAGE_RECORDS)
        assert len(Page.encode(1, 0, records)) + len(Filter.encode(1, 0, records)) <= MAX_ROW_BYTES


class TestPage:
    @given(runs_of_records, st.lists(keys, max_size=5))
    def test_a_page_finds_what_it_holds_and_nothing_else(self, records: list[bytes], others: list[bytes]) -> None:
        page = Page.decode(4, 2, len(records), Page.encode(4, 2, records))
        assert page.records() == records
        assert len(page) == len(records)
        twin = {found[:KEY_BYTES]: found for found in records}
        for key in [*twin, *others]:
            assert page.find(key) == twin.get(key)


class TestFilter:
    @given(runs_of_records.filter(bool))
    def test_a_filter_never_denies_what_the_page_holds(self, records: list[bytes]) -> None:
        filter_ = Filter.decode(4, 2, Filter.encode(4, 2, records))
        assert all(filter_.may_contain(found[:KEY_BYTES]) for found in records)

    def test_a_filter_denies_nearly_all_other_keys(self) -> None:
        filter_ = Filter.decode(1, 0, Filter.encode(1, 0, records_of(1, PAGE_RECORDS)))
        source = random.Random(2)
        passed = sum(filter_.may_contain(source.randbytes(KEY_BYTES)) for _ in range(20_000))
        assert passed < 240  # 1.2 %; 0.8 % is expected


PAGE_ROW = Page.encode(4, 2, records_of(3, 2))
FILTER_ROW = Filter.encode(4, 2, records_of(3, 5))


class TestDamage:
    """Any damage to a row, and any other row in its place, is an error with a name."""

    @pytest.mark.parametrize("length", range(len(PAGE_ROW)))
    def test_a_page_that_is_cut_short(self, length: int) -> None:
        with pytest.raises(AccountRunError, match="page 2 of run 4"):
            Page.decode(4, 2, 2, PAGE_ROW[:length])

    @pytest.mark.parametrize("length", range(len(FILTER_ROW)))
    def test_a_filter_that_is_cut_short(self, length: int) -> None:
        with pytest.raises(AccountRunError, match="filter 2 of run 4"):
            Filter.decode(4, 2, FILTER_ROW[:length])

    @pytest.mark.parametrize("length", range(len(MANIFEST.encode())))
    def test_a_manifest_that_is_cut_short(self, length: int) -> None:
        with pytest.raises(AccountRunError, match="manifest"):
            Manifest.decode(MANIFEST.encode()[:length])

    @given(st.integers(0, len(PAGE_ROW) - 1), st.integers(1, 255))
    def test_a_byte_of_a_page_that_changed(self, at: int, change: int) -> None:
        row = PAGE_ROW[:at] + bytes([PAGE_ROW[at] ^ change]) + PAGE_ROW[at + 1 :]
        with pytest.raises(AccountRunError, match="the checksum does not match"):
            Page.decode(4, 2, 2, row)

    def test_a_page_of_another_place(self) -> None:
        with pytest.raises(AccountRunError, match="belongs to page 2 of run 4"):
            Page.decode(4, 1, 2, PAGE_ROW)
        with pytest.raises(AccountRunError, match="belongs to page 2 of run 4"):
            Page.decode(5, 2, 2, PAGE_ROW)

    def test_a_row_of_another_kind(self) -> None:
        with pytest.raises(AccountRunError, match="the row is a b'ERF1'"):
            Page.decode(4, 2, 0, FILTER_ROW)

    def test_a_page_with_another_number_of_records(self) -> None:
        with pytest.raises(AccountRunError, match="208 bytes are not 3 records"):
            Page.decode(4, 2, 3, PAGE_ROW)

    @pytest.mark.parametrize("words", [b"", b"\0\0\0"])
    def test_a_filter_without_whole_words(self, words: bytes) -> None:
        with pytest.raises(AccountRunError, match="are not a filter"):
            Filter.decode(4, 2, sealed(FILTER_ROW[:12] + words))

    @pytest.mark.parametrize(
        ("manifest", "problem"),
        [
            (MANIFEST._replace(next_run_id=8), "a run id is used twice or lies ahead"),
            (MANIFEST._replace(runs=(MANIFEST.runs[0], MANIFEST.runs[1]._replace(run_id=8))), "used twice"),
            (
                MANIFEST._replace(runs=(MANIFEST.runs[0]._replace(slots=(1,)), MANIFEST.runs[1])),
                "two pages in one slot",
            ),
            (MANIFEST._replace(runs=(MANIFEST.runs[1]._replace(first_keys=(b"\1" * 16, b"\0" * 16)),)), "not in order"),
            (MANIFEST._replace(runs=(MANIFEST.runs[1]._replace(first_keys=(b"\1" * 16,) * 2),)), "not in order"),
            (MANIFEST._replace(runs=(MANIFEST.runs[0]._replace(counts=(0,)),)), "not in order"),
            (MANIFEST._replace(runs=(Run(1, (), (), ()),)), "does not hold the runs that it announces"),
        ],
    )
    def test_a_manifest_that_cannot_be(self, manifest: Manifest, problem: str) -> None:
        with pytest.raises(AccountRunError, match=problem):
            Manifest.decode(manifest.encode())

    @pytest.mark.parametrize("change", [b"more", b"\0" * 24])
    def test_a_manifest_with_trailing_bytes(self, change: bytes) -> None:
        with pytest.raises(AccountRunError, match="its runs take"):
            Manifest.decode(sealed(MANIFEST.encode()[:-4] + change))

    @pytest.mark.parametrize("length", range(12, len(MANIFEST.encode()) - 4))
    def test_a_manifest_that_was_sealed_short(self, length: int) -> None:
        with pytest.raises(AccountRunError, match="manifest"):
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
        run = MANIFEST.runs[1]._replace(first_keys=(b"\x10" * 16, b"\x80" * 16))
        first_bytes = (0x00, 0x0F, 0x10, 0x7F, 0x80, 0xFF)
        assert [run.page_of(bytes([first]) * 16) for first in first_bytes] == [-1, -1, 0, 0, 1, 1]
        assert run.page_of(b"") == -1
        assert run.records == 1_385


class TestChooseMerge:
    @pytest.mark.parametrize(
        ("sizes", "chosen"),
        [
            ([], None),
            ([5], None),
            ([49, 100], None),
            ([50, 100], slice(0, 2)),
            ([10, 10, 10, 100], None),
            ([10, 10, 10, 10, 100], slice(0, 4)),
            ([10, 10, 10, 31, 1_000], None),
            ([10, 10, 10, 30, 1_000], slice(0, 4)),
            ([1, 10, 10, 10, 10, 1_000], slice(1, 5)),
            ([30, 1, 1, 1, 1_000], slice(0, 4)),
        ],
    )
    def test_examples(self, sizes: list[int], chosen: slice | None) -> None:
        assert choose_merge(sizes) == chosen

    @given(st.lists(st.integers(1, 1_000), max_size=300))
    def test_runs_stay_few_and_stale_records_bounded(self, checkpoints: list[int]) -> None:
        sizes: list[int] = []
        for size in checkpoints:
            sizes.insert(0, size)
            while (chosen := choose_merge(sizes)) is not None:
                assert chosen.stop - chosen.start >= min(2, MERGE_RUNS)
                sizes[chosen] = [sum(sizes[chosen])]
            assert 2 * sum(sizes[:-1]) < sizes[-1]
            assert len(sizes) <= 3 * len(bin(sum(sizes)))


def cut(records: Sequence[bytes], lengths: Sequence[int]) -> Iterator[list[bytes]]:
    """Cut a run into pages of these lengths, over and over."""
    at, which = 0, 0
    while at < len(records):
        length = lengths[which % len(lengths)]
        yield list(records[at : at + length])
        at, which = at + length, which + 1


class TestMergePages:
    @given(
        st.lists(st.tuples(runs_of_records, st.lists(st.integers(1, 4), min_size=1, max_size=3)), max_size=5),
        st.lists(st.sampled_from([bytes([n]) * KEY_BYTES for n in range(12)]), max_size=30),
        st.integers(1, 6),
    )
    def test_merging_agrees_with_a_dictionary(
        self, runs: list[tuple[list[bytes], list[int]]], shared: list[bytes], page_records: int
    ) -> None:
        source = random.Random(len(shared))
        inputs = []
        for records, lengths in runs:
            mixed = {found[:KEY_BYTES]: found for found in records}
            mixed |= {key: record(key, source.getrandbits(20)) for key in shared if source.random() < 0.5}
            inputs.append(([mixed[key] for key in sorted(mixed)], lengths))
        twin: dict[bytes, bytes] = {}
        for records, _ in inputs:
            twin |= {found[:KEY_BYTES]: found for found in records}
        pages = list(merge_pages([cut(records, lengths) for records, lengths in inputs], page_records))
        assert [found for page in pages for found in page] == [twin[key] for key in sorted(twin)]
        assert all(len(page) == page_records for page in pages[:-1])
        assert all(pages)

    def test_merging_reads_only_a_page_of_each_run_ahead(self) -> None:
        read = [0, 0, 0]

        def counted(which: int) -> Iterator[list[bytes]]:
            for page in cut(records_of(which, 300), [10]):
                read[which] += 1
                yield page

        merged = merge_pages([counted(which) for which in range(3)], 30)
        for pages_out in range(1, 31):
            assert len(next(merged)) == 30
            assert sum(read) <= 3 * pages_out + 2 * 3
