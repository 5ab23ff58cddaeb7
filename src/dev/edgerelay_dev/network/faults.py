"""What is wrong with a host at the moment: switches that its endpoints and subscriptions obey.

Malformed frames are not here (see `malformed`): a host with every switch off may still say nonsense.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields

from edgerelay_dev.network.event import error_frame, info_frame
from edgerelay_dev.network.websocket import Opcode, Socket

__all__ = ["Faults"]


@dataclass(slots=True)
class Faults:
    """Switches, all off at first (change them with `set`), and single blows to the present connections."""

    hangup: bool = False
    """Cut every connection instead of answering a request: dead, but listening."""
    mute: bool = False
    """Take requests and never answer, upgrades included."""
    upgrade_status: int | None = None
    """Answer subscriptions with this HTTP status instead of upgrading."""
    api_status: int | None = None
    """Answer all other endpoints with this HTTP status."""
    retry_after_s: int | None = None
    """`Retry-After` of both statuses."""
    date_skew_s: int = 0
    """Added to the `Date` of every answer."""
    omit_date: bool = False
    """Leave `Date` out."""
    future_cursor: bool = False
    """Answer every cursor with `FutureCursor`."""
    close_after_frames: int | None = None
    """Cut each subscription after so many frames; 0 closes at once, forever."""
    stall: bool = False
    """Keep subscriptions open and send nothing."""
    bytes_per_s: float | None = None
    """Send no faster than this on each subscription."""
    sockets: set[Socket] = field(default_factory=set)
    """The present subscriptions."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, **changes: object) -> None:
        """Turn switches; an unknown name is a ValueError."""
        for name, value in changes.items():
            if name not in SWITCHES:
                raise ValueError(f"no such fault: {name}")
            setattr(self, name, value)
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Turn everything off."""
        off = Faults()
        self.set(**{name: getattr(off, name) for name in SWITCHES})

    def drop(self) -> int:
        """Cut the present subscriptions without a close frame; returns how many there were."""
        count = len(self.sockets)
        for socket in tuple(self.sockets):
            socket.abort()
        return count

    def send_error(self, name: str, message: str = "fault on demand") -> None:
        """Send an error frame to the present subscriptions; the host does not close, as it should."""
        self._send(error_frame(name, message))

    def send_info(self, name: str, message: str = "fault on demand") -> None:
        """Send an `#info` frame to the present subscriptions."""
        self._send(info_frame(name, message))

    def send_text(self, text: str) -> None:
        """Send a text frame, which the stream does not have, to the present subscriptions."""
        self._send(text.encode(), Opcode.TEXT)

    async def change(self) -> None:
        """Wait until a switch is turned."""
        await self._changed.wait()

    def _send(self, payload: bytes, opcode: int = Opcode.BINARY) -> None:
        for socket in self.sockets:
            socket.send(payload, opcode)


SWITCHES = frozenset(each.name for each in fields(Faults)) - {"sockets", "_changed"}
"""The names that `Faults.set` knows."""
