"""The durable account store: accounts as records of 96 bytes in sorted runs.

How records are kept is `record_runs`'s; this module owns the names of the tables, what accounts may take of memory, and
that a checkpoint never goes back. After a restart the owner puts again what changed since `checkpoint_seq`.

Measured, with the reasons for each bound, in bench/accounts.py.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.record_run import PAGE_RECORDS
from edgerelay.relay.accounts import RECORD_BYTES, Account
from edgerelay.runtime.record_runs import RecordBounds, RecordRuns, RecordRunsStats, RecordStoreError, record_tables
from edgerelay.runtime.sql import Sql

__all__ = [
    "HEADS_BYTES",
    "MEMTABLE_ACCOUNTS",
    "MEMTABLE_MAX_ACCOUNTS",
    "RECENT_ACCOUNTS",
    "SCHEMA",
    "AccountRuns",
]

_STORE: Final = "account"

SCHEMA: Final = record_tables(_STORE)
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


class AccountRuns:
    """`AccountStore` over an `Sql` database that has the tables of `SCHEMA`; the only user of both."""

    def __init__(self, sql: Sql, *, page_records: int = PAGE_RECORDS, recent_accounts: int = RECENT_ACCOUNTS) -> None:
        bounds = RecordBounds(MEMTABLE_MAX_ACCOUNTS, recent_accounts, HEADS_BYTES)
        self._records = RecordRuns(sql, _STORE, RECORD_BYTES, bounds, page_records=page_records)

    @property
    def checkpoint_seq(self) -> int:
        return self._records.mark

    @property
    def checkpoint_due(self) -> bool:
        return self._records.waiting >= MEMTABLE_ACCOUNTS

    @property
    def stats(self) -> RecordRunsStats:
        """Sizes, for metrics."""
        return self._records.stats

    def get(self, did_hash: bytes) -> Account | None:
        record = self._records.get(did_hash)
        return None if record is None else Account.decode(record)

    def put(self, account: Account) -> None:
        self._records.put(account.encode())

    def page(self, after: bytes, limit: int) -> list[Account]:
        return [Account.decode(record) for record in self._records.page(after, limit)]

    def checkpoint(self, at_seq: int) -> None:
        if at_seq < self.checkpoint_seq:
            raise RecordStoreError(f"a checkpoint at {at_seq}, the last one was at {self.checkpoint_seq}")
        self._records.checkpoint(at_seq)

    def merge_step(self) -> bool:
        return self._records.merge_step()
