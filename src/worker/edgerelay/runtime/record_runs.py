"""A durable store of records: a table in memory over sorted runs in SQLite.

    put ──▶ memtable ──checkpoint──▶ newest run ─┐
    get ──▶ memtable ▶ recent ▶ runs, newest first, each behind the heads of its pages
                                 merge_step: neighbours ──▶ one larger run

What a run looks like is `archive.record_run`, which ones to merge `archive.record_merge`; what a record says, and for
how long, is known to its owner alone. This module owns the two tables of a store, the memory and the order of the
writes.

Rows are written once and in place: a page goes to a *slot* that the stored manifest does not use, and only when all
pages of a run are written does one more statement replace the manifest. So a crash between any two statements leaves
the runs of before; pages of a merge that was not finished are overwritten later. A slot costs one row written, new or
not, and nothing is ever deleted: the table keeps the size of its largest moment, about 2.5 records per key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush, nsmallest
from typing import Final, NamedTuple

from edgerelay.archive.record_merge import Sieve, choose_merge, merge_pages
from edgerelay.archive.record_run import (
    FILTER_BITS_PER_RECORD,
    KEY_BYTES,
    PAGE_RECORDS,
    Manifest,
    Page,
    PageHead,
    Run,
)
from edgerelay.errors import InvariantError
from edgerelay.runtime.recent import Recent
from edgerelay.runtime.sql import Sql

__all__ = ["MAX_RUNS", "RecordBounds", "RecordRuns", "RecordRunsStats", "RecordStoreError", "record_tables"]

MAX_RUNS: Final = 24
"""Runs at which a checkpoint merges before it adds one. Merging in time keeps about ten at 20,000,000 records."""


class RecordStoreError(InvariantError):
    """A store of records was used against its rules, or lost a row."""


class RecordBounds(NamedTuple):
    """What a store may hold in memory."""

    memtable_records: int
    """Records in the memtable at which the store stops: nobody calls `checkpoint`, or none succeeds."""

    recent_records: int
    """Records in each of the two generations of recently used ones."""

    heads_bytes: int
    """Bytes of page heads, of which half are there for sure; others are read again."""


class RecordRunsStats(NamedTuple):
    """How large a store is."""

    memtable: int
    """Records that wait for the next checkpoint."""

    runs: int
    """Runs that a `get` may have to ask."""

    pages: int
    """Pages of all runs."""

    records: int
    """Records of all runs: at least the number of keys, at most about 1.5 times that."""

    merging: bool
    """Whether a merge is under way."""


def record_tables(store: str) -> tuple[str, str]:
    """Return the statements that create the tables of a store; whoever owns the schema of the database runs them."""
    return (
        # The head stands first: SQLite then reads it without walking through the blocks.
        f"CREATE TABLE {store}_pages (slot INTEGER PRIMARY KEY, head BLOB NOT NULL, blocks BLOB NOT NULL)",
        f"CREATE TABLE {store}_manifest (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL)",
    )


class _Statements:
    """What is asked of the tables of one store."""

    __slots__ = ("read_block", "read_blocks", "read_head", "read_manifest", "write_manifest", "write_page")

    def __init__(self, store: str) -> None:
        self.read_manifest = f"SELECT body FROM {store}_manifest WHERE id = 0"
        self.read_head = f"SELECT head FROM {store}_pages WHERE slot = ?"
        self.read_block = f"SELECT substr(blocks, ?, ?) FROM {store}_pages WHERE slot = ?"
        self.read_blocks = f"SELECT blocks FROM {store}_pages WHERE slot = ?"
        self.write_manifest = (
            f"INSERT INTO {store}_manifest (id, body) VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        )
        self.write_page = (
            f"INSERT INTO {store}_pages (slot, head, blocks) VALUES (?, ?, ?)"
            " ON CONFLICT (slot) DO UPDATE SET head = excluded.head, blocks = excluded.blocks"
        )


def _keep_all(_records: int) -> Sieve:
    return list


class RecordRuns:
    """Records of one length by their keys, over an `Sql` database that has the tables of this store; their only user.

    `put` alone makes nothing durable: `checkpoint` does. What a crash takes is the owner's to put again, or to miss.
    """

    def __init__(
        self,
        sql: Sql,
        store: str,
        record_bytes: int,
        bounds: RecordBounds,
        *,
        page_records: int = PAGE_RECORDS,
        sieve_of: Callable[[int], Sieve] = _keep_all,
    ) -> None:
        """Open a store.

        Args:
            store: what its tables are called, as in `record_tables`.
            sieve_of: given the number of records of all runs, which are about to become one, says which to keep.
                Never asked in other merges: what is dropped from a newer run would come back from an older one.
        """
        self._sql = sql
        self._statements = _Statements(store)
        self._record_bytes = record_bytes
        self._bounds = bounds
        self._page_records = page_records
        self._sieve_of = sieve_of
        self._memtable: dict[bytes, bytes] = {}
        self._recent: Recent[bytes, bytes] = Recent(bounds.recent_records)
        head_bytes = page_records * FILTER_BITS_PER_RECORD // 8
        self._heads: Recent[tuple[int, int], PageHead] = Recent(bounds.heads_bytes // 2 // head_bytes)
        rows = sql.execute(self._statements.read_manifest)
        self._manifest = Manifest.decode(rows[0][0]) if rows else Manifest()
        self._next_run_id = self._manifest.next_run_id
        self._slots = _Slots(self._manifest)
        self._merge: _Merge | None = None

    @property
    def mark(self) -> int:
        """What the last checkpoint was given; 0 before the first."""
        return self._manifest.mark

    @property
    def waiting(self) -> int:
        """How many records wait for the next checkpoint."""
        return len(self._memtable)

    @property
    def stats(self) -> RecordRunsStats:
        """Sizes, for metrics."""
        runs = self._manifest.runs
        pages, records = sum(len(run.slots) for run in runs), sum(run.records for run in runs)
        return RecordRunsStats(self.waiting, len(runs), pages, records, self._merge is not None)

    def get(self, key: bytes) -> bytes | None:
        """Return the record that was put last under a key; None if none was, or if it was not worth keeping."""
        record = self._memtable.get(key) or self._recent.get(key)
        if record is None:
            record = self._read(key)
            if record is not None:
                self._recent.add(key, record)
        return record

    def put(self, record: bytes) -> None:
        """Add or replace a record."""
        self._memtable[record[:KEY_BYTES]] = record
        if self.waiting > self._bounds.memtable_records:
            raise RecordStoreError(f"{self.waiting} records wait for a checkpoint")

    def page(self, after: bytes, limit: int) -> list[bytes]:
        """Return the first `limit` records whose key is larger than `after`, in order of the key."""
        # The first `limit` of each source are enough to know the first `limit` of all.
        newest: dict[bytes, bytes] = {}
        for run in reversed(self._manifest.runs):
            newest.update({record[:KEY_BYTES]: record for record in self._records_after(run, after, limit)})
        keys = nsmallest(limit, (key for key in self._memtable if key > after))
        newest.update({key: self._memtable[key] for key in keys})
        return [newest[key] for key in sorted(newest)[:limit]]

    def checkpoint(self, mark: int) -> None:
        """Write the memtable as the newest run; in one transaction, which is one commit instead of one for each page.

        The pause is bounded by the size of the memtable, as long as `merge_step` is called often enough to stay below
        MAX_RUNS.
        """
        while len(self._manifest.runs) >= MAX_RUNS and self.merge_step():
            pass
        if self._memtable:
            self._write_memtable(mark)
        elif mark != self.mark:
            self._write_manifest(self._manifest._replace(mark=mark))

    def merge_step(self) -> bool:
        """Write at most one page of the merge that is due, if one is; return whether there is more to do."""
        if self._merge is None:
            self._merge = self._begin_merge()
            if self._merge is None:
                return False
        try:
            self._continue_merge(self._merge)
        except BaseException:
            self._abandon_writes()
            raise
        return True

    def _read(self, key: bytes) -> bytes | None:
        for run in self._manifest.runs:
            index = run.page_of(key)
            if index < 0:
                continue
            head = self._head(run, index)
            if head.may_contain(key):
                record = self._find(run, index, head.block_of(key), key)
                if record is not None:
                    return record
        return None

    def _find(self, run: Run, index: int, block: int, key: bytes) -> bytes | None:
        page = run.page(index, self._record_bytes)
        start, length = page.span(block)
        # SQL counts bytes from 1.
        return page.find(key, block, self._row(run, index, self._statements.read_block, start + 1, length))

    def _head(self, run: Run, index: int) -> PageHead:
        place = (run.run_id, index)
        head = self._heads.get(place)
        if head is None:
            row = self._row(run, index, self._statements.read_head)
            head = run.page(index, self._record_bytes).decode_head(row)
            self._heads.add(place, head)
        return head

    def _records_after(self, run: Run, after: bytes, limit: int) -> list[bytes]:
        records: list[bytes] = []
        index = max(0, run.page_of(after))
        while index < len(run.slots) and len(records) < limit:
            records += [record for record in self._records(run, index) if record[:KEY_BYTES] > after]
            index += 1
        return records[:limit]

    def _records(self, run: Run, index: int) -> list[bytes]:
        return run.page(index, self._record_bytes).records(self._row(run, index, self._statements.read_blocks))

    def _row(self, run: Run, index: int, query: str, *params: int) -> bytes:
        rows = self._sql.execute(query, *params, run.slots[index])
        if not rows:
            raise RecordStoreError(f"page {index} of run {run.run_id}: slot {run.slots[index]} is empty")
        # Of an empty blob SQLite's substr is NULL.
        row: bytes = rows[0][0] or b""
        return row

    def _write_memtable(self, mark: int) -> None:
        records = sorted(self._memtable.values())
        pages = [records[start : start + self._page_records] for start in range(0, len(records), self._page_records)]
        slots = [self._slots.take() for _ in pages]
        run = Run(
            self._take_run_id(), tuple(page[0][:KEY_BYTES] for page in pages), tuple(map(len, pages)), tuple(slots)
        )
        manifest = Manifest(mark, self._next_run_id, (run, *self._manifest.runs))

        def write() -> None:
            for index, page in enumerate(pages):
                self._write_page(run.page(index, self._record_bytes), slots[index], page)
            self._sql.execute(self._statements.write_manifest, manifest.encode())

        try:
            self._sql.transaction(write)
        except BaseException:
            self._abandon_writes()
            raise
        self._manifest = manifest
        self._recent.supersede(self._memtable)
        self._memtable = {}

    def _begin_merge(self) -> _Merge | None:
        runs = self._manifest.runs
        which = choose_merge([run.records for run in runs])
        if which is None:
            return None
        merged = runs[which]
        sieve = self._sieve_of(self.stats.records) if len(merged) == len(runs) else list
        oldest_first = [self._pages_of(run) for run in reversed(merged)]
        return _Merge(merged, self._take_run_id(), merge_pages(oldest_first, self._page_records, sieve))

    def _pages_of(self, run: Run) -> Iterator[list[bytes]]:
        for index in range(len(run.slots)):
            yield self._records(run, index)

    def _continue_merge(self, merge: _Merge) -> None:
        records = next(merge.pages, None)
        if records is None:
            self._finish_merge(merge)
        elif records:
            slot = self._slots.take()
            page = Page(merge.run_id, len(merge.slots), len(records), self._record_bytes)
            self._write_page(page, slot, records)
            merge.slots.append(slot)
            merge.counts.append(len(records))
            merge.first_keys.append(records[0][:KEY_BYTES])

    def _finish_merge(self, merge: _Merge) -> None:
        runs = self._manifest.runs
        at = runs.index(merge.runs[0])
        # Where the sieve has kept nothing there is no run.
        written = (merge.run(),) if merge.slots else ()
        runs = (*runs[:at], *written, *runs[at + len(merge.runs) :])
        self._write_manifest(Manifest(self.mark, self._next_run_id, runs))
        for run in merge.runs:
            self._slots.give(run.slots)
        self._merge = None

    def _write_page(self, page: Page, slot: int, records: Sequence[bytes]) -> None:
        head, blocks = page.encode(records)
        self._sql.execute(self._statements.write_page, slot, head, blocks)

    def _write_manifest(self, manifest: Manifest) -> None:
        self._sql.execute(self._statements.write_manifest, manifest.encode())
        self._manifest = manifest

    def _abandon_writes(self) -> None:
        """Go back to what the manifest says after a write failed; a merge begins anew."""
        self._merge = None
        self._slots = _Slots(self._manifest)

    def _take_run_id(self) -> int:
        run_id = self._next_run_id
        self._next_run_id += 1
        return run_id


class _Merge:
    """A merge under way: what it merges, and the pages that it has written."""

    __slots__ = ("counts", "first_keys", "pages", "run_id", "runs", "slots")

    def __init__(self, runs: tuple[Run, ...], run_id: int, pages: Iterator[Sequence[bytes]]) -> None:
        self.runs = runs
        self.run_id = run_id
        self.pages = pages
        self.first_keys: list[bytes] = []
        self.counts: list[int] = []
        self.slots: list[int] = []

    def run(self) -> Run:
        """Return the run that the merge has written."""
        return Run(self.run_id, tuple(self.first_keys), tuple(self.counts), tuple(self.slots))


class _Slots:
    """The slots that the stored manifest does not use, smallest first."""

    def __init__(self, manifest: Manifest) -> None:
        used = {slot for run in manifest.runs for slot in run.slots}
        self._next = max(used, default=-1) + 1
        self._free = [slot for slot in range(self._next) if slot not in used]
        heapify(self._free)

    def take(self) -> int:
        if self._free:
            return heappop(self._free)
        self._next += 1
        return self._next - 1

    def give(self, slots: Sequence[int]) -> None:
        for slot in slots:
            heappush(self._free, slot)
