"""Which runs merge, and that merging is what a dictionary would do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.record_merge import MERGE_RUNS, choose_merge, merge_pages
from edgerelay.archive.record_run import KEY_BYTES


def record(key: bytes, value: int = 0) -> bytes:
    return key + value.to_bytes(4, "big")


def value_of(record: bytes) -> int:
    return int.from_bytes(record[KEY_BYTES:], "big")


def records_of(seed: int, count: int) -> list[bytes]:
    source = random.Random(seed)
    return [record(key, number) for number, key in enumerate(sorted(source.randbytes(KEY_BYTES) for _ in range(count)))]


keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
runs_of_records = st.dictionaries(keys, st.integers(0, 9)).map(
    lambda found: [record(key, value) for key, value in sorted(found.items())]
)


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

    @given(st.lists(st.tuples(runs_of_records, st.lists(st.integers(1, 4), min_size=1, max_size=3)), max_size=5))
    def test_the_sieve_is_asked_once_about_the_newest_of_each_key(
        self, runs: list[tuple[list[bytes], list[int]]]
    ) -> None:
        asked: list[bytes] = []

        def odd(records: list[bytes]) -> list[bytes]:
            asked.extend(records)
            return [found for found in records if value_of(found) % 2]

        twin: dict[bytes, bytes] = {}
        for records, _ in runs:
            twin |= {found[:KEY_BYTES]: found for found in records}
        pages = list(merge_pages([cut(records, lengths) for records, lengths in runs], 3, odd))
        assert asked == [twin[key] for key in sorted(twin)]
        assert [found for page in pages for found in page] == [found for found in asked if value_of(found) % 2]

    @pytest.mark.parametrize("share", [1, 10, 1_000_000])
    def test_there_is_little_to_do_for_the_next_page_whatever_is_dropped(self, share: int) -> None:
        read = 0

        def counted() -> Iterator[list[bytes]]:
            nonlocal read
            for page in cut(records_of(1, 1_000), [5]):
                read += 1
                yield page

        def few(records: list[bytes]) -> list[bytes]:
            return [found for found in records if value_of(found) % share == 1 % share]

        before = yielded = 0
        for _ in merge_pages([counted()], 10, few):
            assert read - before <= 4
            before, yielded = read, yielded + 1
        assert (read, yielded <= 1_000 / 10 + 1) == (200, True)
