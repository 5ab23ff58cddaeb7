"""The SQL port: what EdgeRelay asks of the SQLite database below a Durable Object, and the same over CPython's sqlite3.

The port is as small as its users: one statement at a time, values in and tuples out, all-or-nothing transactions, and
the running count of rows written, which is what Durable Object storage is billed by. It does not own any table.

`Sqlite` is strict where the platform is: it takes no transaction statement, no integer that a double cannot hold, no
buffer that is not `bytes` (the platform's wrapper walks those byte by byte), and no row above the platform's limit.
What runs here runs there.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from edgerelay.errors import InvariantError

__all__ = [
    "MAX_INTEGER",
    "MAX_PARAMETERS",
    "MAX_ROW_BYTES",
    "Row",
    "Sql",
    "SqlError",
    "SqlValue",
    "Sqlite",
]

SqlValue = int | str | bytes | None
"""What a parameter and a column can be; floats have no use here and would blur the integers."""

Row = tuple[Any, ...]
"""One row of an answer, columns in the order of the statement; each is an `SqlValue`."""

MAX_INTEGER = 2**53
"""Largest magnitude of an integer: Durable Object SQL hands numbers over as doubles, exact up to here."""

MAX_PARAMETERS = 100
"""Bound parameters of one statement (limit of Durable Object SQL)."""

MAX_ROW_BYTES = 2_000_000
"""Bytes of one row's text and blobs (limit of Durable Object SQL: 2 MB for a string, a blob or a row)."""

# Durable Object SQL refuses BEGIN, COMMIT and SAVEPOINT in favour of its transaction call, and most of PRAGMA.
_VERB = re.compile(r"\s*(SELECT|WITH|INSERT|REPLACE|UPDATE|DELETE|CREATE|DROP|ALTER)\b", re.IGNORECASE)
_INDEXED_TABLE = re.compile(
    r"\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?)\s+(\w+)", re.IGNORECASE
)


class SqlError(InvariantError):
    """A statement that the database refused, or that the platform's database would refuse."""


class Sql(Protocol):
    """One SQLite database with a single user."""

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        """Run one statement and return all its rows; outside a transaction it is durable or it raises."""

    def transaction(self, body: Callable[[], None]) -> None:
        """Run `body`; keep everything that it executed, or, if it raises, nothing. Nested use is an error."""

    @property
    def rows_written(self) -> int:
        """Rows inserted, updated and deleted since the database was opened, index entries included."""


class Sqlite:
    """`Sql` over the standard library's sqlite3: for tests, operator tools and rehearsals on one machine.

    `rows_written` follows what was measured on workerd: an insert counts one per row and one per index entry, a delete
    one per row whatever its indexes. An update counts as an insert does: an upper bound, as it leaves the entries of
    unchanged columns alone. Statements that change the schema are not counted.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # An event is sent only after its row is durable, so a commit has to survive the machine too.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._rows_written = 0
        self._rows_per_change: dict[str, int] = {}

    @property
    def rows_written(self) -> int:
        return self._rows_written

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        verb = _verb(statement)
        _check_parameters(params)
        changes = self._connection.total_changes
        rows = self._run(statement, params)
        changes = self._connection.total_changes - changes
        if changes:
            self._rows_written += changes * self._weight(statement)
        elif verb in {"CREATE", "DROP", "ALTER"}:
            self._rows_per_change.clear()
        _check_answer(rows)
        return rows

    def transaction(self, body: Callable[[], None]) -> None:
        if self._connection.in_transaction:
            raise SqlError("a transaction inside a transaction")
        self._run("BEGIN IMMEDIATE")
        try:
            body()
            self._run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a failed COMMIT may have ended it already
                self._run("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; an open transaction is lost, as by a crash."""
        self._connection.close()

    def _run(self, statement: str, params: tuple[SqlValue, ...] = ()) -> list[Row]:
        try:
            return self._connection.execute(statement, params).fetchall()
        except sqlite3.Error as error:
            raise SqlError(f"{error}: {statement}") from error

    def _weight(self, statement: str) -> int:
        """How many rows the platform counts for each row that `statement` changed."""
        weight = self._rows_per_change.get(statement)
        if weight is None:
            match = _INDEXED_TABLE.match(statement)
            weight = 1 + (self._index_count(match[1]) if match else 0)
            self._rows_per_change[statement] = weight
        return weight

    def _index_count(self, table: str) -> int:
        # The primary key of a table WITHOUT ROWID is listed as an index, but it is the table itself.
        query = (
            "SELECT count(*) FROM pragma_index_list(?1) WHERE origin <> 'pk'"
            " OR NOT (SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE)"
        )
        ((count,),) = self._run(query, (table,))
        return int(count)


def _verb(statement: str) -> str:
    match = _VERB.match(statement)
    if match is None:
        raise SqlError(f"not a statement that the port takes: {statement}")
    return match[1].upper()


def _check_parameters(params: tuple[SqlValue, ...]) -> None:
    if len(params) > MAX_PARAMETERS:
        raise SqlError(f"{len(params)} parameters, {MAX_PARAMETERS} are allowed")
    row_bytes = 0
    for value in params:
        if isinstance(value, bytes):
            row_bytes += len(value)
        elif isinstance(value, str):
            row_bytes += len(value.encode())
        elif type(value) is int:
            _check_integer(value)
        elif value is not None:
            raise SqlError(f"a parameter of type {type(value).__name__}")
    if row_bytes > MAX_ROW_BYTES:
        raise SqlError(f"a row of {row_bytes} bytes, {MAX_ROW_BYTES} are allowed")


def _check_answer(rows: Iterable[Row]) -> None:
    for row in rows:
        for value in row:
            if type(value) is int:
                _check_integer(value)
            elif type(value) is float:
                raise SqlError("a column that is not an integer, a text, a blob or NULL")


def _check_integer(value: int) -> None:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise SqlError(f"the integer {value} is not exact as a double")
