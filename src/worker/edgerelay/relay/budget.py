"""The memory that shards of one isolate may hold together, and who has to give way.

What a socket has not sent lies in our memory until its peer takes it or is gone, and all objects of an isolate share
128 MB. Each shard reports what waits in its sockets, its ring, and the blocks that its readers have in hand. When it is
too much, rings are given up, for they are caches, and no more history is read. When that does not help soon, the reader
that holds most is closed, whoever else would wait for it. Closing frees nothing by itself: if peers that were closed do
not go away either, the object that holds most of that ends, and all its sockets with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["ByteBudget", "Debts"]

_US: Final = 1_000_000

PATIENCE_US: Final = 5 * _US
"""How long there may be too much before somebody is closed: a reader that gets on has sent what waits by then."""

AT_ONCE_SHARE: Final = 1.25
"""Share of the budget beyond which nobody is waited for."""

LAST_RESORT_SHARE: Final = 1.5
"""Share of the budget, with what is closing, beyond which peers that were closed are waited for only so long:"""

LAST_RESORT_US: Final = 10 * _US

KNOWN_US: Final = 10 * _US
"""How long a report counts. A shard whose sockets hold anything reports more often; others may be asleep or gone."""


class Debts(NamedTuple):
    """What one shard holds, in bytes."""

    open: Mapping[str, int]
    """By reader: not sent yet."""

    closing: int = 0
    """In sockets that were closed and whose peers are not gone."""

    history: int = 0
    """The ring, and blocks that are read."""

    @property
    def kept(self) -> int:
        """What will stay when all that is closing is gone."""
        return sum(self.open.values()) + self.history


class ByteBudget:
    """The latest reports of all shards."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._reports: dict[str, tuple[Debts, int]] = {}
        self._over_since_us: int | None = None
        self._full_since_us: int | None = None

    def report(self, shard: str, debts: Debts, now_us: int) -> None:
        """What a shard holds now, in place of what it reported before."""
        self._reports[shard] = debts, now_us
        for name, (_, at_us) in list(self._reports.items()):
            if not 0 <= now_us - at_us <= KNOWN_US:
                del self._reports[name]
        is_full = self.kept_bytes + self._closing_bytes > self._limit_bytes * LAST_RESORT_SHARE
        self._over_since_us = _since(self._over_since_us, now_us, holds=not self.allows_replay)
        self._full_since_us = _since(self._full_since_us, now_us, holds=is_full)

    @property
    def kept_bytes(self) -> int:
        """Held by all shards, without what is closing."""
        return sum(debts.kept for debts, _ in self._reports.values())

    @property
    def allows_replay(self) -> bool:
        """Whether history may be read."""
        return self.kept_bytes <= self._limit_bytes

    def overdrawn(self, shard: str, now_us: int) -> str | None:
        """The reader of this shard that is to be closed: it holds most of all, and there was too much for too long."""
        if self._over_since_us is None:
            return None
        is_urgent = self.kept_bytes > self._limit_bytes * AT_ONCE_SHARE
        if not is_urgent and now_us - self._over_since_us < PATIENCE_US:
            return None
        reports = self._reports.items()
        debtors = [(size, name, reader) for name, (debts, _) in reports for reader, size in debts.open.items()]
        _, owner, reader = max(debtors, default=(0, "", ""))
        return reader if owner == shard else None

    def must_end(self, shard: str, now_us: int) -> bool:
        """Whether this shard holds most of what does not go away, and that was too much for too long."""
        if self._full_since_us is None or now_us - self._full_since_us < LAST_RESORT_US:
            return False
        closing = {name: debts.closing for name, (debts, _) in self._reports.items()}
        return closing.get(shard, 0) > 0 and closing[shard] == max(closing.values())

    @property
    def _closing_bytes(self) -> int:
        return sum(debts.closing for debts, _ in self._reports.values())


def _since(before_us: int | None, now_us: int, *, holds: bool) -> int | None:
    """Since when something holds that held since `before_us`; None if it does not."""
    if not holds:
        return None
    return now_us if before_us is None else min(before_us, now_us)
