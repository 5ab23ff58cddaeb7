"""The archivist: stores the events of the hot log as groups, one object each, in order.

The end of a group is written down before its object is stored, so that one that was cut short by a crash is stored
again, under the same name with the same events. When the object is there, its events are archived, and the log may
forget them.

It does not decide when a group is due (`relay.sealing`), where blocks are cut (`archive.cutting`) or what they look
like (`archive.firehose_block`, `archive.container`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from edgerelay.archive.announcement import encode_announcement
from edgerelay.archive.codec import Codec
from edgerelay.archive.cutting import CutPolicy, cut_blocks
from edgerelay.archive.group import GroupWriter
from edgerelay.archive.object_names import ObjectName
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.sealing import Sealing, SealPolicy
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.group_queue import GroupQueue, QueueError
from edgerelay.runtime.hot_log import HotLog
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.registry import ArchiveMark, Registry

__all__ = ["Archivist"]

BLOCK_BYTES: Final = 384_000
"""Bytes of frames in a block, which is read, unpacked and held as a whole. Larger ones pack little better."""

GROUP_BYTES: Final = 6_000_000
"""Bytes of frames in a group, of which some 4 MB are left when they are packed: at the rate of the whole network it is
an object every three seconds, and the platform's price is by the object."""

_CUTS: Final = CutPolicy(BLOCK_BYTES, GROUP_BYTES)


class Archivist:
    """One archive's writer. `run` is to be called whenever a group may be due."""

    def __init__(
        self,
        objects: ObjectStore,
        queue: GroupQueue,
        codec: Codec,
        registry: Registry,
        log: Callable[[], HotLog],
        sink: LogSink,
        clock: Callable[[], int],
        seal_us: int,
        policy: CutPolicy = _CUTS,
    ) -> None:
        """`log` gives the hot log as it is now: a storage that fails replaces it."""
        self._objects = objects
        self._exports = Exports(objects)
        self._queue = queue
        self._codec = codec
        self._registry = registry
        self._log = log
        self._sink = sink
        self._clock = clock
        self._policy = policy
        self._sealing = Sealing(SealPolicy(policy.group_bytes, seal_us))
        self._is_running = False
        self.groups = 0
        """Groups that were stored since the object started."""

        self.bytes = 0
        """Their size."""

        self.failures = 0
        self.last_problem = ""

    @property
    def is_due(self) -> bool:
        """Whether `run` would store something."""
        log = self._log()
        return not self._is_running and self._sealing.is_due(log.unarchived_seq, log.unarchived_bytes, self._clock())

    async def run(self, pause: Callable[[], Awaitable[None]]) -> None:
        """Store groups as long as one is due.

        Args:
            pause: awaited between two blocks, so that the events that arrive are not kept waiting.
        """
        while self.is_due:
            self._is_running = True
            try:
                await self._store_group(pause)
            except EdgeRelayError as error:
                # A defect of ours, too: the log holds the events, and what is live must not end for it.
                self._failed(error)
            finally:
                self._is_running = False

    async def _store_group(self, pause: Callable[[], Awaitable[None]]) -> None:
        log, mark = self._log(), self._registry.archive_mark()
        writer, batches = GroupWriter(self._codec), log.batches_after(mark.archived_seq)
        for block in cut_blocks(batches, mark.archived_seq, mark.planned_seq, self._policy):
            writer.add(block)
            await pause()
        name, data = writer.finish()
        if mark.planned_seq != name.last_seq:
            self._registry.save_archive_mark(ArchiveMark(mark.archived_seq, name.last_seq))
        await self._exports.save_hosts(self._registry.hosts())
        await self._objects.put(name.key, data)
        self._registry.save_archive_mark(ArchiveMark(name.last_seq, 0))
        self._log().archived(name.last_seq)
        self._sealing.stored()
        self.groups += 1
        self.bytes += len(data)
        self.last_problem = ""
        await self._announce(name)

    async def _announce(self, group: ObjectName) -> None:
        """Tell the archiver. Should that fail, the group is found in the bucket, later."""
        try:
            await self._queue.send(encode_announcement(group))
        except QueueError as error:
            self._sink.write("warning", "announcement_failed", {"group": group.key, "problem": str(error)})

    def _failed(self, error: EdgeRelayError) -> None:
        self._sealing.failed(self._clock())
        self.failures += 1
        self.last_problem = str(error)
        self._sink.write("error", "group_failed", {"problem": self.last_problem})
