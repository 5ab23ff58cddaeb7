"""The queue's port over Queues."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pyodide.ffi import JsException

from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.runtime.group_queue import QueueError

__all__ = ["PlatformQueue"]

SEND_TIMEOUT_S: Final = 10
"""Seconds that a message may take: the next group waits for it, and does not need it."""

_MESSAGE_CHARS: Final = 200


class PlatformQueue:
    """`runtime.group_queue.GroupQueue` on the platform."""

    def __init__(self, binding: Any) -> None:
        """`binding` is the platform's own binding of the queue."""
        self._binding = binding

    async def send(self, text: str) -> None:
        """Send a message."""
        try:
            await asyncio.wait_for(self._binding.send(text, plain_object({"contentType": "text"})), SEND_TIMEOUT_S)
        except (JsException, OSError) as error:
            raise QueueError(str(error)[:_MESSAGE_CHARS]) from error
