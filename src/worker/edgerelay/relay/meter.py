"""How fast a counter rises."""

from __future__ import annotations

from typing import Final

__all__ = ["Meter"]

_US: Final = 1_000_000

SPAN_US: Final = 2 * _US
"""How long is counted before the rate is told: long enough to even out bursts, short enough to see a crowd come."""


class Meter:
    """The rate of a counter that is read now and then."""

    __slots__ = ("_at_us", "_per_s", "_total")

    def __init__(self) -> None:
        self._at_us = 0
        self._total = 0
        self._per_s = 0

    def per_s(self, total: int, now_us: int) -> int:
        """The rate a second over the last span of `SPAN_US` or more; `total` is the count now."""
        passed_us = now_us - self._at_us
        if passed_us < 0 or passed_us >= SPAN_US:
            self._per_s = max(0, total - self._total) * _US // passed_us if passed_us > 0 else 0
            self._at_us, self._total = now_us, total
        return self._per_s
