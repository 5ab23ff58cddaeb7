"""The audit: what the operator did, when, to which account and why."""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.runtime.sql import Sql

__all__ = ["MAX_ENTRIES", "PAGE_ENTRIES", "SCHEMA", "Audit", "AuditEntry"]

SCHEMA: Final = (
    "CREATE TABLE audit (id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, action TEXT NOT NULL, did TEXT NOT NULL,"
    " reason TEXT NOT NULL)",
)

MAX_ENTRIES: Final = 10_000
"""Entries that are kept, 10 MB at most; beyond it the oldest go."""

PAGE_ENTRIES: Final = 100
"""Entries in one answer."""


class AuditEntry(NamedTuple):
    """One decision."""

    id: int
    time_us: int
    action: str
    did: str
    reason: str


class Audit:
    """The entries, in the order in which they were made."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def add(self, time_us: int, action: str, did: str, reason: str) -> None:
        """Make an entry. Raises `SqlError`."""
        self._sql.execute(
            "INSERT INTO audit SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ? FROM audit", time_us, action, did, reason
        )
        self._sql.execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", MAX_ENTRIES)

    def page(self, before: int = 0) -> list[AuditEntry]:
        """The newest entries, or those before this one, the newest first; at most `PAGE_ENTRIES`."""
        rows = self._sql.execute(
            "SELECT id, time_us, action, did, reason FROM audit WHERE id < ? OR ? = 0 ORDER BY id DESC LIMIT ?",
            before,
            before,
            PAGE_ENTRIES,
        )
        return [AuditEntry(*row) for row in rows]
