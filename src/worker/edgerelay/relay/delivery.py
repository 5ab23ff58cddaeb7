"""What of a batch goes to the readers of a channel, as messages.

The firehose without a filter gets the frames as they lie there, and nothing is done for each event. For all others the
head of the batch says which events pass, and only those are rendered, by whoever knows the wire (`Render`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from edgerelay.archive.batch import BatchHead
from edgerelay.relay.channel import FIREHOSE, Channel, Message, Wire
from edgerelay.relay.filters import BatchColumns, Pick, Token
from edgerelay.relay.ring import HasHead

__all__ = ["PART_BYTES", "RENDERED_BYTES", "Delivery", "HasFrames", "Hides", "Part", "Render", "hides_nothing"]

PART_BYTES: Final = 256_000
"""Bytes handed to one reader in its turn at most, so that a fast reader does not starve the others; of events with
lines, the bytes of their frames."""

RENDERED_BYTES: Final = 64_000
"""Bytes of frames that are rendered in one turn of all readers, and no more than an event beyond: some 15 ms, in which
batches of the feed, and whoever wants to come in, wait."""

LOOKED_BYTES: Final = 16
"""What it takes to see whether one event of a batch passes a filter, the first time: as long as to render so much."""

REMEMBERED_BATCHES: Final = 16
"""Batches of which it is remembered what passes which filter: readers that are behind come back to the same few."""


class HasFrames(HasHead, Protocol):
    """A batch whose frames can be sent."""

    @property
    def frames(self) -> Sequence[Any]: ...


B = TypeVar("B", bound=HasFrames)

Render: TypeAlias = "Callable[[Wire, B, int], tuple[Sequence[Message], bool]]"
"""The messages of the event of an index, on a wire that is not the firehose, none if it has none; and whether they had
to be rendered."""


Hides: TypeAlias = Callable[[BatchHead], Collection[int]]
"""Indexes of the events of a batch that nobody is to read back."""


def hides_nothing(_: BatchHead) -> Collection[int]:
    """Nobody is hidden."""
    return ()


class Part(NamedTuple):
    """What one reader gets in one turn."""

    messages: Sequence[Any]
    size_bytes: int
    cursor: int
    """Everything before this number was looked at."""

    is_last: bool
    """There is nothing more in this batch."""

    rendered_bytes: int
    """Bytes of frames that had to be rendered, and `LOOKED_BYTES` for each event that the filter had not seen."""


class Delivery(Generic[B]):
    """Picks and renders."""

    def __init__(self, render: Render[B], hides: Hides) -> None:
        self._render = render
        self._hides = hides
        self._columns: dict[int, BatchColumns] = {}

    def whole(self, channel: Channel, batch: B) -> tuple[Sequence[Any], int]:
        """All messages of a batch that has just come, and their bytes."""
        if channel == FIREHOSE:
            return batch.frames, sum(batch.head.frame_bytes)
        picks = self._columns_of(batch).picks(channel.filter)
        messages = [message for pick in picks for message in self._messages(channel, batch, pick, 0)[0]]
        return [message.data for message in messages], sum([message.size_bytes for message in messages])

    def tokens(self, batch: B) -> frozenset[Token]:
        """What the events of a batch have, for `interests`."""
        return self._columns_of(batch).tokens

    def part(self, channel: Channel, batch: B, cursor: int, first_number: int, most_bytes: int = PART_BYTES) -> Part:
        """The next messages for a reader that stands at `cursor`, and wants none with a number before the first.

        Of hidden accounts there are none, nor of events that were purged, whose frames are empty. There are no more
        when `most_bytes` are reached, and one message at least.
        """
        head = batch.head
        first = head.index_of(cursor)
        hidden = self._hides(head)
        if channel == FIREHOSE and not hidden and all(head.frame_bytes):
            return _frames(batch, range(first, len(head.seqs)), most_bytes, 0)
        columns = self._columns_of(batch)
        filtered_bytes = 0 if columns.knows(channel.filter) else LOOKED_BYTES * len(head.seqs)
        picks = columns.picks(channel.filter)
        if channel.wire is Wire.FRAMES:
            passing = [pick.at for pick in picks if pick.at >= first and pick.at not in hidden]
            return _frames(batch, [at for at in passing if head.frame_bytes[at]], most_bytes, filtered_bytes)
        size_bytes = looked_bytes = rendered_bytes = 0
        data: list[Any] = []
        for pick in picks[bisect_left(picks, (first,)) :]:
            if max(size_bytes, looked_bytes) >= most_bytes or rendered_bytes >= RENDERED_BYTES:
                return Part(data, size_bytes, head.seqs[pick.at], False, filtered_bytes + rendered_bytes)
            if pick.at in hidden or not head.frame_bytes[pick.at]:
                continue
            looked_bytes += head.frame_bytes[pick.at]
            messages, is_rendered = self._messages(channel, batch, pick, first_number)
            rendered_bytes += is_rendered * head.frame_bytes[pick.at]
            for message in messages:
                data.append(message.data)
                size_bytes += message.size_bytes
        return Part(data, size_bytes, head.last_seq + 1, True, filtered_bytes + rendered_bytes)

    def _columns_of(self, batch: B) -> BatchColumns:
        head = batch.head
        columns = self._columns.get(id(head))  # which nobody else has as long as the columns hold the head
        if columns is None:
            if len(self._columns) >= REMEMBERED_BATCHES:
                del self._columns[next(iter(self._columns))]
            columns = self._columns[id(head)] = BatchColumns(head)
        return columns

    def _messages(self, channel: Channel, batch: B, pick: Pick, first_number: int) -> tuple[Iterable[Message], bool]:
        index, operations = pick
        seq = batch.head.seqs[index]
        if channel.wire is Wire.FRAMES:
            return [Message(seq, batch.head.frame_bytes[index], batch.frames[index])], False
        max_bytes = channel.max_bytes
        messages, is_rendered = self._render(channel.wire, batch, index)
        passing = [
            message
            for message in messages
            if message.number >= first_number
            and (operations is None or message.number - seq in operations)
            and not 0 < max_bytes < (message.unpacked_bytes or message.size_bytes)
        ]
        return passing, is_rendered


def _frames(batch: HasFrames, indexes: Sequence[int], most_bytes: int, looked_bytes: int) -> Part:
    """As many of these frames as are due, and at least one."""
    head, frames = batch.head, batch.frames
    data: list[Any] = []
    size_bytes = 0
    for at in indexes:
        if size_bytes >= most_bytes:
            return Part(data, size_bytes, head.seqs[at], False, looked_bytes)
        data.append(frames[at])
        size_bytes += head.frame_bytes[at]
    return Part(data, size_bytes, head.last_seq + 1, True, looked_bytes)
