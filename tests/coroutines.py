"""Runs coroutines in tests that are not coroutines themselves, on CPython and inside Pyodide."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["finished", "no_pause"]

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. Pyodide has one event loop, which runs already and cannot be started."""
    if sys.platform == "emscripten":
        from pyodide.ffi import run_sync  # noqa: TID251 - no other way to wait

        answer: T = run_sync(coroutine)
        return answer
    return asyncio.run(coroutine)


async def no_pause() -> None:
    """What is awaited where others may run, when there are none."""
