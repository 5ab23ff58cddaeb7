"""The durable account store: beside a dictionary through crashes, its bounds, and damage to its rows.

What holds for every account store is in relay/test_accounts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerelay.archive.account_run import KEY_BYTES, PAGE_RECORDS, AccountRunError
from edgerelay.relay.accounts import Account
from edgerelay.runtime.account_runs import (
    MAX_RUNS,
    MEMTABLE_ACCOUNTS,
    MEMTABLE_MAX_ACCOUNTS,
    SCHEMA,
    AccountRuns,
    AccountStoreError,
)
from edgerelay.runtime.sql import Row, Sql, Sqlite, SqlValue

PAGE = 4  # records of a page in most of these tests: many pages from few accounts


class CrashError(Exception):
    """The object was killed before a statement."""


class CrashingSql:
    """Passes statements on until one is to be the last."""

    def __init__(self, sql: Sql) -> None:
        self.sql = sql
        self.statements_left: int | None = None
        self.reads = 0

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        self.reads += statement.startswith("SELECT")
        if self.statements_left is not None:
            if self.statements_left == 0:
                raise CrashError
            self.statements_left -= 1
        return self.sql.execute(statement, *params)

    def transaction(self, body: Callable[[], None]) -> None:
        self.sql.transaction(body)

    @property
    def rows_written(self) -> int:
        return self.sql.rows_written


def create_tables(sql: Sql) -> None:
    for statement in SCHEMA:
        sql.execute(statement)


def merge_all(store: AccountRuns) -> None:
    while store.merge_step():
        pass


def hash_of(number: int) -> bytes:
    # Spread over the whole range, in an order of its own.
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(KEY_BYTES, "big")


def account(number: int, rev: int = 1) -> Account:
    return Account(hash_of(number), 1, rev)


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    create_tables(database)
    yield database
    database.close()


class AccountRunsModel(RuleBasedStateMachine):
    """The store beside a dictionary and the log of a relay, killed between any two statements."""

    numbers = st.integers(0, 40)

    def __init__(self) -> None:
        super().__init__()
        self.database = Sqlite()
        create_tables(self.database)
        self.sql = CrashingSql(self.database)
        self.store = self.open()
        self.twin: dict[bytes, Account] = {}
        self.checkpointed: dict[bytes, Account] = {}
        self.log: list[Account] = []
        self.seq = 0
        self.checkpoint_seq = 0

    def open(self) -> AccountRuns:
        return AccountRuns(self.sql, page_records=PAGE, recent_accounts=5)

    def teardown(self) -> None:
        self.database.close()

    @rule(numbers=st.lists(numbers, max_size=20))
    def put(self, numbers: list[int]) -> None:
        for number in numbers:
            self.seq += 1
            changed = account(number, self.seq)
            self.log.append(changed)
            self.twin[changed.did_hash] = changed
            self.store.put(changed)
        for number in numbers:
            self.get(number)

    @rule(number=numbers)
    def get(self, number: int) -> None:
        assert self.store.get(hash_of(number)) == self.twin.get(hash_of(number))

    @rule(numbers=st.lists(numbers, min_size=1, max_size=5))
    def read_then_put(self, numbers: list[int]) -> None:
        for number in numbers:
            self.get(number)
        self.put(numbers)

    @rule(number=numbers, limit=st.integers(1, 20))
    def page(self, number: int, limit: int) -> None:
        after = hash_of(number)
        expected = [self.twin[did_hash] for did_hash in sorted(self.twin) if did_hash > after]
        assert self.store.page(after, limit) == expected[:limit]

    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint(self.seq)
        self.checkpoint_seq = self.seq
        self.checkpointed = dict(self.twin)
        self.log.clear()

    @rule(steps=st.integers(1, 10))
    def merge(self, steps: int) -> None:
        for _ in range(steps):
            self.store.merge_step()

    @rule(statements=st.integers(0, 6))
    def a_checkpoint_that_fails(self, statements: int) -> None:
        self.sql.statements_left = statements
        try:
            self.checkpoint()
        except CrashError:
            pass
        finally:
            self.sql.statements_left = None

    @rule(statements=st.integers(0, 12))
    def a_merge_that_fails(self, statements: int) -> None:
        self.sql.statements_left = statements
        try:
            merge_all(self.store)
        except CrashError:
            pass
        finally:
            self.sql.statements_left = None

    @rule(again=st.integers(0, 10))
    def restart_and_replay_the_log(self, again: int) -> None:
        self.store = self.open()
        # The log's rows do not end where a checkpoint does, so some accounts are put that the runs have already.
        for changed in [*list(self.checkpointed.values())[:again], *self.log]:
            self.store.put(changed)

    @rule()
    def restart_without_a_log(self) -> None:
        self.store = self.open()
        self.twin = dict(self.checkpointed)
        self.log.clear()

    @invariant()
    def the_store_is_what_the_twin_says(self) -> None:
        assert self.store.checkpoint_seq == self.checkpoint_seq
        assert self.store.page(b"", 1_000) == [self.twin[did_hash] for did_hash in sorted(self.twin)]


AccountRunsModel.TestCase.settings = settings(stateful_step_count=40)
TestAccountRunsModel = AccountRunsModel.TestCase


class TestRestart:
    def test_only_checkpoints_survive_in_a_file(self, tmp_path: Path) -> None:
        first = Sqlite(tmp_path / "db")
        create_tables(first)
        store = AccountRuns(first)
        store.put(account(1, rev=1))
        store.put(account(2, rev=1))
        store.checkpoint(77)
        store.put(account(2, rev=2))
        first.close()

        second = Sqlite(tmp_path / "db")
        store = AccountRuns(second)
        assert store.checkpoint_seq == 77
        assert (store.get(hash_of(1)), store.get(hash_of(2))) == (account(1, rev=1), account(2, rev=1))
        second.close()

    def test_a_merge_is_begun_anew_and_its_slots_are_used_again(self, sql: Sqlite) -> None:
        store = AccountRuns(sql, page_records=PAGE)
        for number in range(0, 80, 8):
            for offset in range(8):
                store.put(account(number + offset))
            store.checkpoint(number)
        while not store.stats.merging:
            store.merge_step()
        store.merge_step()
        for _ in range(20):
            store = AccountRuns(sql, page_records=PAGE)
            store.merge_step()
            store.merge_step()
        merge_all(store)
        assert store.stats == (0, 1, 20, 80, False)
        (count,) = sql.execute("SELECT count(*) FROM account_pages")[0]
        assert count <= 2 * 20


class TestBounds:
    def test_a_checkpoint_writes_a_row_for_each_page_and_one_more(self, sql: Sqlite) -> None:
        store = AccountRuns(sql, page_records=PAGE)
        for number in range(10):
            store.put(account(number))
        before = sql.rows_written
        store.checkpoint(1)
        assert sql.rows_written - before == 3 + 1

    def test_a_checkpoint_of_nothing_writes_one_row_or_none(self, sql: Sqlite) -> None:
        store = AccountRuns(sql)
        store.checkpoint(5)
        assert sql.rows_written == 1
        store.checkpoint(5)
        assert sql.rows_written == 1

    def test_a_merge_step_writes_at_most_one_row(self, sql: Sqlite) -> None:
        store = AccountRuns(sql, page_records=PAGE)
        for number in range(100):
            store.put(account(number))
            store.checkpoint(number)
            before = sql.rows_written
            while store.merge_step():
                assert sql.rows_written - before <= 1
                before = sql.rows_written

    def test_a_checkpoint_merges_when_nobody_else_does(self, sql: Sqlite) -> None:
        store = AccountRuns(sql, page_records=PAGE)
        for number in range(4 * MAX_RUNS):
            store.put(account(number))
            store.checkpoint(number)
            assert store.stats.runs <= MAX_RUNS
        assert len(store.page(b"", 1_000)) == 4 * MAX_RUNS

    def test_slots_are_used_again(self, sql: Sqlite) -> None:
        store = AccountRuns(sql, page_records=PAGE)
        for round_ in range(100):
            for number in range(20):
                store.put(account(number, round_))
            store.checkpoint(round_)
            merge_all(store)
        (count,) = sql.execute("SELECT count(*) FROM account_pages")[0]
        assert count <= 3 * 20 / PAGE

    def test_a_full_memtable_asks_for_a_checkpoint_and_in_the_end_stops(self, sql: Sqlite) -> None:
        store = AccountRuns(sql)
        for number in range(MEMTABLE_ACCOUNTS):
            assert not store.checkpoint_due
            store.put(account(number))
        assert store.checkpoint_due
        for number in range(MEMTABLE_ACCOUNTS, MEMTABLE_MAX_ACCOUNTS):
            store.put(account(number))
        with pytest.raises(AccountStoreError, match=f"{MEMTABLE_MAX_ACCOUNTS + 1} accounts wait for a checkpoint"):
            store.put(account(MEMTABLE_MAX_ACCOUNTS))
        store.checkpoint(1)
        assert not store.checkpoint_due
        assert store.get(hash_of(MEMTABLE_MAX_ACCOUNTS)) == account(MEMTABLE_MAX_ACCOUNTS)

    def test_writes_that_fail_leave_no_slots_behind(self, sql: Sqlite) -> None:
        crashing = CrashingSql(sql)
        store = AccountRuns(crashing, page_records=PAGE)
        for number in range(20):
            store.put(account(number))
        for statements in range(5):
            crashing.statements_left = statements
            with pytest.raises(CrashError):
                store.checkpoint(1)
        crashing.statements_left = None
        store.checkpoint(1)
        store.put(account(1))
        store.checkpoint(2)
        for number in range(20):
            store.put(account(number))
        store.checkpoint(3)
        for statements in range(2, 8):
            crashing.statements_left = statements
            with pytest.raises(CrashError):
                merge_all(store)
        crashing.statements_left = None
        merge_all(store)
        assert sql.execute("SELECT count(*), max(slot) FROM account_pages") == [(5 + 1 + 5 + 5, 15)]

    def test_recent_accounts_are_read_once(self, sql: Sqlite) -> None:
        filled = AccountRuns(sql)
        for number in range(20):
            filled.put(account(number))
        filled.checkpoint(1)

        counting = CrashingSql(sql)
        store = AccountRuns(counting, recent_accounts=3)

        def reads_of(number: int) -> int:
            before = counting.reads
            assert store.get(hash_of(number)) == account(number)
            return counting.reads - before

        assert reads_of(0) == 2  # the page's head and a block
        assert [reads_of(number) for number in (0, 1, 2, 3, 4, 5)] == [0, 1, 1, 1, 1, 1]
        assert reads_of(0) == 0, "the generation before the newest is kept"
        assert [reads_of(number) for number in (6, 7, 8)] == [1, 1, 1]
        assert reads_of(0) == 0, "what is used moves on to the newest generation"
        assert [reads_of(number) for number in (9, 10, 11, 12, 13, 14, 15)] == [1] * 7
        assert reads_of(0) == 1, "what is not used for a generation is forgotten"

    def test_accounts_are_recent_after_the_checkpoint_that_wrote_them(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        store = AccountRuns(counting)
        store.put(account(1))
        store.checkpoint(1)
        reads = counting.reads
        assert store.get(hash_of(1)) == account(1)
        assert counting.reads == reads

    def test_unknown_accounts_rarely_cost_a_page(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        store = AccountRuns(counting)
        for number in range(2 * PAGE_RECORDS):
            store.put(account(number))
        store.checkpoint(1)
        reads = counting.reads
        for number in range(1_000_000, 1_002_000):
            assert store.get(hash_of(number)) is None
        assert counting.reads - reads <= 2 + 40  # two heads, and 2 % of the blocks; 0.8 % are expected


class TestDamage:
    @pytest.fixture
    def store(self, sql: Sqlite) -> AccountRuns:
        store = AccountRuns(sql, page_records=PAGE)
        for number in range(12):
            store.put(account(number))
        store.checkpoint(1)
        return AccountRuns(sql, page_records=PAGE)

    def read_all(self, store: AccountRuns) -> None:
        for number in range(12):
            store.get(hash_of(number))

    @pytest.mark.parametrize(
        ("column", "damaged"),
        [
            ("blocks", "substr(blocks, 1, length(blocks) - 96)"),
            ("blocks", "zeroblob(length(blocks))"),
            ("blocks", "x''"),
            ("head", "zeroblob(length(head))"),
            ("head", "blocks"),
        ],
    )
    def test_a_damaged_row(self, sql: Sqlite, store: AccountRuns, column: str, damaged: str) -> None:
        sql.execute(f"UPDATE account_pages SET {column} = {damaged} WHERE slot = 1")
        with pytest.raises(AccountRunError, match=r"(head 1|block 11) of run 1"):
            self.read_all(store)

    def test_two_pages_in_each_others_slots(self, sql: Sqlite, store: AccountRuns) -> None:
        sql.execute("UPDATE account_pages SET slot = 9 WHERE slot = 0")
        sql.execute("UPDATE account_pages SET slot = 0 WHERE slot = 1")
        sql.execute("UPDATE account_pages SET slot = 1 WHERE slot = 9")
        with pytest.raises(AccountRunError, match="found number"):
            self.read_all(store)

    def test_a_slot_that_lost_its_row(self, sql: Sqlite, store: AccountRuns) -> None:
        sql.execute("DELETE FROM account_pages WHERE slot = 1")
        with pytest.raises(AccountStoreError, match="page 1 of run 1: slot 1 is empty"):
            self.read_all(store)

    @pytest.mark.usefixtures("store")
    def test_a_damaged_manifest_does_not_open(self, sql: Sqlite) -> None:
        sql.execute("UPDATE account_manifest SET body = substr(body, 1, 40)")
        with pytest.raises(AccountRunError, match="manifest"):
            AccountRuns(sql)

    def test_damage_stops_a_merge_each_time(self, sql: Sqlite, store: AccountRuns) -> None:
        sql.execute("UPDATE account_pages SET blocks = zeroblob(100) WHERE slot = 2")
        for number in range(12):
            store.put(account(number, 2))
        store.checkpoint(2)
        for _ in range(2):
            with pytest.raises(AccountRunError, match="page 2 of run 1"):
                merge_all(store)
            assert store.get(hash_of(3)) == account(3, 2)
