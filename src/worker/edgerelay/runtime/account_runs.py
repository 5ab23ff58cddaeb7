"""The durable account store: a table in memory over sorted runs in SQLite.

    put ──▶ memtable ──checkpoint──▶ newest run ─┐
    get ──▶ memtable ▶ recent ▶ runs, newest first, each behind the heads of its pages
                                 merge_step: neighbours ──▶ one larger run

What a run looks like and which ones to merge is `archive.account_run`; this module owns the two tables, the memory and
the order of the writes.

Rows are written once and in place: a page goes to a *slot* that the stored manifest does not use, and only when all
pages of a run are written does one more statement replace the manifest. So a crash between any two statements leaves
the runs of before; pages of a merge that was not finished are overwritten later. A slot costs one row written, new or
not, and nothing is ever deleted: the table keeps the size of its largest moment, about 2.5 records per account.

Measured, with the reasons for each bound, in bench/accounts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush, nsmallest
from typing import Final, Generic, NamedTuple, TypeVar

from edgerelay.archive.account_run import (
    FILTER_BITS_PER_RECORD,
    KEY_BYTES,
    PAGE_RECORDS,
    Manifest,
    Page,
    PageHead,
    Run,
    choose_merge,
    merge_pages,
)
from edgerelay.errors import InvariantError
from edgerelay.relay.accounts import Account
from edgerelay.runtime.sql import Sql

__all__ = [
    "HEADS_BYTES",
    "MAX_RUNS",
    "MEMTABLE_ACCOUNTS",
    "MEMTABLE_MAX_ACCOUNTS",
    "RECENT_ACCOUNTS",
    "SCHEMA",
    "AccountRuns",
    "AccountRunsStats",
    "AccountStoreError",
]

SCHEMA: Final = (
    # The head stands first: SQLite then reads it without walking through the blocks.
    "CREATE TABLE account_pages (slot INTEGER PRIMARY KEY, head BLOB NOT NULL, blocks BLOB NOT NULL)",
    "CREATE TABLE account_manifest (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL)",
)
"""The statements that create the store's tables; whoever owns the schema of the database runs them."""

MEMTABLE_ACCOUNTS: Final = 16_384
"""Accounts in the memtable at which a checkpoint is due: 3 MB in WebAssembly, and a pause of about 50 ms to write them.

At 420 events/s that many have changed after 40 s or more; a longer interval between checkpoints is for quiet relays."""

MEMTABLE_MAX_ACCOUNTS: Final = 4 * MEMTABLE_ACCOUNTS
"""Accounts in the memtable at which the store stops: nobody calls `checkpoint`, or none succeeds."""

RECENT_ACCOUNTS: Final = 16_384
"""Accounts in each of the two generations of recently used ones: 3 MB each in WebAssembly."""

HEADS_BYTES: Final = 12_000_000
"""Bytes of page heads kept in memory: those of six million records, of which three for sure. Others are read again."""

MAX_RUNS: Final = 24
"""Runs at which a checkpoint merges before it adds one. Merging in time keeps about ten at 20,000,000 accounts."""

_READ_MANIFEST: Final = "SELECT body FROM account_manifest WHERE id = 0"
_READ_HEAD: Final = "SELECT head FROM account_pages WHERE slot = ?"
_READ_BLOCK: Final = "SELECT substr(blocks, ?, ?) FROM account_pages WHERE slot = ?"
_READ_BLOCKS: Final = "SELECT blocks FROM account_pages WHERE slot = ?"
_WRITE_MANIFEST: Final = (
    "INSERT INTO account_manifest (id, body) VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)
_WRITE_PAGE: Final = (
    "INSERT INTO account_pages (slot, head, blocks) VALUES (?, ?, ?)"
    " ON CONFLICT (slot) DO UPDATE SET head = excluded.head, blocks = excluded.blocks"
)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class AccountStoreError(InvariantError):
    """The account store was used against its rules, or lost a row."""


class AccountRunsStats(NamedTuple):
    """How large the store is."""

    memtable: int
    """Accounts that wait for the next checkpoint."""

    runs: int
    """Runs that a `get` may have to ask."""

    pages: int
    """Pages of all runs."""

    records: int
    """Records of all runs: at least the number of accounts, at most about 1.5 times that."""

    merging: bool
    """Whether a merge is under way."""


class AccountRuns:
    """`AccountStore` over an `Sql` database that has the tables of `SCHEMA`; the only user of both."""

    def __init__(self, sql: Sql, *, page_records: int = PAGE_RECORDS, recent_accounts: int = RECENT_ACCOUNTS) -> None:
        self._sql = sql
        self._page_records = page_records
        self._memtable: dict[bytes, bytes] = {}
        self._recent: _Recent[bytes, bytes] = _Recent(recent_accounts)
        head_bytes = page_records * FILTER_BITS_PER_RECORD // 8
        self._heads: _Recent[tuple[int, int], PageHead] = _Recent(HEADS_BYTES // 2 // head_bytes)
        rows = sql.execute(_READ_MANIFEST)
        self._manifest = Manifest.decode(rows[0][0]) if rows else Manifest()
        self._next_run_id = self._manifest.next_run_id
        self._slots = _Slots(self._manifest)
        self._merge: _Merge | None = None

    @property
    def checkpoint_seq(self) -> int:
        return self._manifest.checkpoint_seq

    @property
    def checkpoint_due(self) -> bool:
        return len(self._memtable) >= MEMTABLE_ACCOUNTS

    @property
    def stats(self) -> AccountRunsStats:
        """Sizes, for metrics."""
        runs = self._manifest.runs
        pages, records = sum(len(run.slots) for run in runs), sum(run.records for run in runs)
        return AccountRunsStats(len(self._memtable), len(runs), pages, records, self._merge is not None)

    def get(self, did_hash: bytes) -> Account | None:
        record = self._memtable.get(did_hash) or self._recent.get(did_hash)
        if record is None:
            record = self._read(did_hash)
            if record is None:
                return None
            self._recent.add(did_hash, record)
        return Account.decode(record)

    def put(self, account: Account) -> None:
        self._memtable[account.did_hash] = account.encode()
        if len(self._memtable) > MEMTABLE_MAX_ACCOUNTS:
            raise AccountStoreError(f"{len(self._memtable)} accounts wait for a checkpoint")

    def page(self, after: bytes, limit: int) -> list[Account]:
        # The first `limit` of each source are enough to know the first `limit` of all.
        newest: dict[bytes, bytes] = {}
        for run in reversed(self._manifest.runs):
            newest.update({record[:KEY_BYTES]: record for record in self._records_after(run, after, limit)})
        keys = nsmallest(limit, (key for key in self._memtable if key > after))
        newest.update({key: self._memtable[key] for key in keys})
        return [Account.decode(newest[key]) for key in sorted(newest)[:limit]]

    def checkpoint(self, at_seq: int) -> None:
        """Write the memtable as the newest run; in one transaction, which is one commit instead of one for each page.

        The pause is bounded by MEMTABLE_MAX_ACCOUNTS, as long as `merge_step` is called often enough to stay below
        MAX_RUNS.
        """
        if at_seq < self.checkpoint_seq:
            raise AccountStoreError(f"a checkpoint at {at_seq}, the last one was at {self.checkpoint_seq}")
        while len(self._manifest.runs) >= MAX_RUNS and self.merge_step():
            pass
        if self._memtable:
            self._write_memtable(at_seq)
        elif at_seq > self.checkpoint_seq:
            self._write_manifest(self._manifest._replace(checkpoint_seq=at_seq))

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

    def _read(self, did_hash: bytes) -> bytes | None:
        for run in self._manifest.runs:
            index = run.page_of(did_hash)
            if index < 0:
                continue
            head = self._head(run, index)
            if head.may_contain(did_hash):
                record = self._find(run, index, head.block_of(did_hash), did_hash)
                if record is not None:
                    return record
        return None

    def _find(self, run: Run, index: int, block: int, did_hash: bytes) -> bytes | None:
        page = run.page(index)
        start, length = page.span(block)
        # SQL counts bytes from 1.
        return page.find(did_hash, block, self._row(run, index, _READ_BLOCK, start + 1, length))

    def _head(self, run: Run, index: int) -> PageHead:
        key = (run.run_id, index)
        head = self._heads.get(key)
        if head is None:
            head = run.page(index).decode_head(self._row(run, index, _READ_HEAD))
            self._heads.add(key, head)
        return head

    def _records_after(self, run: Run, after: bytes, limit: int) -> list[bytes]:
        records: list[bytes] = []
        index = max(0, run.page_of(after))
        while index < len(run.slots) and len(records) < limit:
            records += [record for record in self._records(run, index) if record[:KEY_BYTES] > after]
            index += 1
        return records[:limit]

    def _records(self, run: Run, index: int) -> list[bytes]:
        return run.page(index).records(self._row(run, index, _READ_BLOCKS))

    def _row(self, run: Run, index: int, query: str, *params: int) -> bytes:
        rows = self._sql.execute(query, *params, run.slots[index])
        if not rows:
            raise AccountStoreError(f"page {index} of run {run.run_id}: slot {run.slots[index]} is empty")
        # Of an empty blob SQLite's substr is NULL.
        row: bytes = rows[0][0] or b""
        return row

    def _write_memtable(self, at_seq: int) -> None:
        records = sorted(self._memtable.values())
        pages = [records[start : start + self._page_records] for start in range(0, len(records), self._page_records)]
        slots = [self._slots.take() for _ in pages]
        run = Run(
            self._take_run_id(), tuple(page[0][:KEY_BYTES] for page in pages), tuple(map(len, pages)), tuple(slots)
        )
        manifest = Manifest(at_seq, self._next_run_id, (run, *self._manifest.runs))

        def write() -> None:
            for index, page in enumerate(pages):
                self._write_page(run.run_id, index, slots[index], page)
            self._sql.execute(_WRITE_MANIFEST, manifest.encode())

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
        oldest_first = [self._pages_of(run) for run in reversed(merged)]
        return _Merge(merged, self._take_run_id(), merge_pages(oldest_first, self._page_records))

    def _pages_of(self, run: Run) -> Iterator[list[bytes]]:
        for index in range(len(run.slots)):
            yield self._records(run, index)

    def _continue_merge(self, merge: _Merge) -> None:
        records = next(merge.pages, None)
        if records is None:
            self._finish_merge(merge)
            return
        slot = self._slots.take()
        self._write_page(merge.run_id, len(merge.slots), slot, records)
        merge.slots.append(slot)
        merge.counts.append(len(records))
        merge.first_keys.append(records[0][:KEY_BYTES])

    def _finish_merge(self, merge: _Merge) -> None:
        runs = self._manifest.runs
        at = runs.index(merge.runs[0])
        runs = (*runs[:at], merge.run(), *runs[at + len(merge.runs) :])
        self._write_manifest(Manifest(self.checkpoint_seq, self._next_run_id, runs))
        for run in merge.runs:
            self._slots.give(run.slots)
        self._merge = None

    def _write_page(self, run_id: int, index: int, slot: int, records: Sequence[bytes]) -> None:
        head, blocks = Page(run_id, index, len(records)).encode(records)
        self._sql.execute(_WRITE_PAGE, slot, head, blocks)

    def _write_manifest(self, manifest: Manifest) -> None:
        self._sql.execute(_WRITE_MANIFEST, manifest.encode())
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


class _Recent(Generic[_Key, _Value]):
    """The most recently used entries, in two generations: an entry that is not used for a whole one is forgotten.

    Unlike a list ordered by use it costs nothing to read an entry of the newer generation.
    """

    def __init__(self, generation_entries: int) -> None:
        self._generation_entries = generation_entries
        self._newer: dict[_Key, _Value] = {}
        self._older: dict[_Key, _Value] = {}

    def get(self, key: _Key) -> _Value | None:
        value = self._newer.get(key)
        if value is None:
            value = self._older.get(key)
            if value is not None:
                self.add(key, value)
        return value

    def add(self, key: _Key, value: _Value) -> None:
        if len(self._newer) >= self._generation_entries:
            self.supersede({})
        self._newer[key] = value

    def supersede(self, entries: dict[_Key, _Value]) -> None:
        """Begin a generation with `entries`, each at least as new as what is kept under its key."""
        self._older = self._newer
        self._newer = entries
