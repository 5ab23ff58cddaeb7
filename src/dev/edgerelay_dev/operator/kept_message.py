"""The message of a frame in the archive, where every frame should be one that is numbered."""

from __future__ import annotations

from edgerelay.atproto.frames import ErrorFrame, decode_frame
from edgerelay.atproto.messages import KINDS, Message, parse_message
from edgerelay.errors import WireError

__all__ = ["read_message"]


def read_message(frame: bytes) -> tuple[str, Message]:
    """The kind and the message.

    Raises:
        WireError: the frame is damaged, or none that is kept.
    """
    decoded = decode_frame(frame)
    if isinstance(decoded, ErrorFrame) or decoded.kind not in KINDS:
        raise WireError("not a numbered message")
    return decoded.kind, parse_message(decoded.kind, decoded.body)
