"""The store of records: beside a dictionary through crashes, its bounds, and damage to its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerelay.archive.record_merge import Sieve
from edgerelay.archive.record_run import KEY_BYTES, PAGE_RECORDS, RecordRunError
from edgerelay.runtime.record_runs import MAX_RUNS, RecordBounds, RecordRuns, RecordStoreError, record_tables
from edgerelay.runtime.sql import Sql, Sqlite
from tests.crashing import CrashError, CrashingSql

PAGE = 4  # records of a page in most of these tests: many pages from few records
LENGTH = 32
BOUNDS = RecordBounds(memtable_records=50_000, recent_records=5, heads_bytes=1_000_000)


def create_tables(sql: Sql) -> None:
    for statement in record_tables("thing"):
        sql.execute(statement)


def keep_all(_records: int) -> Sieve:
    return list


def open_store(
    sql: Sql,
    page_records: int = PAGE,
    bounds: RecordBounds = BOUNDS,
    sieve_of: Callable[[int], Sieve] = keep_all,
) -> RecordRuns:
    return RecordRuns(sql, "thing", LENGTH, bounds, page_records=page_records, sieve_of=sieve_of)


def merge_all(store: RecordRuns) -> None:
    while store.merge_step():
        pass


def key_of(number: int) -> bytes:
    # Spread over the whole range, in an order of its own.
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(KEY_BYTES, "big")


def record(number: int, value: int = 1) -> bytes:
    return key_of(number) + value.to_bytes(LENGTH - KEY_BYTES, "big")


def value_of(record: bytes) -> int:
    return int.from_bytes(record[KEY_BYTES:], "big")


def slots(sql: Sql) -> int:
    ((count,),) = sql.execute("SELECT count(*) FROM thing_pages")
    return int(count)


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    create_tables(database)
    yield database
    database.close()


class RecordRunsModel(RuleBasedStateMachine):
    """The store beside a dictionary and a log, killed between any two statements.

    Values grow, and those below a floor are not worth keeping: they may be gone, but nothing older may come back.
    """

    numbers = st.integers(0, 40)

    def __init__(self) -> None:
        super().__init__()
        self.database = Sqlite()
        create_tables(self.database)
        self.sql = CrashingSql(self.database)
        self.floor = 0
        self.store = self.open()
        self.twin: dict[bytes, bytes] = {}
        self.checkpointed: dict[bytes, bytes] = {}
        self.log: list[bytes] = []
        self.value = 0
        self.mark = 0

    def open(self) -> RecordRuns:
        return open_store(self.sql, sieve_of=self.sieve_of)

    def sieve_of(self, _records: int) -> Sieve:
        return lambda records: [found for found in records if self.is_alive(found)]

    def is_alive(self, found: bytes) -> bool:
        return value_of(found) >= self.floor

    def alive(self, records: list[bytes]) -> list[bytes]:
        return [found for found in records if self.is_alive(found)]

    def teardown(self) -> None:
        self.database.close()

    @rule(numbers=st.lists(numbers, max_size=20))
    def put(self, numbers: list[int]) -> None:
        for number in numbers:
            self.value += 1
            changed = record(number, self.value)
            self.log.append(changed)
            self.twin[changed[:KEY_BYTES]] = changed
            self.store.put(changed)
        for number in numbers:
            self.get(number)

    @rule(number=numbers)
    def get(self, number: int) -> None:
        found, expected = self.store.get(key_of(number)), self.twin.get(key_of(number))
        assert found == expected or (found is None and expected is not None and not self.is_alive(expected))

    @rule(numbers=st.lists(numbers, min_size=1, max_size=5))
    def read_then_put(self, numbers: list[int]) -> None:
        for number in numbers:
            self.get(number)
        self.put(numbers)

    @rule(number=numbers, limit=st.integers(1, 20))
    def page(self, number: int, limit: int) -> None:
        after = key_of(number)
        page = self.store.page(after, limit)
        expected = [self.twin[key] for key in sorted(self.twin) if key > after]
        if len(page) == limit:
            expected = [each for each in expected if each[:KEY_BYTES] <= page[-1][:KEY_BYTES]]
        assert [each for each in expected if each in page] == page
        assert self.alive(page) == self.alive(expected)

    @rule(by=st.integers(1, 30))
    def grow_old(self, by: int) -> None:
        self.floor = min(self.floor + by, self.value)

    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint(self.value)
        self.mark = self.value
        self.checkpointed = dict(self.twin)
        self.log.clear()

    @rule(steps=st.integers(1, 10))
    def merge(self, steps: int) -> None:
        for _ in range(steps):
            self.store.merge_step()

    @rule(statements=st.integers(0, 6))
    def a_checkpoint_that_fails(self, statements: int) -> None:
        with self.sql.crash_after(statements):
            self.checkpoint()

    @rule(statements=st.integers(0, 12))
    def a_merge_that_fails(self, statements: int) -> None:
        with self.sql.crash_after(statements):
            merge_all(self.store)

    @rule(again=st.integers(0, 10))
    def restart_and_replay_the_log(self, again: int) -> None:
        self.store = self.open()
        # The log does not end where a checkpoint does, so some records are put that the runs have already.
        for changed in [*list(self.checkpointed.values())[:again], *self.log]:
            self.store.put(changed)

    @rule()
    def restart_without_a_log(self) -> None:
        self.store = self.open()
        self.twin = dict(self.checkpointed)
        self.log.clear()

    @invariant()
    def the_store_is_what_the_twin_says(self) -> None:
        everything = self.store.page(b"", 1_000)
        assert self.store.mark == self.mark
        assert self.alive(everything) == self.alive([self.twin[key] for key in sorted(self.twin)])
        assert set(everything) <= set(self.twin.values())


RecordRunsModel.TestCase.settings = settings(stateful_step_count=40)
TestRecordRunsModel = RecordRunsModel.TestCase


class TestRestart:
    def test_only_checkpoints_survive_in_a_file(self, tmp_path: Path) -> None:
        first = Sqlite(tmp_path / "db")
        create_tables(first)
        store = open_store(first)
        store.put(record(1, 1))
        store.put(record(2, 1))
        store.checkpoint(77)
        store.put(record(2, 2))
        first.close()

        second = Sqlite(tmp_path / "db")
        store = open_store(second)
        assert store.mark == 77
        assert (store.get(key_of(1)), store.get(key_of(2))) == (record(1, 1), record(2, 1))
        second.close()

    def test_a_merge_is_begun_anew_and_its_slots_are_used_again(self, sql: Sqlite) -> None:
        store = open_store(sql)
        for number in range(0, 80, 8):
            for offset in range(8):
                store.put(record(number + offset))
            store.checkpoint(number)
        while not store.stats.merging:
            store.merge_step()
        store.merge_step()
        for _ in range(20):
            store = open_store(sql)
            store.merge_step()
            store.merge_step()
        merge_all(store)
        assert store.stats == (0, 1, 20, 80, False)
        assert slots(sql) <= 2 * 20

    def test_a_mark_may_go_back(self, sql: Sqlite) -> None:
        store = open_store(sql)
        store.checkpoint(9)
        store.checkpoint(4)
        assert open_store(sql).mark == 4


class TestSieve:
    def test_it_is_told_how_many_records_there_are_at_most(self, sql: Sqlite) -> None:
        told = []

        def sieve_of(records: int) -> Sieve:
            told.append(records)
            return list

        store = open_store(sql, sieve_of=sieve_of)
        for number in (*range(6), *range(3)):
            store.put(record(number))
            if number in (5, 2):
                store.checkpoint(1)
        merge_all(store)
        assert told == [6 + 3]

    def test_a_merge_that_keeps_nothing_leaves_no_run(self, sql: Sqlite) -> None:
        store = open_store(sql, sieve_of=lambda _: lambda _: [])
        for number in range(20):
            store.put(record(number))
            if number in (9, 19):
                store.checkpoint(number)
        merge_all(store)
        assert store.stats == (0, 0, 0, 0, False)
        assert (open_store(sql).get(key_of(1)), open_store(sql).mark) == (None, 19)
        store.put(record(1))
        store.checkpoint(20)
        assert slots(sql) == 2 * 3

    def test_what_is_not_kept_never_uncovers_what_is_older(self, sql: Sqlite) -> None:
        """A newer record may only go together with all older ones."""
        store = open_store(sql, sieve_of=lambda _: lambda records: [each for each in records if value_of(each)])
        for number in range(100):
            store.put(record(number))
        store.checkpoint(1)
        for number in range(12):
            store.put(record(number, 0))
            store.checkpoint(2)
            merge_all(store)
            # The first is in the recent ones; a fresh store reads the runs.
            fresh = open_store(sql)
            assert [fresh.get(key_of(each)) for each in range(number + 2)] == [
                *[record(each, 0) for each in range(number + 1)],
                record(number + 1),
            ]
        assert store.stats.runs > 1
        for number in range(12, 60):
            store.put(record(number, 0))
        store.checkpoint(3)
        merge_all(store)
        assert store.stats == (0, 1, 10, 40, False)

    def test_a_step_is_short_even_if_nothing_is_kept(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        store = open_store(counting, sieve_of=lambda _: lambda _: [])
        for number in range(400):
            store.put(record(number))
            if number in (199, 399):
                store.checkpoint(number)
        reads = counting.reads
        while store.merge_step():
            assert counting.reads - reads <= 3 + 2, "a page of each run, and those that were dropped"
            reads = counting.reads


class TestBounds:
    def test_a_checkpoint_writes_a_row_for_each_page_and_one_more(self, sql: Sqlite) -> None:
        store = open_store(sql)
        for number in range(10):
            store.put(record(number))
        before = sql.rows_written
        store.checkpoint(1)
        assert sql.rows_written - before == 3 + 1

    def test_a_checkpoint_of_nothing_writes_one_row_or_none(self, sql: Sqlite) -> None:
        store = open_store(sql)
        store.checkpoint(5)
        assert sql.rows_written == 1
        store.checkpoint(5)
        assert sql.rows_written == 1

    def test_a_merge_step_writes_at_most_one_row(self, sql: Sqlite) -> None:
        store = open_store(sql)
        for number in range(100):
            store.put(record(number))
            store.checkpoint(number)
            before = sql.rows_written
            while store.merge_step():
                assert sql.rows_written - before <= 1
                before = sql.rows_written

    def test_a_checkpoint_merges_when_nobody_else_does(self, sql: Sqlite) -> None:
        store = open_store(sql)
        for number in range(4 * MAX_RUNS):
            store.put(record(number))
            store.checkpoint(number)
            assert store.stats.runs <= MAX_RUNS
        assert len(store.page(b"", 1_000)) == 4 * MAX_RUNS

    def test_slots_are_used_again(self, sql: Sqlite) -> None:
        store = open_store(sql)
        for round_ in range(100):
            for number in range(20):
                store.put(record(number, round_))
            store.checkpoint(round_)
            merge_all(store)
        assert slots(sql) <= 3 * 20 / PAGE

    def test_a_memtable_that_nobody_writes_stops_in_the_end(self, sql: Sqlite) -> None:
        store = open_store(sql, bounds=BOUNDS._replace(memtable_records=10))
        for number in range(10):
            store.put(record(number))
        with pytest.raises(RecordStoreError, match="11 records wait for a checkpoint"):
            store.put(record(10))
        store.checkpoint(1)
        store.put(record(11))
        assert (store.waiting, store.get(key_of(10))) == (1, record(10))

    def test_writes_that_fail_leave_no_slots_behind(self, sql: Sqlite) -> None:
        crashing = CrashingSql(sql)
        store = open_store(crashing)
        for number in range(20):
            store.put(record(number))
        for statements in range(5):
            crashing.statements_left = statements
            with pytest.raises(CrashError):
                store.checkpoint(1)
        crashing.statements_left = None
        store.checkpoint(1)
        store.put(record(1))
        store.checkpoint(2)
        for number in range(20):
            store.put(record(number))
        store.checkpoint(3)
        for statements in range(2, 8):
            crashing.statements_left = statements
            with pytest.raises(CrashError):
                merge_all(store)
        crashing.statements_left = None
        merge_all(store)
        assert sql.execute("SELECT count(*), max(slot) FROM thing_pages") == [(5 + 1 + 5 + 5, 15)]

    def test_recent_records_are_read_once(self, sql: Sqlite) -> None:
        filled = open_store(sql, page_records=PAGE_RECORDS)
        for number in range(20):
            filled.put(record(number))
        filled.checkpoint(1)

        counting = CrashingSql(sql)
        store = open_store(counting, page_records=PAGE_RECORDS)

        def reads_of(number: int) -> int:
            before = counting.reads
            assert store.get(key_of(number)) == record(number)
            return counting.reads - before

        assert reads_of(0) == 2, "the head of the page and a block"
        assert [reads_of(number) for number in (0, 1, 2, 3)] == [0, 1, 1, 1]

    def test_records_are_recent_after_the_checkpoint_that_wrote_them(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        store = open_store(counting)
        store.put(record(1))
        store.checkpoint(1)
        reads = counting.reads
        assert store.get(key_of(1)) == record(1)
        assert counting.reads == reads

    def test_unknown_records_rarely_cost_a_page(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        store = open_store(counting, page_records=PAGE_RECORDS)
        for number in range(2 * PAGE_RECORDS):
            store.put(record(number))
        store.checkpoint(1)
        reads = counting.reads
        for number in range(1_000_000, 1_002_000):
            assert store.get(key_of(number)) is None
        assert counting.reads - reads <= 2 + 40  # two heads, and 2 % of the blocks; 0.8 % are expected


class TestDamage:
    @pytest.fixture
    def store(self, sql: Sqlite) -> RecordRuns:
        store = open_store(sql)
        for number in range(12):
            store.put(record(number))
        store.checkpoint(1)
        return open_store(sql)

    def read_all(self, store: RecordRuns) -> None:
        for number in range(12):
            store.get(key_of(number))

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
    def test_a_damaged_row(self, sql: Sqlite, store: RecordRuns, column: str, damaged: str) -> None:
        sql.execute(f"UPDATE thing_pages SET {column} = {damaged} WHERE slot = 1")
        with pytest.raises(RecordRunError, match=r"(head 1|block 11) of run 1"):
            self.read_all(store)

    def test_two_pages_in_each_others_slots(self, sql: Sqlite, store: RecordRuns) -> None:
        sql.execute("UPDATE thing_pages SET slot = 9 WHERE slot = 0")
        sql.execute("UPDATE thing_pages SET slot = 0 WHERE slot = 1")
        sql.execute("UPDATE thing_pages SET slot = 1 WHERE slot = 9")
        with pytest.raises(RecordRunError, match="found number"):
            self.read_all(store)

    def test_a_slot_that_lost_its_row(self, sql: Sqlite, store: RecordRuns) -> None:
        sql.execute("DELETE FROM thing_pages WHERE slot = 1")
        with pytest.raises(RecordStoreError, match="page 1 of run 1: slot 1 is empty"):
            self.read_all(store)

    @pytest.mark.usefixtures("store")
    def test_a_damaged_manifest_does_not_open(self, sql: Sqlite) -> None:
        sql.execute("UPDATE thing_manifest SET body = substr(body, 1, 40)")
        with pytest.raises(RecordRunError, match="manifest"):
            open_store(sql)

    def test_damage_stops_a_merge_each_time(self, sql: Sqlite, store: RecordRuns) -> None:
        sql.execute("UPDATE thing_pages SET blocks = zeroblob(100) WHERE slot = 2")
        for number in range(12):
            store.put(record(number, 2))
        store.checkpoint(2)
        for _ in range(2):
            with pytest.raises(RecordRunError, match="page 2 of run 1"):
                merge_all(store)
            assert store.get(key_of(3)) == record(3, 2)
