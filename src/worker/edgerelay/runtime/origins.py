"""Origins of hosts by number: a text that thousands of identities share is stored once.

The table is bounded, because anybody may name any origin in a document of their own: beyond the limit those go that
have not been used for long. A number is never given out twice, so whoever holds the number of an origin that has gone
learns that, and nothing wrong.
"""

from __future__ import annotations

from typing import Final

from edgerelay.runtime.recent import Recent
from edgerelay.runtime.sql import Sql

__all__ = ["MAX_ORIGINS", "MAX_ORIGIN_CHARS", "RECENT_ORIGINS", "SCHEMA", "Origins"]

SCHEMA: Final = ("CREATE TABLE origins (number INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE)",)
"""The statements that create the table; whoever owns the schema of the database runs them."""

MAX_ORIGIN_CHARS: Final = len("https://") + 253 + len(":65535")
"""Characters of an origin: a host name has at most 253 (RFC 1035). Nobody should ask for the number of a longer one."""

RECENT_ORIGINS: Final = 1_024
"""Origins in each of the two generations that are kept in memory: 0.25 MB in WebAssembly for both and both ways.

A host of more accounts than most is used all the time, and any other costs one read."""

MAX_ORIGINS: Final = 32_768
"""Origins in the table: many times the hosts of the network, and 18 MB if each is as long as can be. It must be more
than are kept in memory, four generations in all, so that there is always one that can go."""

_SIZE: Final = "SELECT count(*), max(number) FROM origins"
_NUMBER_OF: Final = "SELECT number FROM origins WHERE origin = ?"
_ORIGIN_OF: Final = "SELECT origin FROM origins WHERE number = ?"
_NEXT: Final = "SELECT number, origin FROM origins WHERE number > ? ORDER BY number LIMIT 1"
_INSERT: Final = "INSERT INTO origins (number, origin) VALUES (?, ?)"
_DELETE: Final = "DELETE FROM origins WHERE number = ?"


class Origins:
    """Numbers of origins, over an `Sql` database that has the table of `SCHEMA`; the only user of it."""

    def __init__(self, sql: Sql, *, max_origins: int = MAX_ORIGINS, recent_origins: int = RECENT_ORIGINS) -> None:
        self._sql = sql
        self._max_origins = max_origins
        self._numbers: Recent[str, int] = Recent(recent_origins)
        self._origins: Recent[int, str] = Recent(recent_origins)
        ((self._count, newest),) = sql.execute(_SIZE)
        self._newest: int = newest or 0
        self._hand = 0

    def number_of(self, origin: str) -> int:
        """Return the number of an origin, from 1 on; one without a number gets it, at once and for good.

        Not for use inside a transaction: what a rollback takes back would be given out again.
        """
        number = self._numbers.get(origin)
        if number is None:
            rows = self._sql.execute(_NUMBER_OF, origin)
            number = rows[0][0] if rows else self._add(origin)
            self._remember(number, origin)
        return number

    def origin_of(self, number: int) -> str | None:
        """Return the origin of a number; None if it had to go."""
        origin = self._origins.get(number)
        if origin is None:
            rows = self._sql.execute(_ORIGIN_OF, number)
            if rows:
                origin = rows[0][0]
                self._remember(number, origin)
        return origin

    def _remember(self, number: int, origin: str) -> None:
        self._numbers.add(origin, number)
        self._origins.add(number, origin)

    def _add(self, origin: str) -> int:
        while self._count >= self._max_origins:
            self._make_room()
        self._sql.execute(_INSERT, self._newest + 1, origin)
        self._newest += 1
        self._count += 1
        return self._newest

    def _make_room(self) -> None:
        """Move the hand, which goes round over all of them, and let the one there go unless it was used lately."""
        rows = self._sql.execute(_NEXT, self._hand)
        self._hand = number = rows[0][0] if rows else 0
        # Without the largest number the next one to be given out, after a restart, would be one that had been.
        if rows and number != self._newest and number not in self._origins and rows[0][1] not in self._numbers:
            self._sql.execute(_DELETE, number)
            self._count -= 1
