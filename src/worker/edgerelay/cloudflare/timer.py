"""One timer of the platform, kept alive by the object's open sockets.

A timer can be taken back only in the object in whose event it was set. Where objects share an interpreter, a step of
one may run in an event of another; what it takes back then fires all the same. So each timer has a number, and none but
the last one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import js
from pyodide.ffi import create_once_callable

__all__ = ["PlatformTimer"]

_MS_US = 1_000


class PlatformTimer:
    """Calls a function at a time; setting it again replaces what was set."""

    def __init__(
        self, fire: Callable[[], None], clock: Callable[[], int], failed: Callable[[BaseException], None]
    ) -> None:
        """`failed` gets whatever the function raises."""
        self._fire = fire
        self._failed = failed
        self._clock = clock
        self._handle: object | None = None
        self._number = 0

    @property
    def is_set(self) -> bool:
        """Whether it will fire."""
        return self._handle is not None

    def set(self, at_us: int) -> None:
        """Fire at this time, or at once if it is past."""
        self.start(max(0, -(-(at_us - self._clock()) // _MS_US)))

    def start(self, delay_ms: int) -> None:
        """Fire after so many milliseconds."""
        self.cancel()
        self._number += 1
        # Python gets no arguments from the timers of the platform. What never fires is collected.
        self._handle = js.setTimeout(create_once_callable(partial(self._fired, self._number)), delay_ms)

    def cancel(self) -> None:
        """Do not fire."""
        if self._handle is not None:
            js.clearTimeout(self._handle)
            self._handle = None

    def _fired(self, number: int) -> None:
        if self._handle is None or number != self._number:
            return
        self._handle = None
        try:
            self._fire()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed on
            self._failed(error)
