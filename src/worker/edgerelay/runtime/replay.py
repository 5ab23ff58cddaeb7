"""Where a reader that is behind finds what comes next: in the archive or in RelayState's log.

RelayState tells up to which number its log has forgotten everything. What lies before that is looked for in the
archive; what is in neither, or is damaged, is reported as missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from edgerelay.archive.batch import Batch
from edgerelay.relay.ring import HasHead
from edgerelay.relay.shard import History
from edgerelay.runtime.archive_reader import ArchiveReader, DamagedError
from edgerelay.runtime.ports import LogSink

__all__ = ["Replay"]

B = TypeVar("B", bound=HasHead)


class Replay(Generic[B]):
    """All that is kept, as one history."""

    def __init__(
        self,
        archive: ArchiveReader,
        log: Callable[[int], Awaitable[History[B]]],
        load: Callable[[Batch], B],
        sink: LogSink,
    ) -> None:
        """`log` asks RelayState; `load` makes of a block what RelayState's batches are."""
        self._archive = archive
        self._log = log
        self._load = load
        self._sink = sink
        self._forgotten_seq = 0

    async def find(self, cursor: int) -> History[B]:
        """The batch or block with the first event whose number is at least `cursor`, and what is missing before it.

        Raises whatever RelayState's answer raises, and:
            ObjectStoreError: the bucket does not answer.
        """
        if cursor > self._forgotten_seq:
            history = await self._log(cursor)
            self._forgotten_seq = history.missing_up_to
            if cursor > self._forgotten_seq:
                return history
        try:
            block = await self._archive.find(cursor)
        except DamagedError as error:
            self._sink.write("error", "archive_damaged", {"problem": str(error), "last_seq": error.last_seq})
            return History(None, error.last_seq)
        if block is None or block.head.first_seq > self._forgotten_seq:
            # Between the archive and the log there is nothing, or nothing that is left.
            return await self._log(cursor)
        missing_up_to = block.head.prev_seq if block.head.prev_seq >= cursor else 0
        return History(self._load(block), missing_up_to)
