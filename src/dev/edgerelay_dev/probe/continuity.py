"""Whether a stream goes on where it was cut: the numbers that came, held against the same numbers read again.

A reader of the firehose cannot see a hole, since gaps between numbers are normal. So each new connection begins a
little before the end of the last one: what it repeats must be exactly what came then, whichever way each of the two
went, live or from history.

It knows numbers only; events that the relay hides from its history (accounts that were taken down) look lost.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["OVERLAP", "Continuity"]

OVERLAP: Final = 200
"""Events that every connection reads again: what a busy relay sends in half a second, about when it was cut."""

EXAMPLES: Final = 20
"""Numbers that a report names of those that are lost."""


class Continuity:
    """The numbers of one stream, over all its connections."""

    def __init__(self) -> None:
        self.events = 0
        self.repeats = 0
        self.lost = 0
        """Numbers that came once, and not when they were read again."""

        self.missed = 0
        """Numbers among those read again that had not come before."""

        self.disordered = 0
        """Numbers that are not larger than the one before, and no repeats either."""

        self.examples: list[int] = []
        """The first of the lost and missed."""

        self._recent: deque[int] = deque(maxlen=OVERLAP)
        self._expected: deque[int] = deque()

    @property
    def cursor(self) -> int | None:
        """Where the next connection is to begin; None before the first event."""
        return self._recent[0] if self._recent else None

    @property
    def last_seq(self) -> int:
        """The newest number; 0 before the first."""
        return self._recent[-1] if self._recent else 0

    @property
    def awaits_repeats(self) -> bool:
        """Whether the present connection has not yet repeated all that it should."""
        return bool(self._expected)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was wrong so far."""
        return not (self.lost or self.missed or self.disordered)

    def reconnect(self) -> None:
        """A connection begins at `cursor`."""
        self._expected = deque(self._recent)

    def second(self) -> Continuity:
        """The view of another connection, which begins at the same `cursor`."""
        other = Continuity()
        other._recent.extend(self._recent)
        other.reconnect()
        return other

    def take(self, seq: int) -> None:
        """The next number of the present connection."""
        self._give_up_below(seq)
        if self._expected and self._expected[0] == seq:
            self._expected.popleft()
            self.repeats += 1
        elif seq > self.last_seq:
            self._recent.append(seq)
            self.events += 1
        elif self._expected:
            self.missed += 1
            self._name(seq)
        else:
            self.disordered += 1

    def absorb(self, other: Continuity) -> None:
        """Count what another connection showed, as if it had been this one's."""
        self.events += other.events
        self.repeats += other.repeats
        self.lost += other.lost
        self.missed += other.missed
        self.disordered += other.disordered
        for seq in other.examples:
            self._name(seq)

    def _give_up_below(self, seq: int) -> None:
        while self._expected and self._expected[0] < seq:
            self.lost += 1
            self._name(self._expected.popleft())

    def _name(self, seq: int) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(seq)
