"""Runs coroutines on a clock that jumps to whatever they wait for: exact times, no waiting, and it works in Pyodide.

Only timers exist there: no sockets, threads or processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Run to the end; returns the result, and how many seconds it took.

    Raises:
        RuntimeError: it waits for something that cannot happen.
    """
    loop = _Loop()
    outer = asyncio._get_running_loop()  # Pyodide has one, always
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(coroutine), loop.now_s
    finally:
        asyncio._set_running_loop(outer)
        loop.close()


class _Loop(asyncio.BaseEventLoop):
    """Is its own selector, to which nothing ever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = self

    def time(self) -> float:
        return self.now_s

    def select(self, timeout_s: float | None) -> list[object]:
        if timeout_s is None:
            raise RuntimeError("nothing will ever happen")
        self.now_s += timeout_s
        return []

    def _process_events(self, events: list[object]) -> None:
        assert not events

    def _write_to_self(self) -> None:
        """Nobody else could wake it."""
