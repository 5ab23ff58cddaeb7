"""The schema: states that are empty, older, newer, half brought forward, and somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from edgerelay.errors import InvariantError, SchemaError
from edgerelay.relay.accounts import Account, hash_did
from edgerelay.relay.identities import KnownIdentity
from edgerelay.runtime.account_runs import AccountRuns
from edgerelay.runtime.identity_runs import IdentityRuns
from edgerelay.runtime.schema import MIGRATIONS, SCHEMA_VERSION, migrate
from edgerelay.runtime.sql import Row, Sqlite, SqlValue

State = Callable[[int], Sqlite]

META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"


class CrashingSql:
    """A database whose user dies before a statement, however many were carried out."""

    def __init__(self, sql: Sqlite, after: int) -> None:
        self._sql = sql
        self._left = after

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return self._sql.execute(statement, *params)

    def transaction(self, body: Callable[[], None]) -> None:
        self._sql.transaction(body)

    @property
    def rows_written(self) -> int:
        return self._sql.rows_written


@pytest.fixture
def state() -> Iterator[State]:
    """Makes databases as the code of a version left them; version 0 left an empty one."""
    with ExitStack() as stack:

        def make(version: int) -> Sqlite:
            sql = stack.enter_context(closing(Sqlite()))
            if version:
                sql.execute(META)
                sql.execute("INSERT INTO meta VALUES ('schema_version', ?)", version)
                for step in MIGRATIONS[:version]:
                    for statement in step:
                        sql.execute(statement)
            return sql

        yield make


def content(sql: Sqlite) -> list[Row]:
    """Everything that was created, and the version."""
    created = sql.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
    return created + (sql.execute("SELECT * FROM meta") if any(name == "meta" for _, name, _ in created) else [])


class TestForward:
    @pytest.mark.parametrize("version", range(SCHEMA_VERSION + 1))
    def test_a_state_of_any_version_becomes_the_same(self, state: State, version: int) -> None:
        sql = state(version)
        assert migrate(sql) == version
        assert content(sql) == content(state(SCHEMA_VERSION))

    def test_a_second_time_changes_nothing(self, state: State) -> None:
        sql = state(0)
        assert [migrate(sql), migrate(sql)] == [0, SCHEMA_VERSION]
        before = sql.rows_written, content(sql)
        assert migrate(sql) == SCHEMA_VERSION
        assert (sql.rows_written, content(sql)) == before

    def test_what_the_first_version_stored_is_kept(self, state: State) -> None:
        sql = state(1)
        sql.execute("INSERT INTO hosts VALUES (7, 'wss://pds.test')")
        sql.execute("INSERT INTO positions VALUES (7, 1, 100, '[[102, 104]]', 5, 6)")
        sql.execute("INSERT INTO log VALUES (0, 0, 8, 9, 0, 1, ?, ?)", b"head", b"frames")
        migrate(sql)
        assert sql.execute("SELECT * FROM hosts") == [(7, "wss://pds.test")]
        assert sql.execute("SELECT * FROM positions") == [(7, 1, 100, "[[102, 104]]", 5, 6)]
        assert sql.execute("SELECT * FROM log") == [(0, 0, 8, 9, 0, 1, b"head", b"frames")]

    def test_the_accounts_that_the_second_version_stored_are_kept(self, state: State) -> None:
        sql = state(2)
        account = Account(hash_did("did:plc:alice"), host_id=7, rev=9)
        before = AccountRuns(sql)
        before.put(account)
        before.checkpoint(5)
        assert migrate(sql) == 2
        after = AccountRuns(sql)
        assert (after.checkpoint_seq, after.get(account.did_hash)) == (5, account)

    def test_a_state_of_the_second_version_takes_identities(self, state: State) -> None:
        sql = state(2)
        migrate(sql)
        key, identity = hash_did("did:plc:alice"), KnownIdentity(None, "https://pds.test", 5_000_000)
        before = IdentityRuns(sql)
        assert before.get(key) is None
        before.put(key, identity)
        before.checkpoint(6_000_000)
        assert IdentityRuns(sql).get(key) == identity

    def test_what_is_written_is_in_the_file(self, tmp_path: Path) -> None:
        first = Sqlite(tmp_path / "state")
        migrate(first)
        first.close()
        second = Sqlite(tmp_path / "state")
        assert migrate(second) == SCHEMA_VERSION
        second.close()

    def test_tables_of_the_platform_do_not_count(self, state: State) -> None:
        sql = state(0)
        sql.execute("CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)")
        assert migrate(sql) == 0


class TestFailure:
    @pytest.mark.parametrize("version", range(SCHEMA_VERSION))
    def test_a_crash_before_any_statement_leaves_the_state_as_it_was(self, state: State, version: int) -> None:
        sql = state(version)
        before = content(sql)
        crashes = 0
        while True:
            try:
                migrate(CrashingSql(sql, crashes))
            except KeyboardInterrupt:
                assert content(sql) == before
                crashes += 1
            else:
                break
        # Looking at what is there, then every statement of every step, and the version.
        assert crashes >= sum(map(len, MIGRATIONS[version:])) + 2
        assert content(sql) == content(state(SCHEMA_VERSION))

    def test_a_statement_that_fails_takes_the_steps_before_it_with_it(self, state: State) -> None:
        sql = state(0)
        sql.execute("CREATE TABLE _cf_x (k INTEGER PRIMARY KEY)")
        sql.execute("CREATE VIEW account_manifest AS SELECT 1")
        before = content(sql)
        with pytest.raises(InvariantError, match="account_manifest"):
            migrate(sql)
        assert content(sql) == before


class TestRefusal:
    @pytest.mark.parametrize("ahead", [1, 2, 1_000])
    def test_a_newer_state_is_refused_by_name_and_left_alone(self, state: State, ahead: int) -> None:
        sql = state(SCHEMA_VERSION)
        sql.execute("CREATE TABLE future (k INTEGER PRIMARY KEY)")
        sql.execute("UPDATE meta SET value = ?", SCHEMA_VERSION + ahead)
        before = content(sql)
        with pytest.raises(SchemaError, match=f"schema version {SCHEMA_VERSION + ahead}; .* up to {SCHEMA_VERSION}$"):
            migrate(sql)
        assert content(sql) == before

    @pytest.mark.parametrize(
        "statements",
        [
            ["CREATE TABLE users (id INTEGER PRIMARY KEY)"],
            ["CREATE TABLE log (line TEXT)"],
            [META],
            [META, "INSERT INTO meta VALUES ('version', 1)"],
            [META, "INSERT INTO meta VALUES ('schema_version', 'two')"],
            [META, "INSERT INTO meta VALUES ('schema_version', 0)"],
            [META, "INSERT INTO meta VALUES ('schema_version', -1)"],
            ["CREATE TABLE meta (key TEXT, value BLOB)", "INSERT INTO meta VALUES ('schema_version', NULL)"],
        ],
    )
    def test_somebody_elses_state_is_refused_and_left_alone(self, state: State, statements: list[str]) -> None:
        sql = state(0)
        for statement in statements:
            sql.execute(statement)
        before = content(sql)
        with pytest.raises(SchemaError, match="not EdgeRelay's"):
            migrate(sql)
        assert content(sql) == before

    def test_a_table_of_our_name_with_other_columns_is_refused_and_left_alone(self, state: State) -> None:
        sql = state(0)
        sql.execute("CREATE TABLE meta (name TEXT)")
        with pytest.raises(InvariantError, match="no such column"):
            migrate(sql)
        assert content(sql) == [("table", "meta", "CREATE TABLE meta (name TEXT)")]


def test_steps_that_ran_somewhere_stay_as_they_were(state: State) -> None:
    """The tables that they create, column by column."""
    sql = state(3)
    tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    columns = {
        table: [name for (name,) in sql.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)]
        for table in tables
    }
    assert columns == {
        "account_manifest": ["id", "body"],
        "account_pages": ["slot", "head", "blocks"],
        "hosts": ["host_id", "url"],
        "identity_manifest": ["id", "body"],
        "identity_pages": ["slot", "head", "blocks"],
        "log": ["slot", "prev_seq", "first_seq", "last_seq", "part", "parts", "head", "frames"],
        "meta": ["key", "value"],
        "origins": ["number", "origin"],
        "positions": ["host_id", "epoch", "low", "done", "newest_time_us", "replay_until_us"],
        "shards": ["name", "region"],
    }
