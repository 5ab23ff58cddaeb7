"""The SQL port over sqlite3: as strict as the platform's database, and counting rows as it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerelay.runtime.sql import MAX_INTEGER, MAX_PARAMETERS, MAX_ROW_BYTES, SqlError, Sqlite


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    database.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
    yield database
    database.close()


class TestStatements:
    def test_rows_come_back_as_tuples_of_the_values_given(self, sql: Sqlite) -> None:
        sql.execute("INSERT INTO t VALUES (?, ?), (?, ?), (?, ?), (?, ?)", 1, b"\x00\xff", 2, "text", 3, None, 4, -5)
        assert sql.execute("SELECT k, v FROM t ORDER BY k") == [(1, b"\x00\xff"), (2, "text"), (3, None), (4, -5)]

    def test_a_statement_without_an_answer_returns_no_rows(self, sql: Sqlite) -> None:
        assert sql.execute("DELETE FROM t") == []

    @pytest.mark.parametrize(
        "statement",
        ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", " begin immediate", "PRAGMA user_version", "VACUUM", ""],
    )
    def test_statements_that_the_platform_refuses_are_refused(self, sql: Sqlite, statement: str) -> None:
        with pytest.raises(SqlError, match="not a statement that the port takes"):
            sql.execute(statement)

    def test_an_error_of_the_database_names_the_statement(self, sql: Sqlite) -> None:
        with pytest.raises(SqlError, match=r"no such table.*SELECT 1 FROM missing"):
            sql.execute("SELECT 1 FROM missing")

    def test_a_statement_with_the_wrong_number_of_parameters_is_refused(self, sql: Sqlite) -> None:
        with pytest.raises(SqlError, match="SELECT"):
            sql.execute("SELECT ?", 1, 2)


class TestValues:
    def test_integers_are_exact_up_to_two_to_the_53(self, sql: Sqlite) -> None:
        assert sql.execute("SELECT ?, ?", MAX_INTEGER, -MAX_INTEGER) == [(2**53, -(2**53))]

    @pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**80])
    def test_an_integer_that_a_double_cannot_hold_is_refused(self, sql: Sqlite, value: int) -> None:
        with pytest.raises(SqlError, match="not exact as a double"):
            sql.execute("SELECT ?", value)

    def test_such_an_integer_is_refused_in_an_answer_too(self, sql: Sqlite) -> None:
        with pytest.raises(SqlError, match="not exact as a double"):
            sql.execute("SELECT ? + 1", MAX_INTEGER)

    @pytest.mark.parametrize("value", [1.5, True, bytearray(b"a"), memoryview(b"a"), (1,)])
    def test_a_parameter_of_another_type_is_refused(self, sql: Sqlite, value: object) -> None:
        with pytest.raises(SqlError, match=f"a parameter of type {type(value).__name__}"):
            sql.execute("SELECT ?", value)  # type: ignore[arg-type]  # the point of the test

    def test_a_float_in_an_answer_is_refused(self, sql: Sqlite) -> None:
        with pytest.raises(SqlError, match="a column that is not"):
            sql.execute("SELECT 1 / 2.0")

    def test_as_many_parameters_as_the_platform_takes(self, sql: Sqlite) -> None:
        statement = "SELECT " + ", ".join("?" * MAX_PARAMETERS)
        assert sql.execute(statement, *range(MAX_PARAMETERS)) == [tuple(range(MAX_PARAMETERS))]
        with pytest.raises(SqlError, match="101 parameters, 100 are allowed"):
            sql.execute(statement + ", ?", *range(MAX_PARAMETERS + 1))

    def test_a_row_as_large_as_the_platform_takes(self, sql: Sqlite) -> None:
        sql.execute("INSERT INTO t VALUES (1, ?)", bytes(MAX_ROW_BYTES))
        with pytest.raises(SqlError, match="a row of 2000001 bytes"):
            sql.execute("INSERT INTO t VALUES (2, ? || ?)", bytes(MAX_ROW_BYTES - 1), "é")
        assert sql.execute("SELECT k, length(v) FROM t") == [(1, MAX_ROW_BYTES)]


class TestTransactions:
    def test_a_transaction_keeps_everything(self, sql: Sqlite) -> None:
        def body() -> None:
            for k in range(3):
                sql.execute("INSERT INTO t VALUES (?, NULL)", k)

        sql.transaction(body)
        assert sql.execute("SELECT count(*) FROM t") == [(3,)]

    @pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt])
    def test_a_transaction_that_raises_keeps_nothing(self, sql: Sqlite, reason: type[BaseException]) -> None:
        def body() -> None:
            sql.execute("INSERT INTO t VALUES (1, NULL)")
            raise reason

        with pytest.raises(reason):
            sql.transaction(body)
        assert sql.execute("SELECT count(*) FROM t") == [(0,)]
        sql.execute("INSERT INTO t VALUES (1, NULL)")

    def test_a_statement_that_fails_takes_the_transaction_with_it(self, sql: Sqlite) -> None:
        def body() -> None:
            sql.execute("INSERT INTO t VALUES (1, NULL)")
            sql.execute("INSERT INTO t VALUES (1, NULL)")

        with pytest.raises(SqlError, match="UNIQUE"):
            sql.transaction(body)
        assert sql.execute("SELECT count(*) FROM t") == [(0,)]

    def test_a_statement_may_end_the_transaction_itself_when_it_fails(self, sql: Sqlite) -> None:
        def body() -> None:
            sql.execute("INSERT INTO t VALUES (1, NULL)")
            sql.execute("INSERT OR ROLLBACK INTO t VALUES (1, NULL)")

        with pytest.raises(SqlError, match="UNIQUE"):
            sql.transaction(body)
        assert sql.execute("SELECT count(*) FROM t") == [(0,)]

    def test_a_transaction_inside_a_transaction_is_refused(self, sql: Sqlite) -> None:
        def body() -> None:
            sql.execute("INSERT INTO t VALUES (1, NULL)")
            sql.transaction(lambda: None)

        with pytest.raises(SqlError, match="a transaction inside a transaction"):
            sql.transaction(body)
        assert sql.execute("SELECT count(*) FROM t") == [(0,)]

    def test_what_was_committed_is_in_the_file(self, tmp_path: Path) -> None:
        first = Sqlite(tmp_path / "db")
        first.execute("CREATE TABLE t (k INTEGER PRIMARY KEY)")
        first.execute("INSERT INTO t VALUES (7)")
        second = Sqlite(tmp_path / "db")
        assert second.execute("SELECT k FROM t") == [(7,)]
        second.close()
        first.close()


class TestRowsWritten:
    # (statement, rows that workerd 1.20261117.1 reports) for tables of one shape each, run one after the other
    PLAIN = (
        ("INSERT INTO x VALUES (1, 2)", 1),
        ("INSERT OR REPLACE INTO x VALUES (1, 3)", 1),
        ("REPLACE INTO x VALUES (1, 3)", 1),
        ("INSERT INTO x VALUES (1, 4) ON CONFLICT (k) DO UPDATE SET v = excluded.v", 1),
        ("UPDATE x SET v = 5 WHERE k = 1", 1),
        ("UPDATE x SET v = 5 WHERE k = 99", 0),
        ("INSERT INTO x VALUES (2, 2), (3, 3)", 2),
        ("DELETE FROM x WHERE k = 2", 1),
        ("SELECT * FROM x", 0),
        ("DELETE FROM x", 2),
    )
    INDEXED = (
        ("INSERT INTO x VALUES (7, 7)", 2),
        ("UPDATE x SET v = 8 WHERE k = 7", 2),
        ("INSERT INTO x VALUES (8, 8), (9, 9)", 4),
        ("DELETE FROM x WHERE k = 7", 1),
        ("DELETE FROM x", 2),
    )

    def check(self, create: list[str], expected: tuple[tuple[str, int], ...]) -> None:
        sql = Sqlite()
        for statement in create:
            sql.execute(statement)
        for statement, rows in expected:
            before = sql.rows_written
            sql.execute(statement)
            assert (statement, sql.rows_written - before) == (statement, rows)
        sql.close()

    def test_a_table_by_rowid(self) -> None:
        self.check(["CREATE TABLE x (k INTEGER PRIMARY KEY, v)"], self.PLAIN)

    def test_a_table_without_rowid(self) -> None:
        self.check(["CREATE TABLE x (k TEXT PRIMARY KEY, v) WITHOUT ROWID"], self.PLAIN)

    def test_a_table_with_an_index(self) -> None:
        self.check(["CREATE TABLE x (k INTEGER PRIMARY KEY, v)", "CREATE INDEX i ON x (v)"], self.INDEXED)

    def test_a_text_key_is_an_index(self) -> None:
        self.check(
            ["CREATE TABLE x (k TEXT PRIMARY KEY, v)"],
            (("INSERT INTO x VALUES (1, 2)", 2), ("INSERT OR REPLACE INTO x VALUES (1, 3)", 2), ("DELETE FROM x", 1)),
        )

    def test_an_index_that_is_added_later_counts_from_then_on(self) -> None:
        sql = Sqlite()
        sql.execute("CREATE TABLE x (k INTEGER PRIMARY KEY, v)")
        sql.execute("INSERT INTO x VALUES (?, 1)", 1)
        sql.execute("CREATE INDEX i ON x (v)")
        sql.execute("INSERT INTO x VALUES (?, 1)", 2)
        assert sql.rows_written == 3
        sql.close()
