"""The lines of the archive, for readers of Jetstream that are behind: what lies there need not be rendered.

Nothing depends on them. Where they lack, are damaged, or cannot be entered, the answer is None, and the frames are read
instead. Blocks of lines end where blocks of frames do, so that after one of these a reader is at a beginning.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.block import Codecs
from edgerelay.archive.jetstream_block import LineBlock, open_lines
from edgerelay.archive.matching import MayMatch
from edgerelay.archive.object_names import Folder
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.archive_reader import ArchiveReader, DamagedError
from edgerelay.runtime.objects import ObjectReader
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.recent import Recent

__all__ = ["KeptLines"]

RECENT_INDEXES: Final = 1
"""Objects whose indexes are kept, and as many used before them: a segment of lines has up to `JOINED_BLOCKS`, four
times as many as one of frames, so that its index takes some 4 MB."""

READ_BYTES: Final = 250_000
"""Packed blocks that are read in one call: of lines these are some twenty."""

LACKING_US: Final = 60_000_000
"""Microseconds of the stream in which lines are not looked for again once they lacked: each time takes some lists."""

REMEMBERED_LACKS: Final = 16
"""So many of these stretches are remembered, and as many used before them."""


class KeptLines:
    """Blocks of lines, as far as they may be read in place of frames."""

    def __init__(self, objects: ObjectReader, codecs: Codecs, sink: LogSink) -> None:
        self._archive = ArchiveReader(
            objects,
            lambda block: open_lines(block, codecs),
            Folder.JETSTREAM,
            Folder.JETSTREAM,
            READ_BYTES,
            recent_indexes=RECENT_INDEXES,
        )
        self._sink = sink
        self._lacking: Recent[int, int] = Recent(REMEMBERED_LACKS)

    async def find(self, cursor: int, may_match: MayMatch | None) -> History[LineBlock] | None:
        """What `Replay.find` answers, unless it has to be seen in the frames.

        Within a block it does not show which lines are of one event, of whose number alone a cursor tells: so a block
        is only read from its beginning.

        Raises:
            ObjectStoreError: the bucket does not answer.
        """
        if cursor <= (self._lacking.get(cursor // LACKING_US) or 0):
            return None
        try:
            passed_up_to = await self._archive.passed_up_to(cursor, may_match) if may_match is not None else 0
            if passed_up_to:
                return History(None, 0, passed_up_to)
            block = await self._archive.find(cursor)
        except DamagedError as error:
            self._sink.write("error", "archive_damaged", {"problem": str(error), "last_seq": error.last_seq})
            self._lack(cursor, error.last_seq)
            return None
        if block is None or block.head.prev_seq >= cursor:
            self._lack(cursor, block.head.prev_seq if block is not None else cursor + LACKING_US)
            return None
        return History(block, 0) if cursor <= block.first_seq else None

    def _lack(self, cursor: int, last_seq: int) -> None:
        self._lacking.add(cursor // LACKING_US, last_seq)
