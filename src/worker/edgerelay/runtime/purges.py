"""The table of accounts whose events are being purged, and how far that is."""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.runtime.sql import Sql

__all__ = ["SCHEMA", "Purge", "Purges"]

SCHEMA: Final = (
    "CREATE TABLE purges (did TEXT PRIMARY KEY, log_seq INTEGER NOT NULL, end_seq INTEGER NOT NULL,"
    " after TEXT NOT NULL, begun_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, objects INTEGER NOT NULL)"
    " WITHOUT ROWID",
)


class Purge(NamedTuple):
    """One account's."""

    did: str
    log_seq: int
    """The hot log holds nothing of the account up to this number."""

    end_seq: int
    """The account has no event beyond this number."""

    after: str
    """The pass over the bucket has come to the object of this name."""

    begun_us: int
    """When the pass began."""

    changed_us: int
    """When something of the account was found last, or something could not be read, or the purge was ordered."""

    objects: int = 0
    """Objects that were rewritten."""


class Purges:
    """The rows. All of it may raise `SqlError`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def save(self, purge: Purge) -> None:
        """Add a row, or replace the account's."""
        self._sql.execute("INSERT OR REPLACE INTO purges VALUES (?, ?, ?, ?, ?, ?, ?)", *purge)

    def remove(self, did: str) -> None:
        """An account's events are purged, or shall not be any more."""
        self._sql.execute("DELETE FROM purges WHERE did = ?", did)

    def find(self, did: str) -> Purge | None:
        """An account's row."""
        rows = self._sql.execute("SELECT * FROM purges WHERE did = ?", did)
        return Purge(*rows[0]) if rows else None

    def next(self) -> Purge | None:
        """The one to go on with: whose events are in the log, then whose pass began first; None if there is none."""
        rows = self._sql.execute("SELECT * FROM purges ORDER BY log_seq >= end_seq, begun_us, did LIMIT 1")
        return Purge(*rows[0]) if rows else None

    def begin_pass(self, now_us: int) -> list[Purge]:
        """Let all begin a pass that wait for one; returns them."""
        rows = self._sql.execute(
            "UPDATE purges SET begun_us = ? WHERE after = '' AND begun_us <= ? AND log_seq >= end_seq RETURNING *",
            now_us,
            now_us,
        )
        return [Purge(*row) for row in rows]

    def on_pass(self, purge: Purge) -> list[Purge]:
        """All that are on the same pass as this one, itself included."""
        rows = self._sql.execute("SELECT * FROM purges WHERE begun_us = ? AND after = ?", purge.begun_us, purge.after)
        return [Purge(*row) for row in rows]
