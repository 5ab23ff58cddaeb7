"""The clock. It moves between events only: the platform freezes it while code runs."""

from __future__ import annotations

from collections.abc import Callable

import js

from edgerelay.config import Settings

__all__ = ["make_clock"]

_MS_US = 1_000
_S_US = 1_000_000


def make_clock(settings: Settings) -> Callable[[], int]:
    """A function that tells unix microseconds, shifted if a wrong clock is rehearsed."""
    now_ms = js.Date.now
    shift_us = settings.rehearsal_clock_s * _S_US
    return lambda: int(now_ms()) * _MS_US + shift_us
