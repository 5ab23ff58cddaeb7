"""Waiting for the platform's answers, only so long.

`asyncio.wait_for` leaves its timer behind when the answer comes, and an object with a timer does not sleep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

import js
from pyodide.ffi import create_proxy

__all__ = ["within"]

_MS_PER_S: Final = 1_000
_T = TypeVar("_T")


async def within(limit_s: float, answer: Awaitable[_T]) -> _T:
    """The answer, and whatever it raises, and:

    Raises:
        TimeoutError: it does not come within so many seconds. It is not waited for any more.
    """
    waiting = asyncio.ensure_future(answer)
    give_up = create_proxy(waiting.cancel)
    timer = js.setTimeout(give_up, limit_s * _MS_PER_S)
    try:
        return await waiting
    except asyncio.CancelledError as error:
        raise TimeoutError(f"no answer within {limit_s} s") from error
    finally:
        js.clearTimeout(timer)
        give_up.destroy()
