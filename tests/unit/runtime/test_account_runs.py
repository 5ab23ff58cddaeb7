"""The durable account store: what it stores stays readable, its bounds, and restarts.

What holds for every account store is in relay/test_accounts.py, what holds for every store of records in
test_record_runs.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.relay.accounts import Account
from edgerelay.runtime.account_runs import MEMTABLE_ACCOUNTS, MEMTABLE_MAX_ACCOUNTS, SCHEMA, AccountRuns
from edgerelay.runtime.record_runs import RecordStoreError
from edgerelay.runtime.sql import Sqlite


def hash_of(number: int) -> bytes:
    # Spread over the whole range, in an order of its own.
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(KEY_BYTES, "big")


def account(number: int, rev: int = 1) -> Account:
    return Account(hash_of(number), 1, rev)


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    for statement in SCHEMA:
        database.execute(statement)
    yield database
    database.close()


def test_the_rows_are_those_that_were_always_written(sql: Sqlite) -> None:
    """Ten checkpoints with merges between them, as schema version 2 left them."""
    store = AccountRuns(sql, page_records=4)
    for number in range(60):
        store.put(account(number, rev=number + 1))
        if number % 6 == 5:
            store.checkpoint(number)
            store.merge_step()
            store.merge_step()
    rows = [
        *[
            slot.to_bytes(4, "big") + head + blocks
            for slot, head, blocks in sql.execute("SELECT slot, head, blocks FROM account_pages ORDER BY slot")
        ],
        *[body for (body,) in sql.execute("SELECT body FROM account_manifest")],
    ]
    assert sha256(b"".join(rows)).hexdigest() == "aa19d1a4dce72aefa79f9c153f877e6ceea6795b902be16ac9fd6765a5cc47f6"
    assert AccountRuns(sql, page_records=4).page(b"", 100) == store.page(b"", 100)


class TestRestart:
    def test_only_checkpoints_survive(self, sql: Sqlite) -> None:
        store = AccountRuns(sql)
        store.put(account(1, rev=1))
        store.put(account(2, rev=1))
        store.checkpoint(77)
        store.put(account(2, rev=2))
        store = AccountRuns(sql)
        assert store.checkpoint_seq == 77
        assert (store.get(hash_of(1)), store.get(hash_of(2))) == (account(1, rev=1), account(2, rev=1))


class TestBounds:
    def test_a_full_memtable_asks_for_a_checkpoint_and_in_the_end_stops(self, sql: Sqlite) -> None:
        store = AccountRuns(sql)
        for number in range(MEMTABLE_ACCOUNTS):
            assert not store.checkpoint_due
            store.put(account(number))
        assert store.checkpoint_due
        for number in range(MEMTABLE_ACCOUNTS, MEMTABLE_MAX_ACCOUNTS):
            store.put(account(number))
        with pytest.raises(RecordStoreError, match=f"{MEMTABLE_MAX_ACCOUNTS + 1} records wait for a checkpoint"):
            store.put(account(MEMTABLE_MAX_ACCOUNTS))
        store.checkpoint(1)
        assert not store.checkpoint_due
        assert store.get(hash_of(MEMTABLE_MAX_ACCOUNTS)) == account(MEMTABLE_MAX_ACCOUNTS)

    def test_pages_are_of_accounts_whatever_is_in_the_memtable(self, sql: Sqlite) -> None:
        store = AccountRuns(sql)
        store.put(account(1))
        store.checkpoint(1)
        store.put(account(2))
        assert sorted(store.page(b"", 10)) == sorted([account(1), account(2)])
        assert store.stats == (1, 1, 1, 1, False)
