"""Whose read of history comes next, among the readers of one shard: where the waits together are the longest.

Whoever stands within what was read has it, too. So it is for many at once that a block is read where many wait, and
they stay together; and whoever waits alone gets on when that wait has become as long as those of the many together,
which nobody's can be for ever. (In the literature of broadcast scheduling this is "longest wait first".)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple, TypeAlias

from edgerelay.relay.shard_commands import Read

__all__ = ["ReadQueue"]

_Place: TypeAlias = tuple[int, bool]
"""A cursor, and whether lines are wanted there, which are read from other objects."""


class _Waiting(NamedTuple):
    read: Read
    since_us: int


class ReadQueue:
    """What is to be read. One entry for each reader that waits."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        """In order."""

        self._waiting: dict[_Place, list[_Waiting]] = {}
        """Those of each place, in the order in which they came."""

        self._since_us: dict[_Place, int] = {}
        """The sums of when they came."""

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, read: Read, now_us: int) -> None:
        """Somebody wants to read."""
        place = _place_of(read)
        if place not in self._waiting:
            insort(self._places, place)
            self._waiting[place], self._since_us[place] = [], 0
        self._waiting[place].append(_Waiting(read, now_us))
        self._since_us[place] += now_us

    def next(self, now_us: int) -> Read | None:
        """Who is next; None if nobody waits. The others of the same place wait on, to be taken with what is read."""
        if not self._places:
            return None
        place = max(self._places, key=lambda place: len(self._waiting[place]) * now_us - self._since_us[place])
        waiting = self._waiting[place]
        read, since_us = waiting.pop(0)
        self._since_us[place] -= since_us
        if not waiting:
            self._forget(bisect_left(self._places, place))
        return read

    def take(self, first_seq: int, last_seq: int, *, has_lines: bool) -> list[Read]:
        """All others who stand between these numbers, and want lines, or frames."""
        taken: list[Read] = []
        for index in reversed(range(*(bisect_left(self._places, (seq, False)) for seq in (first_seq, last_seq + 1)))):
            place = self._places[index]
            if place[1] == has_lines:
                taken = [*(read for read, _ in self._waiting[place]), *taken]
                self._forget(index)
        return taken

    def _forget(self, index: int) -> None:
        place = self._places.pop(index)
        del self._waiting[place], self._since_us[place]


def _place_of(read: Read) -> _Place:
    return read.cursor, read.channel.wire.has_lines
