"""What a subscriber's cursor asks for, on the firehose and in Jetstream.

Our numbers are unix microseconds, so a cursor is a time. Numbers that cannot be such a time come from another relay or
ask for everything; they get the window that deployed relays keep.

Spec: event streams, "Sequence Numbers" (replay of `seq >= cursor`, `FutureCursor`, `#info` for an outdated cursor);
Jetstream v1, "Consuming Jetstream" (`cursor`), as it is served.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["FUTURE_SKEW_US", "Start", "Window", "resolve_cursor", "resolve_jetstream_cursor"]

FUTURE_SKEW_US: Final = 60_000_000
"""How far ahead of our clock a cursor may lie, in microseconds: a subscriber's own clock may have made it."""


class Window(NamedTuple):
    """How far back cursors reach."""

    default_us: int
    """For cursor 0 and foreign numbers."""

    retention_us: int
    """For cursors that are times."""

    def whole(self) -> Window:
        """The same for all cursors."""
        return self._replace(default_us=self.retention_us)


class Start(NamedTuple):
    """Where a subscriber starts."""

    cursor: int | None
    """The first number wanted; None for the live edge."""

    outdated: bool = False
    """The subscriber is told that its cursor is older than what it gets."""

    strict: bool = False
    """The cursor is a time of ours: events missing between it and the oldest kept one are worth telling."""

    future: bool = False
    """The cursor lies in the future: refuse it, if the newest number is really known."""

    live_if_future: bool = False
    """A cursor in the future is not refused but stands for none."""


def resolve_cursor(cursor: int | None, window: Window, *, last_seq: int, now_us: int) -> Start:
    """Decide where to start. `last_seq` is the newest number given out, 0 if none is known."""
    if cursor is None:
        return Start(None)
    if cursor > last_seq and cursor > now_us + FUTURE_SKEW_US:
        return Start(cursor, strict=True, future=True)
    if cursor < MIN_TIME_SEQ:
        return Start(max(0, now_us - window.default_us), outdated=cursor != 0)
    oldest = now_us - window.retention_us
    if cursor < oldest:
        return Start(oldest, outdated=True)
    return Start(cursor, strict=True)


def resolve_jetstream_cursor(cursor: int | None, window: Window, *, last_seq: int, now_us: int) -> Start:
    """The same in Jetstream, where a cursor may be the number of an operation, or negative, and none is refused.

    Jetstream compares the text of numbers, so that a time in seconds or milliseconds is one, too.
    """
    if cursor is None:
        return Start(None)
    if cursor > max(now_us, last_seq + MAX_OPS - 1):
        return Start(cursor, future=True, live_if_future=True)
    time_us = _as_time(cursor)
    if not MIN_TIME_SEQ <= time_us <= max(now_us, cursor):
        return Start(max(0, now_us - window.default_us), outdated=True)
    oldest = now_us - window.retention_us
    return Start(oldest, outdated=True) if time_us < oldest else Start(time_us, strict=True)


def _as_time(cursor: int) -> int:
    """A number of ours of which only the first digits were given: seconds, or milliseconds."""
    missing = len(str(MIN_TIME_SEQ)) - len(str(cursor))
    return cursor * 10**missing if cursor > 0 and missing in (3, 6) else cursor
