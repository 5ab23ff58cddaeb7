"""What a host has emitted, in order, ready for the wire.

A `Feed` is what subscriptions read from: the `EventLog` of a live host here, a `RecordedFeed` of a replaying one in
`recording`. Readers are cursors; the log knows nothing of them beyond waking them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from edgerelay_dev.network.websocket import Opcode, frame_header

__all__ = ["DEFAULT_RETENTION_BYTES", "Batch", "Emitted", "EventLog", "Feed"]

DEFAULT_RETENTION_BYTES: Final = 512_000_000
"""Older frames are forgotten beyond this: a host that runs for days must not fill the machine."""

_TRIM_SHARE: Final = 8
"""Trimming drops this fraction at once, so that its cost is spread over many appends."""


class Emitted(NamedTuple):
    """One message under the sequence number that the host gave it, whatever its bytes claim."""

    seq: int
    frame: bytes
    opcode: int = Opcode.BINARY

    @property
    def wire(self) -> bytes:
        """The message with its WebSocket header."""
        return frame_header(len(self.frame), self.opcode) + self.frame


class Batch(NamedTuple):
    """Consecutive messages as they are written to a socket."""

    wire: bytes
    last_seq: int
    frames: int


class Feed(Protocol):
    """A sequence of messages that can be read from any point."""

    @property
    def newest(self) -> int:
        """The highest sequence number that readers may have now."""

    @property
    def live_edge(self) -> int:
        """The sequence number behind which a reader without a cursor starts."""

    @property
    def forgotten(self) -> int:
        """The highest sequence number that is no longer there; 0 if everything is."""

    def read(self, after: int, max_bytes: int) -> Batch | None:
        """Read on from behind a sequence number: at least one message, None when there is none yet."""

    async def wait(self, after: int) -> None:
        """Return when there may be messages behind `after`."""


class EventLog:
    """The log of a live host."""

    def __init__(self, retention_bytes: int = DEFAULT_RETENTION_BYTES, first_seq: int = 1) -> None:
        self.messages: list[Emitted] = []
        """Everything that is still kept, oldest first."""
        self.newest = first_seq - 1
        self.forgotten = 0
        self._retention_bytes = retention_bytes
        self._bytes = 0
        self._appended = asyncio.Event()

    @property
    def live_edge(self) -> int:
        """A reader without a cursor gets what is emitted from now on."""
        return self.newest

    def append(self, frame_for: Callable[[int], bytes], opcode: int = Opcode.BINARY) -> Emitted:
        """Take the next sequence number and keep the frame that is made for it."""
        self.newest += 1
        message = Emitted(self.newest, frame_for(self.newest), opcode)
        self.messages.append(message)
        self._bytes += len(message.frame)
        if self._bytes > self._retention_bytes:
            self.forget(max(1, len(self.messages) // _TRIM_SHARE))
        self._wake()
        return message

    def forget(self, count: int) -> None:
        """Drop the oldest messages, as the end of a replay window does."""
        dropped = self.messages[:count]
        del self.messages[:count]
        self._bytes -= sum(len(message.frame) for message in dropped)
        self.forgotten = dropped[-1].seq if dropped else self.forgotten

    def purge(self, unwanted: Callable[[Emitted], bool]) -> None:
        """Drop single messages, as the deletion of an account does; the numbers stay used."""
        self.messages = [message for message in self.messages if not unwanted(message)]
        self._bytes = sum(len(message.frame) for message in self.messages)

    def skip(self, count: int) -> None:
        """Leave a gap in the sequence."""
        self.newest += count

    def reset(self) -> None:
        """Lose everything; the next message is number 1 again."""
        self.messages = []
        self.newest = self.forgotten = self._bytes = 0

    def read(self, after: int, max_bytes: int) -> Batch | None:
        """Read on from behind a sequence number."""
        start = bisect_right(self.messages, after, key=_seq)
        end, size = start, 0
        while end < len(self.messages) and (size < max_bytes or end == start):
            size += len(self.messages[end].frame)
            end += 1
        if end == start:
            return None
        taken = self.messages[start:end]
        return Batch(b"".join([message.wire for message in taken]), taken[-1].seq, end - start)

    async def wait(self, after: int) -> None:
        """Return when there are messages behind `after`, or when the log was disturbed."""
        if not self.messages or self.messages[-1].seq <= after:
            await self._appended.wait()

    def _wake(self) -> None:
        self._appended.set()
        self._appended = asyncio.Event()


def _seq(message: Emitted) -> int:
    return message.seq
