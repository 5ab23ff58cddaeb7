"""What a subscriber's cursor asks for.

Our numbers are unix microseconds, so a cursor is a time. Numbers that cannot be such a time come from another relay or
ask for everything; they get the window that deployed relays keep.

Spec: event streams, "Sequence Numbers" (replay of `seq >= cursor`, `FutureCursor`, `#info` for an outdated cursor).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["FUTURE_SKEW_US", "Start", "Window", "resolve_cursor"]

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
