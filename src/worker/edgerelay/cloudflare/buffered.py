"""Batches as a shard holds them: heads decoded, frames wherever they came from, and cut once for all readers.

Those of the feed and of RelayState's log come in a buffer of the platform and stay there. A block of the archive was
unpacked to bytes of Python; it is handed to the platform when somebody gets its frames, which readers of Jetstream
never do.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import js
from pyodide.ffi import to_js

from edgerelay.archive.batch import Batch, BatchHead, decode_head
from edgerelay.relay.shard_commands import History

__all__ = ["Buffered", "cut_batch", "frame_of", "load_block", "read_bytes", "read_history"]

_LENGTH_BYTES: Final = 4
_FORGOTTEN_BYTES: Final = 8


class Buffered:
    """A batch whose frames lie in a buffer of the platform."""

    def __init__(self, head: BatchHead, size_bytes: int, frames: list[Any]) -> None:
        self.head = head
        self.size_bytes = size_bytes
        self.frames = frames

    def frame(self, index: int) -> bytes:
        """A frame, to look into."""
        raw: bytes = self.frames[index].to_bytes()
        return raw


class _Block(Buffered):
    """A block of the archive."""

    def __init__(self, batch: Batch) -> None:
        self.head = batch.head
        self.size_bytes = batch.size_bytes
        self._raw = batch.frames
        self._starts = batch.head.frame_starts()

    @cached_property
    def frames(self) -> list[Any]:  # type: ignore[override]  # in place of the attribute, when it is asked for
        """The frames as buffers."""
        return _views(to_js(self._raw), self.head)

    def frame(self, index: int) -> bytes:
        return self._raw[self._starts[index] : self._starts[index + 1]]


def load_block(batch: Batch) -> Buffered:
    """A block of the archive."""
    return _Block(batch)


def frame_of(batch: Buffered, index: int) -> bytes:
    """A frame of any batch."""
    return batch.frame(index)


def read_bytes(answer: Any) -> bytes:
    """Bytes that RelayState answered."""
    buffer = answer.buffer if hasattr(answer, "buffer") else answer
    offset = int(getattr(answer, "byteOffset", 0))
    data: bytes = js.Uint8Array.new(buffer, offset, int(answer.byteLength)).to_bytes()
    return data


def read_history(answer: Any) -> History[Buffered]:
    """What RelayState answered to a read."""
    buffer = answer.buffer if hasattr(answer, "buffer") else answer
    offset = int(getattr(answer, "byteOffset", 0))
    size_bytes = int(answer.byteLength)
    forgotten = int.from_bytes(js.Uint8Array.new(buffer, offset, _FORGOTTEN_BYTES).to_bytes(), "big")
    batch = cut_batch(buffer, offset + _FORGOTTEN_BYTES) if size_bytes > _FORGOTTEN_BYTES else None
    return History(batch, forgotten)


def cut_batch(buffer: Any, offset: int = 0) -> Buffered:
    """A batch message in a buffer: its head decoded, its frames as views."""
    length = int.from_bytes(js.Uint8Array.new(buffer, offset, _LENGTH_BYTES).to_bytes(), "big")
    start = offset + _LENGTH_BYTES
    head = decode_head(js.Uint8Array.new(buffer, start, length).to_bytes())
    frames = js.Uint8Array.new(buffer, start + length)
    return Buffered(head, length + int(frames.byteLength), _views(frames, head))


def _views(frames: Any, head: BatchHead) -> list[Any]:
    cut = frames.subarray
    return [cut(begin, end) for begin, end in pairwise(head.frame_starts())]
