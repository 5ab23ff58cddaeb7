"""The small tables of RelayState: hosts, their positions at the last checkpoint, shards with readers, and how far the
archive has come.

What changes with every event is in the hot log; these rows change rarely.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from edgerelay.relay.position import PositionRow
from edgerelay.runtime.sql import Sql

__all__ = ["ArchiveMark", "Registry"]


class ArchiveMark(NamedTuple):
    """How far the archive has come."""

    archived_seq: int = 0
    """Every event up to this number is in a group that was stored."""

    planned_seq: int = 0
    """The next group ends with this event; 0 if none was begun. What is stored twice has the same name."""


class Registry:
    """Rows that are few and change rarely."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def host_id(self, url: str) -> int:
        """The number of a host, given out when it is first seen and never again."""
        rows = self._sql.execute("SELECT host_id FROM hosts WHERE url = ?", url)
        if not rows:
            self._sql.execute("INSERT INTO hosts SELECT coalesce(max(host_id), 0) + 1, ? FROM hosts", url)
            return self.host_id(url)
        return int(rows[0][0])

    def hosts(self) -> dict[int, str]:
        """URLs of hosts by their numbers."""
        rows = self._sql.execute("SELECT host_id, url FROM hosts")
        return {int(host_id): str(url) for host_id, url in rows}

    def replace_hosts(self, hosts: Mapping[int, str]) -> None:
        """Take other numbers of hosts for granted; nothing may refer to those that were given out."""
        self._sql.execute("DELETE FROM hosts")
        for host_id, url in hosts.items():
            self._sql.execute("INSERT INTO hosts VALUES (?, ?)", host_id, url)

    def positions(self) -> dict[int, PositionRow]:
        """Positions by host, as of the last checkpoint."""
        rows = self._sql.execute(
            "SELECT host_id, epoch, low, done, newest_time_us, replay_until_us FROM positions ORDER BY host_id"
        )
        return {
            host_id: PositionRow(host_id, epoch, low, tuple([(a, b) for a, b in json.loads(done)]), newest, until)
            for host_id, epoch, low, done, newest, until in rows
        }

    def save_positions(self, positions: Iterable[PositionRow]) -> None:
        """Store positions."""
        for host_id, epoch, low, done, newest_time_us, replay_until_us in positions:
            self._sql.execute(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
                host_id,
                epoch,
                low,
                json.dumps(done),
                newest_time_us,
                replay_until_us,
            )

    def shards(self) -> list[tuple[str, str]]:
        """(name, region) of the shards with readers."""
        return [(name, region) for name, region in self._sql.execute("SELECT name, region FROM shards ORDER BY name")]

    def remember_shard(self, name: str, region: str) -> None:
        """A shard has readers."""
        self._sql.execute("INSERT OR REPLACE INTO shards VALUES (?, ?)", name, region)

    def forget_shard(self, name: str) -> None:
        """A shard has none."""
        self._sql.execute("DELETE FROM shards WHERE name = ?", name)

    def archive_mark(self) -> ArchiveMark:
        """How far the archive has come."""
        rows = self._sql.execute("SELECT archived_seq, planned_seq FROM archive")
        return ArchiveMark(*rows[0]) if rows else ArchiveMark()

    def save_archive_mark(self, mark: ArchiveMark) -> None:
        """Store how far the archive has come."""
        self._sql.execute("INSERT OR REPLACE INTO archive VALUES (1, ?, ?)", *mark)
