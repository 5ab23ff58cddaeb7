"""A database whose user is killed between two statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgerelay.runtime.sql import Row, Sql, SqlValue

__all__ = ["CrashError", "CrashingSql"]


class CrashError(Exception):
    """The object was killed before a statement."""


class CrashingSql:
    """Passes statements on until one is to be the last, and counts those that read."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self.statements_left: int | None = None
        self.reads = 0

    def execute(self, statement: str, *params: SqlValue) -> list[Row]:
        self.reads += statement.startswith("SELECT")
        if self.statements_left is not None:
            if self.statements_left == 0:
                raise CrashError
            self.statements_left -= 1
        return self._sql.execute(statement, *params)

    def transaction(self, body: Callable[[], None]) -> None:
        self._sql.transaction(body)

    @property
    def rows_written(self) -> int:
        return self._sql.rows_written

    @contextmanager
    def crash_after(self, statements: int) -> Iterator[None]:
        """Let so many statements pass within the block, if it gets that far."""
        self.statements_left = statements
        try:
            yield
        except CrashError:
            pass
        finally:
            self.statements_left = None
