"""How far one host's stream is finished: the place from which it is safe to read it again.

Events finish out of order, because accounts do not wait for each other. `low` is the number up to which everything is
finished; what finished above it is remembered, so that reading again from `low` sequences nothing twice. An `epoch`
counts how often the host started its numbers anew.

It does not know what an event is; it sees numbers only.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from enum import Enum, auto
from typing import NamedTuple

__all__ = ["Position", "PositionRow", "Seen"]


class Seen(Enum):
    """What a position knows of an upstream number."""

    NEW = auto()
    BELOW = auto()
    """At or below `low`: finished, or older than everything."""
    PENDING = auto()
    DONE = auto()


class PositionRow(NamedTuple):
    """A position as it is stored, with every batch that changes it."""

    host_id: int
    epoch: int
    low: int
    done: tuple[tuple[int, int], ...]
    """Finished numbers above `low`, as inclusive ranges in ascending order."""
    newest_time_us: int
    """The latest `time` that the host put on an event, unix microseconds; 0 if it never sent one."""

    replay_until_us: int
    """After a reset: the latest `time` before it. Events up to then may be repeats. 0 when that is past."""


class Position:
    """The position of one host."""

    def __init__(self, row: PositionRow) -> None:
        self.host_id = row.host_id
        self.epoch = row.epoch
        self.low = row.low
        self.newest_time_us = row.newest_time_us
        self.replay_until_us = row.replay_until_us
        self._stored = deque(row.done)
        self._received: deque[int] = deque()
        self._known: dict[int, bool] = {}
        """Received numbers above `low`, and whether each is finished."""

    @property
    def untouched(self) -> bool:
        """No event of this host was ever received."""
        return self.epoch == 0 and self.low == 0 and not self._received and not self._stored

    def seen(self, seq: int) -> Seen:
        """Tell what is known of a number, without changing anything."""
        if seq <= self.low:
            return Seen.BELOW
        finished = self._known.get(seq)
        if finished is not None:
            return Seen.DONE if finished else Seen.PENDING
        return Seen.DONE if any(first <= seq <= last for first, last in self._stored) else Seen.NEW

    def start_before(self, seq: int) -> None:
        """The first event ever of a host that is read from its live edge: what came before it is not wanted."""
        if self.untouched:
            self.low = seq - 1

    def receive(self, seq: int) -> None:
        """A new event begins: `low` stays below it until it is finished."""
        self._note(seq, finished=False)

    def pass_over(self, seq: int) -> None:
        """An event needs nothing more, now or because it was finished before a restart."""
        if seq not in self._known:
            self._note(seq, finished=True)
            self._advance()

    def finish(self, seq: int) -> None:
        """A received event was sequenced or refused."""
        if seq in self._known:
            self._known[seq] = True
            self._advance()

    def restart(self) -> None:
        """The host starts its numbers anew: nothing of the former epoch is waited for."""
        self.epoch += 1
        self.low = 0
        self.replay_until_us = self.newest_time_us
        self._stored.clear()
        self._received.clear()
        self._known.clear()

    def heard_of(self, time_us: int) -> None:
        """Events now carry this `time`."""
        self.newest_time_us = max(self.newest_time_us, time_us)
        if time_us > self.replay_until_us:
            self.replay_until_us = 0

    def row(self) -> PositionRow:
        """The position to store."""
        return PositionRow(
            self.host_id, self.epoch, self.low, self._ranges(), self.newest_time_us, self.replay_until_us
        )

    def _note(self, seq: int, *, finished: bool) -> None:
        if self._received and seq < self._received[-1]:
            insort(self._received, seq)
        else:
            self._received.append(seq)
        self._known[seq] = finished

    def _advance(self) -> None:
        while self._received and self._known[self._received[0]]:
            self.low = self._received.popleft()
            del self._known[self.low]
        while self._stored and self._stored[0][1] <= self.low:
            self._stored.popleft()

    def _ranges(self) -> tuple[tuple[int, int], ...]:
        """Runs of finished numbers, received since the start or stored before it."""
        ranges: list[tuple[int, int]] = []
        run: tuple[int, int] | None = None
        for seq in self._received:
            if not self._known[seq]:
                run = None
            elif run is None:
                run = (seq, seq)
                ranges.append(run)
            else:
                run = ranges[-1] = (run[0], seq)
        newest = self._received[-1] if self._received else self.low
        ranges.extend((max(first, newest + 1), last) for first, last in self._stored if last > newest)
        return tuple(ranges)
