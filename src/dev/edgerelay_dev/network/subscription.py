"""One reader of a host's stream: from its cursor to the live edge, at its own pace, under the host's faults.

Spec: atproto event stream ("Sequence Numbers"), `com.atproto.sync.subscribeRepos`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from edgerelay_dev.network.event import error_frame, info_frame
from edgerelay_dev.network.faults import Faults
from edgerelay_dev.network.log import Batch, Feed
from edgerelay_dev.network.websocket import CloseCode, Socket

__all__ = ["StreamRules", "Subscription"]

_BATCH_BYTES: Final = 256 * 1024
"""Frames are joined up to this before they are written: large writes are what makes replay fast."""

_LATE_S: Final = 0.1
"""How far a paced subscription may be behind its pace and still make up for it: sleeps end late."""


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Where hosts differ."""

    inclusive: bool = False
    """Replay from the cursor itself, as the specification has it; deployed hosts start behind it."""
    max_lag_frames: int | None = None
    """A reader that was live and falls further behind than this is told `ConsumerTooSlow`."""
    checks_future_cursor: bool = True
    """Whether a cursor beyond the newest number is an error; if not, such a reader just waits for live events."""


@dataclass(slots=True)
class Subscription:
    """Serves one socket."""

    feed: Feed
    faults: Faults
    rules: StreamRules
    cursor: str | None
    """The query parameter as it came."""

    async def serve(self, socket: Socket) -> None:
        """Run until the reader leaves, or has to."""
        self.faults.sockets.add(socket)
        try:
            await self._serve(socket)
        finally:
            self.faults.sockets.discard(socket)

    async def _serve(self, socket: Socket) -> None:
        newest = self.feed.newest
        try:
            cursor = int(self.cursor) if self.cursor else None
        except ValueError:
            await _refuse(socket, "InvalidRequest", "Expected integer value type for cursor")
            return
        if cursor is not None and (self.faults.future_cursor or (self.rules.checks_future_cursor and cursor > newest)):
            await _refuse(socket, "FutureCursor", "Cursor in the future.")
            return
        after = self.feed.live_edge if cursor is None else min(newest, max(0, cursor - self.rules.inclusive))
        if cursor is not None and cursor > 0 and after < self.feed.forgotten:
            socket.send(info_frame("OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events"))
        await self._pump(socket, after)

    async def _pump(self, socket: Socket, after: int) -> None:
        sent = 0
        free_at = monotonic()
        was_live = False
        while True:
            if (limit := self.faults.close_after_frames) is not None and sent >= limit:
                await socket.drain()
                socket.abort()
                return
            if self.faults.stall:
                await self.faults.change()
                continue
            batch = self._read(after, None if limit is None else limit - sent)
            if batch is None:
                was_live = True
                await self.feed.wait(after)
                continue
            lag = self.feed.newest - batch.last_seq
            if was_live and self.rules.max_lag_frames is not None and lag > self.rules.max_lag_frames:
                await _refuse(socket, "ConsumerTooSlow", "Stream consumer too slow")
                return
            socket.write(batch.wire)
            await socket.drain()
            if (pace := self.faults.bytes_per_s) is not None:
                free_at = max(free_at, monotonic() - _LATE_S) + len(batch.wire) / pace
                await asyncio.sleep(max(0.0, free_at - monotonic()))
            after, sent = batch.last_seq, sent + batch.frames

    def _read(self, after: int, frames_left: int | None) -> Batch | None:
        """Take one frame at a time where a fault needs to count or to pace them."""
        single = frames_left is not None or self.faults.bytes_per_s is not None
        return self.feed.read(after, 1 if single else _BATCH_BYTES)


async def _refuse(socket: Socket, name: str, message: str) -> None:
    socket.send(error_frame(name, message))
    await socket.close(CloseCode.POLICY, name)
