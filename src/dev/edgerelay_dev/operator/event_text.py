"""An event as a line of text, for people."""

from __future__ import annotations

from edgerelay.atproto.messages import Account, Commit, Identity
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.errors import WireError
from edgerelay_dev.operator.kept_message import read_message
from edgerelay_dev.operator.timeline import ArchivedEvent

__all__ = ["event_text"]


def event_text(event: ArchivedEvent) -> str:
    """Time, number, kind, DID, and what it says: operations, a handle, a status."""
    start = f"{datetime_text(event.seq)} {event.seq} {event.kind:<9} {event.did}"
    return f"{start} {_said(event)}".rstrip()


def _said(event: ArchivedEvent) -> str:
    try:
        _, message = read_message(event.frame)
    except WireError as error:
        return f"(cannot be read: {error})"
    match message:
        case Commit():
            return ", ".join(f"{op.action} {op.path}" for op in message.ops)
        case Identity():
            return message.handle or ""
        case Account():
            return "active" if message.active else message.status or "inactive"
        case _:
            return ""
