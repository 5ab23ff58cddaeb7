"""The queue's port: where RelayState announces groups to the archiver."""

from __future__ import annotations

from typing import Protocol

from edgerelay.errors import EdgeRelayError

__all__ = ["GroupQueue", "QueueError"]


class QueueError(EdgeRelayError):
    """The queue did not take a message."""


class GroupQueue(Protocol):
    """Takes messages; each arrives once or more often, in any order."""

    async def send(self, text: str) -> None:
        """Send a message. Raises `QueueError`; it may have been sent all the same."""
