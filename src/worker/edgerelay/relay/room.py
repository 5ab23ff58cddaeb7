"""How much may wait unsent in the sockets of one shard: less in each if there are many, or if much waits in all.

What waits lies in our memory until its peer takes it. As long as little does, a socket may hold what makes up for a
slow moment. Once `CALM_BYTES` wait, one that holds something gets no more than an even share, and only one that is
empty gets enough to keep up: those who take nothing must not slow down those who take everything.

Whom it belongs to, and who gets what next, is `relay.shard`'s.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CALM_BYTES", "EMPTY_BYTES", "MOST_UNSENT_BYTES", "SHARED_UNSENT_BYTES", "Room"]

SHARED_UNSENT_BYTES: Final = 4_000_000
"""Bytes that may wait in all sockets together, however few they are: one that takes everything at full speed has some
batches on its way, of `BATCH_BYTES` each, and to call it behind at each of them costs two reads for one."""

CALM_BYTES: Final = 8_000_000
"""Bytes that may wait in all sockets before it matters, and that are handed over at once."""

MOST_UNSENT_BYTES: Final = 24_000_000
"""Bytes that wait in all sockets together, beside an even share of as many for each: with thousands that take nothing,
all together are `BUDGET_BYTES`."""

EMPTY_BYTES: Final = 64_000
"""Bytes for a socket that is empty, whatever waits elsewhere: with forty turns a second that is 2.5 MB/s, and the whole
network is 2.3. Each of those who take nothing has got them once; when some 370 of them have, all are used up."""

PARTS_LEFT: Final = 16
"""A single socket may hold this part of what is left of `CALM_BYTES`."""


class Room:
    """What waits in the sockets of one shard, as far as they were looked at."""

    def __init__(self, unsent_bytes: int, shared_bytes: int) -> None:
        """For no sockets.

        Args:
            unsent_bytes: what may wait in each, if they are neither few nor many (`UNSENT_BYTES`).
            shared_bytes: what may wait in all together, if they are few.
        """
        self._unsent_bytes = unsent_bytes
        self._shared_bytes = shared_bytes
        self._measured_bytes = 0
        self._behind_bytes = 0
        self._live_bytes = 0
        """In the sockets of those who are live, as far as the present batch was sent."""

        self._live_before_bytes = 0
        """The same after the batch before."""

        self.resize(0)

    def resize(self, count: int) -> None:
        """There are so many sockets."""
        self._share_bytes = MOST_UNSENT_BYTES // max(1, count)
        self._most_bytes = max(self._unsent_bytes, self._shared_bytes // max(1, count))

    def bytes_for(self, waiting_bytes: int) -> int:
        """What may wait in one socket, in which so much waits; it gets nothing more while that is less."""
        total_bytes = max(self._measured_bytes, self._behind_bytes + max(self._live_bytes, self._live_before_bytes))
        part_bytes = (CALM_BYTES - total_bytes) // PARTS_LEFT
        return min(self._most_bytes, max(self._due_bytes(waiting_bytes), part_bytes))

    def is_left(self, waiting_bytes: int) -> bool:
        """Whether one socket, in which so much waits, gets more."""
        return waiting_bytes <= self.bytes_for(waiting_bytes)

    def _due_bytes(self, waiting_bytes: int) -> int:
        """What one socket may hold, however much waits in all."""
        is_empty = not waiting_bytes and self._total_bytes + EMPTY_BYTES <= MOST_UNSENT_BYTES
        return max(self._share_bytes, EMPTY_BYTES if is_empty else 0)

    @property
    def _total_bytes(self) -> int:
        return max(self._measured_bytes, self._behind_bytes + self._live_bytes)

    def measured(self, waiting_bytes: int) -> None:
        """So much waits in all sockets: those who are live are not looked at if a batch has nothing for them."""
        self._measured_bytes = waiting_bytes

    def behind(self, before_bytes: int, waiting_bytes: int) -> None:
        """In the socket of one that is behind, so much waits, and not what did before."""
        self._behind_bytes += waiting_bytes - before_bytes

    def live(self, waiting_bytes: int) -> None:
        """One that was behind is live, and so much waits in its socket."""
        self._behind_bytes -= waiting_bytes
        self._live_bytes += waiting_bytes

    def nobody_is_live(self) -> None:
        """All that were live are behind; what waits in their sockets is looked at in their turns."""
        self._live_bytes = self._live_before_bytes = 0

    def begin_batch(self) -> None:
        """A batch is going to be sent to all who are live."""
        self._live_before_bytes, self._live_bytes = self._live_bytes, 0

    def takes(self, waiting_bytes: int, size_bytes: int) -> bool:
        """Whether one who is live gets so much of the batch, in whose socket so much waits; then that waits, too."""
        now_bytes = waiting_bytes + size_bytes
        fits = now_bytes <= self._due_bytes(waiting_bytes) or self._total_bytes + now_bytes <= CALM_BYTES
        has_room = fits and self.is_left(waiting_bytes)
        if has_room:
            self._live_bytes += now_bytes
        return has_room
