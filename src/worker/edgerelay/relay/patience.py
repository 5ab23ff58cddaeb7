"""How much a client may say: subscribers have little to say, and whoever says much keeps everybody else waiting.

A message costs one, and one more for each `BYTES_OF_ONE`. What was spent comes back with time.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Patience"]

BURST: Final = 1_100
"""What may be spent at once: a message of 10 MB, which is the largest that is looked at, and some more."""

PER_S: Final = 10
"""What comes back in a second."""

BYTES_OF_ONE: Final = 10_000
"""To read as many takes about as long as to be woken by a message."""

_US: Final = 1_000_000


class Patience:
    """With one client."""

    __slots__ = ("_heard_us", "_left")

    def __init__(self) -> None:
        self._left = float(BURST)
        self._heard_us = 0

    def bears(self, size_bytes: int, now_us: int) -> bool:
        """Whether one more message is borne."""
        passed_us = max(0, now_us - self._heard_us)
        self._heard_us = now_us
        self._left = min(BURST, self._left + passed_us * PER_S / _US) - 1 - size_bytes // BYTES_OF_ONE
        return self._left >= 0
