"""What was refused: how often for each reason, and the latest examples, so that a host's author can see what is wrong.

Counts begin at zero and name every reason. Examples are few and hold no record: who, when, which number and why. Of the
newest one of each reason the beginning of the frame is kept, for the operator alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from edgerelay.relay.reject import RejectReason

__all__ = ["FRAME_HEAD_BYTES", "LATEST", "Example", "Refused", "Rejections"]

LATEST: Final = 5
"""Examples of each reason: enough to see whether one account or many are meant."""

FRAME_HEAD_BYTES: Final = 8_192
"""Bytes kept of the newest refused frame of each reason: nearly all frames whole, and 250 KB over all reasons."""


class Refused(NamedTuple):
    """A frame that is dropped and counted; what could not be read of it is empty."""

    reason: RejectReason
    detail: str
    """What is wrong, without any content of the event."""

    kind: str = ""
    seq: int = 0
    """The host's number."""

    did: str = ""
    rev: str = ""


class Example(NamedTuple):
    """One of the latest."""

    time_us: int
    """Our clock when it was refused."""

    refused: Refused


class Rejections:
    """The refused events of one host."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(RejectReason, 0)
        self._latest: dict[RejectReason, deque[Example]] = {}
        self._frames: dict[RejectReason, bytes] = {}

    def add(self, refused: Refused, raw: bytes, now_us: int) -> None:
        """Count a frame, and keep it as the newest example."""
        reason = refused.reason
        self._counts[reason] += 1
        self._latest.setdefault(reason, deque(maxlen=LATEST)).append(Example(now_us, refused))
        self._frames[reason] = raw[:FRAME_HEAD_BYTES]

    def __iter__(self) -> Iterator[tuple[RejectReason, int]]:
        return iter(self._counts.items())

    @property
    def total(self) -> int:
        """All reasons together."""
        return sum(self._counts.values())

    def latest(self, reason: RejectReason) -> list[Example]:
        """The latest examples, the newest last."""
        return list(self._latest.get(reason, ()))

    def frame(self, reason: RejectReason) -> bytes:
        """The beginning of the frame of the newest example."""
        return self._frames.get(reason, b"")
