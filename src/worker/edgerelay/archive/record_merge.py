"""Merging record runs: which ones, and how several become one.

Records are bytes that begin with their key, as in `record_run`; nothing else is known of them here, and nothing is read
or written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from edgerelay.archive.record_run import KEY_BYTES, PAGE_RECORDS

__all__ = ["MERGE_RUNS", "Sieve", "choose_merge", "merge_pages"]

MERGE_RUNS: Final = 4
"""Runs of similar size that are merged together: fewer would rewrite each record more often, more would slow reads."""

Sieve = Callable[[list[bytes]], list[bytes]]
"""Says which of some records, which are in key order, are worth keeping."""


def choose_merge(sizes: Sequence[int]) -> slice | None:
    """Return which runs to merge next, given the records of each run from newest to oldest; None if all is well.

    1. When all newer runs together reach half of the oldest, everything becomes one run: so there are never many
       more than 1.5 records per key.
    2. Otherwise the newest `MERGE_RUNS` or more neighbours of which none is larger than those before it together.

    A record is then rewritten about log2(keys / checkpoint) times at worst, and runs stay about as few.
    """
    oldest = len(sizes) - 1
    if oldest > 0 and 2 * sum(sizes[:oldest]) >= sizes[oldest]:
        return slice(0, len(sizes))
    start = 0
    while start < oldest:
        total, stop = sizes[start], start + 1
        while stop < oldest and sizes[stop] <= total:
            total += sizes[stop]
            stop += 1
        if stop - start >= MERGE_RUNS:
            return slice(start, stop)
        start = stop
    return None


def merge_pages(
    runs: Sequence[Iterable[Sequence[bytes]]], page_records: int = PAGE_RECORDS, sieve: Sieve = list
) -> Iterator[Sequence[bytes]]:
    """Merge runs, given as their pages of records from oldest to newest; where keys are equal the newest record stays,
    if `sieve` lets it.

    Yields full pages and a last one, and an empty one whenever another page's worth did not pass the sieve: so there is
    always little to do until the next one. It reads as little ahead as it can: one page of each run is in memory.
    """
    pages = [iter(run) for run in runs]
    heads: list[Sequence[bytes]] = [() for _ in runs]
    merged: list[bytes] = []
    dropped = 0
    while True:
        for which, head in enumerate(heads):
            heads[which] = head or next(pages[which], ())
        if not any(heads):
            break
        # Up to the smallest last key nothing unread can be missing.
        limit = min(head[-1][:KEY_BYTES] for head in heads if head)
        newest: dict[bytes, bytes] = {}
        for which, head in enumerate(heads):
            cut = bisect_right(head, limit, key=_key)
            newest.update({record[:KEY_BYTES]: record for record in head[:cut]})
            heads[which] = head[cut:]
        kept = sieve(sorted(newest.values()))
        merged += kept
        while len(merged) >= page_records:
            yield merged[:page_records]
            del merged[:page_records]
        dropped += len(newest) - len(kept)
        if dropped >= page_records:
            yield ()
            dropped = 0
    if merged:
        yield merged


def _key(record: bytes) -> bytes:
    return record[:KEY_BYTES]
