"""What a relay knows when it starts: everything that outlived the one before it, but for accounts and identities."""

from __future__ import annotations

from typing import NamedTuple

from edgerelay.relay.position import Position, PositionRow

__all__ = ["Restored"]


class Restored(NamedTuple):
    """What a relay knows when it starts."""

    host_id: int
    positions: tuple[PositionRow, ...] = ()
    last_seq: int = 0
    last_width: int = 1
    shards: tuple[tuple[str, str], ...] = ()
    """(name, region) of each shard that had readers."""

    connection: int = 0
    """Number of the last connection in this object's life; later ones get higher numbers."""

    is_doubtful: bool = False
    """Whether the archive holds more than what is stored is not known."""

    storage_problem: str = ""
    """Why the relay before this one could not write; empty if it could, or there was none."""

    def position(self) -> Position:
        """The position at the host; the very beginning if it was never read."""
        rows = {row.host_id: row for row in self.positions}
        return Position(rows.get(self.host_id) or PositionRow(self.host_id, 0, 0, (), 0, 0))

    def other_positions(self) -> tuple[PositionRow, ...]:
        """The positions at hosts that are not read now."""
        return tuple([row for row in self.positions if row.host_id != self.host_id])
