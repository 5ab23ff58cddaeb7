"""The SQL port over the SQLite database of a Durable Object.

Goes past the SDK's wrapper: that converts every value in Python, caches the values of properties, and would walk a
buffer byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyodide.ffi import JsException, create_once_callable

from edgerelay.cloudflare.buffers import Buffers
from edgerelay.runtime.sql import Row, SqlError, SqlValue

__all__ = ["DurableSql"]


class DurableSql:
    """`runtime.sql.Sql` on the platform. A write is durable before anything that leaves the object after it."""

    def __init__(self, ctx: Any, buffers: Buffers) -> None:
        """`ctx` is the platform's own state of the object."""
        self._buffers = buffers
        self._storage = ctx.storage
        self._exec = ctx.storage.sql.exec
        self._in_transaction = False
        self.rows_written = 0

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        """Run one statement and return all its rows."""
        try:
            cursor = self._exec(
                statement, *[self._buffers.of(each) if isinstance(each, bytes) else each for each in params]
            )
            rows = [_row(each) for each in cursor.raw()]
            self.rows_written += int(cursor.rowsWritten)
        except JsException as error:
            raise SqlError(f"{error.message}: {statement[:80]}") from error
        return rows

    def transaction(self, body: Callable[[], None]) -> None:
        """Run `body`; keep everything that it executed, or nothing if it raises."""
        if self._in_transaction:
            raise SqlError("a transaction inside a transaction")
        raised: list[BaseException] = []

        def guarded() -> None:
            try:
                body()
            except BaseException as error:
                raised.append(error)
                raise

        self._in_transaction = True
        try:
            self._storage.transactionSync(create_once_callable(guarded))
        except JsException as error:
            raise (raised[0] if raised else SqlError(error.message)) from error
        finally:
            self._in_transaction = False


def _row(columns: Any) -> Row:
    return tuple([_value(each) for each in columns])


def _value(value: Any) -> SqlValue:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return int(value)
    to_bytes = getattr(value, "to_bytes", None)
    return to_bytes() if to_bytes else None
