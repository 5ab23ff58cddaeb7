"""What a reader gets of each event: the wire that it speaks, its filter, and how large a message may be.

Readers of one channel get the same messages, so that these are made once for all of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.filters import EVERYTHING, Filter

__all__ = ["FIREHOSE", "Channel", "Message", "Wire"]


class Wire(StrEnum):
    """The form of messages. The values are kept with sockets: they outlive a deployment."""

    FRAMES = "frames"
    """The firehose: a frame for each event, as it is kept."""

    LINES = "lines"
    """Jetstream v1: a text for each operation."""

    ZSTD_LINES = "zstd"
    """Jetstream v1: the same, each packed by itself with the dictionary of v1."""

    EVENTS = "events"
    """Jetstream v2: a text for each operation, and for each `#sync`."""

    ZSTD_EVENTS = "zstd_events"
    """Jetstream v2: the same, each packed by itself with the same dictionary."""

    @property
    def has_lines(self) -> bool:
        """Whether what is sent are lines, as the archive keeps them, too."""
        return self in (Wire.LINES, Wire.ZSTD_LINES)

    @property
    def has_events(self) -> bool:
        """Whether what is sent are events of v2."""
        return self in (Wire.EVENTS, Wire.ZSTD_EVENTS)

    @property
    def inside(self) -> Wire:
        """The wire whose messages are packed on this one; itself if it packs none."""
        return _INSIDE.get(self, self)


_INSIDE: Final = {Wire.ZSTD_LINES: Wire.LINES, Wire.ZSTD_EVENTS: Wire.EVENTS}


class Message(NamedTuple):
    """One message, ready to send."""

    number: int
    """Of the event, or of the operation: that of its event and its index."""

    size_bytes: int
    data: Any
    """Whatever the platform sends."""

    unpacked_bytes: int = 0
    """Of a packed message of v2, whose readers limit what is inside; 0 for all others."""


class Channel(NamedTuple):
    """What readers have in common that get the same messages."""

    wire: Wire = Wire.FRAMES
    filter: Filter = EVERYTHING
    max_bytes: int = 0
    """Larger messages are left out; 0 for none. On v2 it is for what is inside of packed ones."""

    def first_seq(self, number: int) -> int:
        """Number of the first event that can have a message with a number that is at least this one."""
        return number if self.wire is Wire.FRAMES else max(0, number - MAX_OPS + 1)


FIREHOSE = Channel()
"""Every frame of every event."""
