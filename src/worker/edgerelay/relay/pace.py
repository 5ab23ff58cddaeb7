"""The pace of a socket that does not tell how much waits in it.

Some runtimes have no `bufferedAmount`. There a socket is taken for one that passes on so many bytes a second: what was
sent and cannot have left yet at that pace is what waits.
"""

from __future__ import annotations

__all__ = ["BlindPace"]

_US = 1_000_000


class BlindPace:
    """What would wait in one socket."""

    __slots__ = ("_bytes", "_bytes_per_s", "_sent_us")

    def __init__(self, bytes_per_s: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._bytes = 0
        self._sent_us = 0

    def sent(self, size_bytes: int, now_us: int) -> None:
        """So many bytes were given to the socket."""
        self._bytes = self.waiting_bytes(now_us) + size_bytes
        self._sent_us = now_us

    def waiting_bytes(self, now_us: int) -> int:
        """What has not left yet; nothing if the clock was set back since, so that nobody waits until it caught up."""
        passed_us = now_us - self._sent_us
        return max(0, self._bytes - passed_us * self._bytes_per_s // _US) if passed_us >= 0 else 0
