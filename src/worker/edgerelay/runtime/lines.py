"""The messages of Jetstream, made of the frames of batches when somebody wants them, and once for all who do.

A line is rendered when a reader's filter lets its event pass, and not before; then it is kept for the others, as long
as newer ones leave it room. An event that has no line, or cannot be rendered, has no messages.

A block of lines from the archive has them already: there, nothing is rendered, and an event is one line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from edgerelay.archive.jetstream import render
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.archive.jetstream_v2 import render_events
from edgerelay.relay.channel import Message, Wire
from edgerelay.relay.ring import HasHead
from edgerelay.runtime.ports import LogSink

__all__ = ["LINES_BYTES", "Lines"]

LINES_BYTES: Final = 4_000_000
"""Bytes of messages that are kept, over all wires: the lines of a ring of 8 MB are 0.8 MB. In memory they take up to
twice as much."""

ENTRY_BYTES: Final = 200
"""What an event takes beside the bytes of its messages."""

B = TypeVar("B", bound=HasHead)

_Key = tuple[Wire, int, bool]
"""The number of an event, or of a line, and whether it is one: the first line of an event has the event's number."""


class Lines(Generic[B]):
    """Renders events of batches."""

    def __init__(
        self,
        frame: Callable[[B, int], bytes],
        pack: Callable[[bytes], bytes],
        binary: Callable[[bytes], Any],
        sink: LogSink,
        limit_bytes: int = LINES_BYTES,
    ) -> None:
        """Make lines of batches of whatever form.

        Args:
            frame: the frame of an event of a batch.
            pack: makes the bytes of a packed message.
            binary: makes of bytes what a socket sends.
        """
        self._frame = frame
        self._pack = pack
        self._binary = binary
        self._sink = sink
        self._limit_bytes = limit_bytes
        self._kept: dict[_Key, tuple[tuple[Message, ...], int]] = {}
        self.kept_bytes = 0

    def render(self, wire: Wire, batch: B | LineBlock, index: int) -> tuple[Sequence[Message], bool]:
        """The messages of an event, and whether they had to be made."""
        if isinstance(batch, LineBlock) and wire is Wire.LINES:
            return [_message(batch.head.seqs[index], batch.lines[index])], False
        key = wire, batch.head.seqs[index], isinstance(batch, LineBlock)
        kept = self._kept.get(key)
        if kept is not None:
            return kept[0], False
        try:
            messages = self._make(wire, batch, index)
        except Exception as error:  # noqa: BLE001 - whatever it is, all other readers would miss the batch with it
            messages = ()
            self._sink.write("error", "not_rendered", {"seq": key[1], "problem": repr(error)})
        self._keep(key, messages)
        return messages, True

    def _make(self, wire: Wire, batch: B | LineBlock, index: int) -> tuple[Message, ...]:
        if wire.inside is not wire:
            return self._packed(wire, batch, index)
        assert not isinstance(batch, LineBlock), "nobody gets lines who wants events"
        return self._texts(batch, index) if wire is Wire.LINES else self._events(batch, index)

    def _texts(self, batch: B, index: int) -> tuple[Message, ...]:
        lines, skipped = render(self._frame(batch, index))
        if skipped:
            reasons = sorted({str(each.reason) for each in skipped})
            self._sink.write("debug", "lines_skipped", {"seq": batch.head.seqs[index], "reasons": reasons})
        return tuple([_message(line.time_us, line.json) for line in lines])

    def _packed(self, wire: Wire, batch: B | LineBlock, index: int) -> tuple[Message, ...]:
        texts, _ = self.render(wire.inside, batch, index)
        packed = [(text, self._pack(text.data.encode())) for text in texts]
        return tuple(
            [
                Message(text.number, len(data), self._binary(data), text.size_bytes if wire.has_events else 0)
                for text, data in packed
            ]
        )

    def _events(self, batch: B, index: int) -> tuple[Message, ...]:
        events = render_events(self._frame(batch, index))
        return tuple([Message(event.number, len(event.json.encode()), event.json) for event in events])

    def _keep(self, key: _Key, messages: tuple[Message, ...]) -> None:
        size_bytes = ENTRY_BYTES + sum([message.size_bytes for message in messages])
        self._kept[key] = messages, size_bytes
        self.kept_bytes += size_bytes
        while self.kept_bytes > self._limit_bytes:
            oldest = next(iter(self._kept))
            self.kept_bytes -= self._kept.pop(oldest)[1]


def _message(time_us: int, line: bytes) -> Message:
    return Message(time_us, len(line), line.decode())
