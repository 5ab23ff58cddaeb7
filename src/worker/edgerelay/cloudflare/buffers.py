"""Bytes of Python as buffers of the platform.

Handing bytes over takes about 2 us a kilobyte, and the frames of a batch are wanted twice: by the database and by the
feed. The last large ones are remembered, by identity.
"""

from __future__ import annotations

from typing import Any, Final

import js
from pyodide.ffi import to_js

__all__ = ["Buffers"]

WORTH_BYTES: Final = 16_384
"""Size from which bytes are remembered: smaller ones would push out the frames of a batch."""


class Buffers:
    """Converts bytes; keeps the last large ones and their buffer."""

    def __init__(self) -> None:
        self._known = b""
        self._buffer = to_js(b"")

    def of(self, data: bytes) -> Any:
        """The bytes as a `Uint8Array`, which nobody must change."""
        if data is self._known:
            return self._buffer
        buffer = to_js(data)
        if len(data) >= WORTH_BYTES:
            self._known, self._buffer = data, buffer
        return buffer

    def joined(self, *parts: bytes) -> Any:
        """The parts one behind the other, in a buffer of their own."""
        whole = js.Uint8Array.new(sum([len(part) for part in parts]))
        start = 0
        for part in parts:
            whole.set(self.of(part), start)
            start += len(part)
        return whole
