"""In which order readers of one shard read history: upwards from where the last one read, and then again from below.

Whoever waits at a place gets on when the round comes by, and whoever stands within what was read has it, too: a block
is read once for all who want it, and those who came at different times go on together. A round passes everybody, so
that nobody waits for ever.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import count
from typing import NamedTuple

from edgerelay.relay.shard_commands import Read

__all__ = ["Rounds"]


class _Waiting(NamedTuple):
    cursor: int
    number: int
    """Who came first is first, at the same place."""

    read: Read


class Rounds:
    """What is to be read. One entry for each reader that waits."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._numbers = count()
        self._cursor = -1

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, read: Read) -> None:
        """Somebody wants to read."""
        insort(self._waiting, _Waiting(read.cursor, next(self._numbers), read))

    def next(self) -> Read | None:
        """Who is next; None if nobody waits."""
        if not self._waiting:
            return None
        index = bisect_left(self._waiting, (self._cursor + 1,)) % len(self._waiting)
        self._cursor, _, read = self._waiting.pop(index)
        return read

    def take(self, first_seq: int, last_seq: int, *, has_lines: bool) -> list[Read]:
        """All others who stand between these numbers, and want lines, or frames."""
        begin, end = (bisect_left(self._waiting, (seq,)) for seq in (first_seq, last_seq + 1))
        within = self._waiting[begin:end]
        self._waiting[begin:end] = [each for each in within if each.read.channel.wire.has_lines != has_lines]
        return [each.read for each in within if each.read.channel.wire.has_lines == has_lines]
