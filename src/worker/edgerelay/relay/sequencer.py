"""The one number for everything: unix time in microseconds, strictly increasing.

A number's width is the count of operations that it stands for, so that every operation has a number of its own
(`seq + index`) in streams that send operations. A clock that stands still or steps back does not matter: numbers go on
from the last one.
"""

from __future__ import annotations

from typing import Final

from edgerelay.errors import InvariantError

__all__ = ["BEHIND_ALERT_US", "MIN_TIME_SEQ", "Sequencer"]

MIN_TIME_SEQ: Final = 10**15
"""The smallest number that can be one of ours (September 2001); smaller cursors come from somewhere else."""

BEHIND_ALERT_US: Final = 1_000_000
"""How far the clock may lie behind the last number before it is worth an alert: a second of burst is normal."""


class Sequencer:
    """Assigns sequence numbers; owns the last one and nothing else."""

    def __init__(self, last_seq: int = 0, last_width: int = 1) -> None:
        self.last_seq = last_seq
        self.last_width = last_width

    @property
    def next_free(self) -> int:
        """The smallest number that is not taken yet."""
        return self.last_seq + self.last_width

    def assign(self, operations: int, now_us: int) -> int:
        """The number of an event of so many operations."""
        if now_us < MIN_TIME_SEQ:
            raise InvariantError(f"the clock says {now_us} us, which cannot be now")
        seq = max(self.next_free, now_us)
        self.last_seq = seq
        self.last_width = max(1, operations)
        return seq

    def clock_behind_us(self, now_us: int) -> int:
        """How far the clock lies behind the numbers already given, in microseconds; 0 if it does not."""
        return max(0, self.last_seq - now_us)
