"""Time as the simulated network sees it: microseconds since 1970, from a function that can be replaced.

With `SteppingClock` every run of the same calls gives the same bytes; `system_clock` is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Final

__all__ = ["Clock", "SteppingClock", "datetime_text", "system_clock"]

Clock = Callable[[], int]
"""Gives the present time in microseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    """Read the machine's clock."""
    return time_ns() // 1_000


@dataclass(slots=True)
class SteppingClock:
    """A clock that moves on by `step_us` whenever it is read, and never otherwise."""

    now_us: int
    step_us: int = 1_000

    def __call__(self) -> int:
        self.now_us += self.step_us
        return self.now_us


def datetime_text(now_us: int) -> str:
    """Write a time as the `time` and `createdAt` fields want it.

    Microseconds, where the reference PDS gives milliseconds: latency is measured against this field.
    """
    return (_EPOCH + timedelta(microseconds=now_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
