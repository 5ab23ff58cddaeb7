"""How far one host's stream is finished: the place from which it is safe to read it again.

Events finish out of order, because accounts do not wait for each other. `low` is the number up to which everything is
finished; what finished above it is remembered, so that reading again from `low` sequences nothing twice. An `epoch`
counts how often the host started its numbers anew.

It does not know what an event is; it sees numbers only.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import Enum, auto
from typing import Final, NamedTuple

from edgerelay.atproto.frames import MAX_SEQ

__all__ = ["Position", "PositionRow", "Seen"]

_NOTHING: Final = (1, 0)
"""An empty run."""


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
    """The latest `time` on an event of the host when last everything received was finished, unix microseconds; 0 if
    there was none."""

    replay_until_us: int
    """After a reset: the latest `time` before it. Events up to then may be repeats. 0 when that is past."""


class Position:
    """The position of one host.

    What it keeps is bounded by the events that are not finished, however many finish while one of them waits: behind
    each of those stands one run of finished numbers, at most.
    """

    def __init__(self, row: PositionRow) -> None:
        self.host_id = row.host_id
        self.epoch = row.epoch
        self.low = row.low
        self.newest_time_us = row.newest_time_us
        """The latest `time` on an event, finished or not."""

        self.replay_until_us = row.replay_until_us
        self._finished_time_us = row.newest_time_us
        self._stored = list(row.done)
        self._newest = row.low
        self._pending: list[int] = []
        """Received numbers that are not finished, in ascending order."""

        self._runs: dict[int, tuple[int, int]] = {}
        """By pending number: the finished ones between it and the next, from the first to the last."""

    @property
    def untouched(self) -> bool:
        """No event of this host was ever received."""
        return self.epoch == 0 and self.low == 0 and not self._pending and not self._stored

    def seen(self, seq: int) -> Seen:
        """Tell what is known of a number, without changing anything."""
        if seq <= self.low:
            return Seen.BELOW
        index = bisect_right(self._pending, seq)
        before = self._pending[index - 1] if index else 0
        if before == seq:
            return Seen.PENDING
        first, last = self._runs.get(before, _NOTHING)
        return Seen.DONE if first <= seq <= last or self._is_stored(seq) else Seen.NEW

    def start_before(self, seq: int) -> None:
        """The first event ever of a host that is read from its live edge: what came before it is not wanted."""
        if self.untouched:
            self.low = seq - 1

    def receive(self, seq: int) -> None:
        """A new event begins: `low` stays below it until it is finished."""
        index = bisect_right(self._pending, seq)
        self._pending.insert(index, seq)
        self._newest = max(self._newest, seq)
        run = self._runs.get(self._pending[index - 1]) if index else None
        if run is not None and run[0] > seq:
            self._runs[seq] = self._runs.pop(self._pending[index - 1])

    def pass_over(self, seq: int) -> None:
        """An event needs nothing more, now or because it was finished before a restart."""
        if self.seen(seq) in (Seen.NEW, Seen.DONE):
            self._newest = max(self._newest, seq)
            self._add_run(bisect_right(self._pending, seq), (seq, seq))

    def finish(self, seq: int) -> None:
        """A received event was sequenced or refused."""
        index = bisect_left(self._pending, seq)
        if self._pending[index : index + 1] == [seq]:
            del self._pending[index]
            self._add_run(index, (seq, self._runs.pop(seq, (seq, seq))[1]))

    def restart(self) -> None:
        """The host starts its numbers anew: nothing of the former epoch is waited for."""
        self.epoch += 1
        self.low = self._newest = 0
        self.replay_until_us = self._finished_time_us
        self._stored.clear()
        self._pending.clear()
        self._runs.clear()

    def heard_of(self, time_us: int) -> None:
        """Events now carry this `time`."""
        self.newest_time_us = max(self.newest_time_us, time_us)
        if time_us > self.replay_until_us:
            self.replay_until_us = 0

    def row(self) -> PositionRow:
        """The position to store."""
        runs = [self._runs[seq] for seq in self._pending if seq in self._runs]
        later = [(max(first, self._newest + 1), last) for first, last in self._stored if last > self._newest]
        return PositionRow(
            self.host_id, self.epoch, self.low, (*runs, *later), self._finished_time_us, self.replay_until_us
        )

    def _is_stored(self, seq: int) -> bool:
        index = bisect_right(self._stored, (seq, MAX_SEQ))
        return index > 0 and seq <= self._stored[index - 1][1]

    def _add_run(self, index: int, run: tuple[int, int]) -> None:
        """Finished numbers between two neighbours in `_pending`, of which the latter has this index."""
        if index == 0:
            self.low = run[1]
            if not self._pending:
                self._finished_time_us = self.newest_time_us
            while self._stored and self._stored[0][1] <= self.low:
                del self._stored[0]
        else:
            before = self._pending[index - 1]
            first, last = self._runs.get(before, run)
            self._runs[before] = (min(first, run[0]), max(last, run[1]))
