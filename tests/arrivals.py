"""Frames as what they become when they arrive."""

from __future__ import annotations

from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.messages import Message, parse_message
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import Position, PositionRow

__all__ = ["candidate", "message"]


def message(raw: bytes) -> Message:
    """What a frame says."""
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    return parse_message(frame.kind, frame.body)


def candidate(raw: bytes) -> Candidate:
    """The event of a frame, from a host that is read for the first time."""
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    return Candidate(Position(PositionRow(1, 0, 0, (), 0, 0)), frame, parse_message(frame.kind, frame.body))
