"""Work in the background of an object. Nothing that goes wrong in it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Tasks"]


class Tasks:
    """Tasks that run until they end, and turns; whatever one of them raises is handed on."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin to run."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def run(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do something at once, for a caller who does not care for what it raises."""
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed on
            self._failed(error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)
