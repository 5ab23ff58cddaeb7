"""What a shard asks its shell to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from edgerelay.relay.channel import Channel

__all__ = [
    "CloseReader",
    "Read",
    "Send",
    "SendControl",
    "ShardCommand",
    "future",
    "outdated",
    "refuse",
    "refuse_future",
]


class Send(NamedTuple):
    """Send messages, which are not to be changed, to each of the readers."""

    readers: tuple[str, ...]
    messages: Sequence[Any]
    size_bytes: int
    """Of all messages together."""


class SendControl(NamedTuple):
    """Tell something that has no number, as far as the reader's wire has words for it."""

    reader: str
    name: str
    message: str
    is_error: bool


class Read(NamedTuple):
    """Ask for the batch with the first number that is at least `cursor`; answer with `Shard.answer`. What cannot pass
    the channel's filter may be left out, and a batch may have what is sent on its wire in place of frames."""

    reader: str
    cursor: int
    channel: Channel


class CloseReader(NamedTuple):
    """Close the socket; `left` need not be called."""

    reader: str
    reason: str


ShardCommand: TypeAlias = Send | SendControl | Read | CloseReader


def outdated(reader: str) -> SendControl:
    """What a reader asked for is not kept."""
    message = "the cursor is older than what is kept; the stream starts at the oldest event"
    return SendControl(reader, "OutdatedCursor", message, is_error=False)


def future(reader: str) -> SendControl:
    """A cursor that lies in the future, and is not refused."""
    return SendControl(reader, "FutureCursor", "the cursor lies in the future; the stream is live", is_error=False)


def refuse_future(reader: str) -> list[ShardCommand]:
    """A cursor that lies in the future."""
    return refuse(reader, "FutureCursor", "the cursor lies in the future")


def refuse(reader: str, error: str, message: str) -> list[ShardCommand]:
    """Tell an error, and close."""
    return [SendControl(reader, error, message, is_error=True), CloseReader(reader, error)]
