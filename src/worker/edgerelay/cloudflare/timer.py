"""One timer of the platform, kept alive by the object's open sockets."""

from __future__ import annotations

from collections.abc import Callable

import js
from pyodide.ffi import create_proxy

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
        self._proxy = create_proxy(self._fired)
        self._handle: object | None = None
        self._delay_us = 0
        self._due_us = 0

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
        self._delay_us = delay_ms * _MS_US
        self._due_us = self._clock() + self._delay_us
        self._handle = js.setTimeout(self._proxy, delay_ms)

    def cancel(self) -> None:
        """Do not fire."""
        if self._handle is not None:
            js.clearTimeout(self._handle)
            self._handle = None

    def _fired(self) -> None:
        early_us = self._due_us - self._clock()
        if _MS_US <= early_us <= self._delay_us:  # and not because the clock stepped back
            self._handle = js.setTimeout(self._proxy, early_us // _MS_US)
            return
        self._handle = None
        try:
            self._fire()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is handed on
            self._failed(error)
