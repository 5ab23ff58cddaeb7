"""Batches as a shard holds them: heads decoded, frames in a buffer of the platform, and cut once for all readers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, NamedTuple

import js
from pyodide.ffi import to_js

from edgerelay.archive.batch import Batch, BatchHead, decode_head
from edgerelay.relay.shard import History

__all__ = ["Buffered", "cut_batch", "load_block", "read_bytes", "read_history"]

_LENGTH_BYTES: Final = 4
_FORGOTTEN_BYTES: Final = 8


class Buffered(NamedTuple):
    """A batch whose frames lie in a buffer of the platform, cut once for all readers."""

    head: BatchHead
    size_bytes: int
    frames: list[Any]


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


def load_block(batch: Batch) -> Buffered:
    """A block of the archive."""
    return Buffered(batch.head, batch.size_bytes, _views(to_js(batch.frames), batch.head))


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
