"""What a shard asks its shell to do, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.ring import HasHead

__all__ = [
    "CloseReader",
    "History",
    "Read",
    "Send",
    "SendControl",
    "ShardCommand",
    "future",
    "handed_bytes",
    "outdated",
    "refuse",
    "refuse_future",
]

H = TypeVar("H", bound=HasHead, covariant=True)


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


class History(NamedTuple, Generic[H]):
    """The answer to `Read`."""

    batch: H | None
    """None if nothing at or beyond the cursor exists yet."""

    missing_up_to: int
    """Every event up to this number is no longer kept; 0 if nothing was ever forgotten."""

    passed_up_to: int = 0
    """From the cursor up to this number everything is kept, and nothing passes the filter. What is missing lies behind
    it."""

    def may_lack(self, first_number: int, channel: Channel) -> bool:
        """Whether a message with at least this number may be missing.

        The messages of the operations of the last missing event had numbers beyond its own; how many, only the next
        event bounds.
        """
        if channel.wire is Wire.FRAMES or not self.missing_up_to:
            return first_number <= self.missing_up_to
        last_number = self.missing_up_to + MAX_OPS - 1
        if self.batch is not None:
            last_number = min(last_number, max(self.missing_up_to, self.batch.head.first_seq - 1))
        return first_number <= last_number


class CloseReader(NamedTuple):
    """Close the socket; `left` need not be called."""

    reader: str
    reason: str


ShardCommand: TypeAlias = Send | SendControl | Read | CloseReader


def handed_bytes(commands: Sequence[ShardCommand]) -> int:
    """Bytes of all messages that are sent, to one reader each."""
    return sum([each.size_bytes for each in commands if isinstance(each, Send)])


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
