"""Timestamp identifiers, as record keys and as revisions.

Spec: atproto TID.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TidClock", "tid_text"]

_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"
_CLOCK_ID_BITS: Final = 10
_CHARS: Final = 13
_CHAR_BITS: Final = 5


def tid_text(time_us: int, clock_id: int) -> str:
    """Write a time and a clock id as 13 characters that sort like the numbers."""
    value = time_us << _CLOCK_ID_BITS | clock_id
    return "".join(_ALPHABET[value >> shift & 31] for shift in range((_CHARS - 1) * _CHAR_BITS, -1, -_CHAR_BITS))


@dataclass(slots=True)
class TidClock:
    """Hands out TIDs that only ever grow, also when the clock behind it does not."""

    clock_id: int
    last_us: int = 0

    def next(self, now_us: int) -> str:
        """Return a TID for now, or the smallest one that is newer than the last."""
        self.last_us = max(self.last_us + 1, now_us)
        return tid_text(self.last_us, self.clock_id)
