"""Readers of Jetstream over histories of tests: what they get, and what a list of everything that was written says."""

from __future__ import annotations

from collections.abc import Sequence

from edgerelay.archive.batch import Batch, BatchHead
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.relay.channel import Channel, Message, Wire
from edgerelay.relay.delivery import Delivery
from edgerelay.runtime.lines import Lines
from edgerelay.runtime.replay import Replay
from tests.coroutines import finished
from tests.histories import Past

__all__ = ["LineReader"]


class LineReader:
    """Reads lines on as a subscriber's shard does, out of blocks of lines or of rendered frames."""

    def __init__(
        self,
        past: Past,
        replay: Replay[Batch],
        cursor: int,
        channel: Channel,
        hidden: frozenset[str],
        first_number: int,
    ) -> None:
        self.replay = replay
        self.first, self.first_number = cursor, first_number
        self.channel = channel
        self.seen: list[bytes] = []
        self.holes: list[tuple[int, int]] = []
        self.rendered = 0
        self._past = past
        self._hidden = hidden
        self._cursor = cursor
        self._batch: Batch | LineBlock | None = None
        self._delivery: Delivery[Batch | LineBlock] = Delivery(self._render, self._hides)
        self._lines: Lines[Batch] = Lines(lambda batch, index: b"", lambda line: line, lambda data: data, past.lines)

    def step(self) -> bool:
        """Read or take a part; tells whether it got on."""
        before = self._cursor
        if self._batch is None:
            self._find()
        if self._batch is not None:
            part = self._delivery.part(self.channel, self._batch, self._cursor, self.first_number)
            self.seen += [data if isinstance(data, bytes) else data.encode() for data in part.messages]
            self._cursor = part.cursor
            self._batch = None if part.is_last else self._batch
        return self._cursor > before

    def read_all(self) -> LineReader:
        """Read until nothing more comes."""
        while self.step():
            pass
        return self

    def expected(self) -> list[bytes]:
        """What a list of everything that was written says."""
        wanted = self.channel.filter
        return [
            line.json
            for seq, _ in self._past.events
            for line in self._past.lines_of(seq)
            if seq >= self.first and line.time_us >= self.first_number
            if line.did not in self._hidden
            and (not wanted.dids or line.did in wanted.dids)
            and (not wanted.names_collections or wanted.has_collection(line.collection))
        ]

    def _find(self) -> None:
        found = finished(self.replay.find(self._cursor, self.channel.filter.may_match(), self.channel.wire))
        self._batch, missing_up_to, passed_up_to = found
        if passed_up_to:
            self._cursor = passed_up_to + 1
        if missing_up_to >= self._cursor:
            self.holes.append((self._cursor, missing_up_to))
            self._cursor = missing_up_to + 1

    def _render(self, wire: Wire, batch: Batch | LineBlock, index: int) -> tuple[Sequence[Message], bool]:
        if isinstance(batch, LineBlock):
            return self._lines.render(wire, batch, index)
        self.rendered += 1
        lines = self._past.lines_of(batch.head.seqs[index])
        return [Message(line.time_us, len(line.json), line.json) for line in lines], True

    def _hides(self, head: BatchHead) -> list[int]:
        return [index for index, did in enumerate(head.dids) if did in self._hidden]
