"""Where a reader that is behind finds what comes next: in the archive or in RelayState's log.

RelayState tells up to which number its log has forgotten everything. What lies before that is looked for in the
archive; what is in neither, or is damaged, is reported as missing. Readers of lines get the archive's lines where there
are some, and frames elsewhere. While RelayState is away, the archive is read on as far as it reaches without a gap:
only the log could tell whether a gap is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.archive.matching import MayMatch
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.channel import Wire
from edgerelay.relay.ring import HasHead
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.archive_reader import ArchiveReader, DamagedError
from edgerelay.runtime.kept_lines import KeptLines
from edgerelay.runtime.ports import LogSink

__all__ = ["RelayAwayError", "Replay"]

RECENT_BATCHES: Final = 4
"""Pieces of the log that are kept for readers that catch up together; one has 1.4 MB at most (`READ_BYTES` and a
batch), or 5 MB more if its last event is that large."""

B = TypeVar("B", bound=HasHead)


class RelayAwayError(EdgeRelayError):
    """RelayState does not answer. It is asked again, and nothing is lost meanwhile."""


class Replay(Generic[B]):
    """All that is kept, as one history."""

    def __init__(
        self,
        archive: ArchiveReader[B],
        lines: KeptLines,
        log: Callable[[int], Awaitable[History[B]]],
        sink: LogSink,
    ) -> None:
        """`log` asks RelayState, and raises `RelayAwayError` if that does not answer."""
        self._archive = archive
        self._lines = lines
        self._log = log
        self._sink = sink
        self._forgotten_seq = 0
        self._recent: deque[B] = deque(maxlen=RECENT_BATCHES)

    async def find(
        self, cursor: int, may_match: MayMatch | None = None, wire: Wire = Wire.FRAMES
    ) -> History[B | LineBlock]:
        """The batch or block with the first event whose number is at least `cursor`, and what is missing before it.

        A block of the archive that cannot match is passed instead. The wire is what the reader's messages are sent on.

        Raises:
            RelayAwayError: RelayState does not answer, and the archive does not go on at the cursor.
            ObjectStoreError: the bucket does not answer.
        """
        try:
            return await self._find(cursor, may_match, wire)
        except RelayAwayError:
            block = await self._undamaged(cursor)
            if block is None or block.head.prev_seq >= cursor:
                raise
            return History(block, 0)

    async def _undamaged(self, cursor: int) -> B | None:
        try:
            return await self._archive.find(cursor)
        except DamagedError:
            return None

    async def _find(self, cursor: int, may_match: MayMatch | None, wire: Wire) -> History[B | LineBlock]:
        if cursor > self._forgotten_seq:
            history = await self._find_in_log(cursor)
            if cursor > self._forgotten_seq:
                return history
        lines = await self._lines.find(cursor, may_match) if wire.has_lines else None
        return lines or await self._find_frames(cursor, may_match)

    async def _find_in_log(self, cursor: int) -> History[B]:
        """What the log has, as it is now, unless one of those who read before has read it."""
        for batch in self._recent:
            if batch.head.prev_seq < cursor <= batch.head.last_seq:
                return History(batch, self._forgotten_seq)
        history = await self._log(cursor)
        self._forgotten_seq = history.missing_up_to
        if history.batch is not None:
            self._recent.append(history.batch)
        return history

    async def _find_frames(self, cursor: int, may_match: MayMatch | None) -> History[B]:
        """What the archive has at a cursor that the log has forgotten."""
        try:
            passed_up_to = await self._archive.passed_up_to(cursor, may_match) if may_match is not None else 0
            if passed_up_to:
                return History(None, 0, passed_up_to)
            block = await self._archive.find(cursor)
        except DamagedError as error:
            self._sink.write("error", "archive_damaged", {"problem": str(error), "last_seq": error.last_seq})
            # What the log has not forgotten it still has.
            return History(None, min(error.last_seq, self._forgotten_seq))
        if block is None or block.head.first_seq > self._forgotten_seq:
            history = await self._find_in_log(cursor)
            if block is None or block.head.first_seq > self._forgotten_seq:
                return history  # between the archive and the log there is nothing, or nothing that is left
        return History(block, block.head.prev_seq if block.head.prev_seq >= cursor else 0)
