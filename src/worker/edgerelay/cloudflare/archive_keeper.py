"""What the entry Worker does for the archive: it consumes the queues, compacts and sweeps.

The platform calls it; what is to be done is decided in `runtime.archiver`, `runtime.compaction` and `runtime.sweep`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from pyodide.ffi import JsException

from edgerelay.archive.catalog import ArchiveFigures
from edgerelay.cloudflare.brotli import BrotliCodec
from edgerelay.cloudflare.bucket import Bucket
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.group_queue import PlatformQueue
from edgerelay.cloudflare.index import KvIndex
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.relay_state import RELAY_NAME
from edgerelay.config import Settings
from edgerelay.errors import EdgeRelayError
from edgerelay.runtime.archiver import Archiver, Message
from edgerelay.runtime.blob_writer import BlobWriter, HostsUnknownError
from edgerelay.runtime.compaction import Compaction
from edgerelay.runtime.hour_index import HourIndex, names_below
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.reindex import reindex
from edgerelay.runtime.sweep import GRACE_US, sweep

__all__ = ["REHEARSED", "ArchiveKeeper"]

REHEARSED: Final = ("objects", "rows", "send", "sweep")
"""What may be rehearsed with an archive."""

BLOCK_PAUSE_S: Final = 0.01
"""Seconds between two blocks that are rendered: other objects may share the isolate, and a block takes some 15 ms."""

DEAD: Final = "-dead"
"""In the name of the queue of what was given up."""

SWEPT_MINUTES: Final = 10
"""Of a rehearsed sweep: each folder has its turn."""

_DAY_US: Final = 86_400_000_000
_MINUTE_US: Final = 60_000_000
_PROBLEM_CHARS: Final = 200


class ArchiveKeeper:
    """The archive's upkeep, for one invocation of the Worker."""

    def __init__(self, env: Any, settings: Settings) -> None:
        self._log = log = JsonLog("archiver", settings.log_level)
        self._clock = clock = make_clock(settings)
        self._retention_us = settings.retention_days * _DAY_US
        self._objects = Bucket(env.ARCHIVE._binding)
        self._rows = KvIndex(env.INDEX._binding)
        self._queue = PlatformQueue(env.GROUPS._binding)
        lines = LineWriter(self._objects, BrotliCodec(), _let_others_run)
        self._index = HourIndex(self._objects, self._rows, log, clock, self._retention_us + GRACE_US)
        self._archiver = Archiver(self._objects, lines, log, clock)
        self._relay = env.RELAY_STATE._binding.getByName(RELAY_NAME)
        blobs = BlobWriter(self._objects, BrotliCodec(), self._hosts_of, log, _let_others_run)
        self._compaction = Compaction(
            self._objects, self._index, lines, log, clock, blobs=blobs if settings.blob_index == "on" else None
        )

    async def consume(self, batch: Any) -> None:
        """A delivery of either queue: each message is done with, or comes again, by itself."""
        is_dead = DEAD in str(batch.queue)
        for each in batch.messages:
            message = Message(str(each.id), each.body, int(each.attempts))
            taken = self._archiver.bury(message, "given up") if is_dead else self._archiver.take(message)
            if await taken:
                each.ack()
            else:
                each.retry()

    async def keep(self) -> ArchiveFigures | None:
        """What is to be done every minute; returns how much there is, if that can be told.

        The sweep comes first: a compaction that is killed for what it takes must not keep what is outlived.
        """
        try:
            await sweep(self._objects, self._rows, self._clock(), self._retention_us)
        except EdgeRelayError as error:
            self._log.write("error", "sweep_failed", {"problem": str(error)})
        try:
            return await self._compaction.run()
        except EdgeRelayError as error:
            self._log.write("error", "compaction_failed", {"problem": str(error)})
            return None

    async def reindex(self, after_hour: int) -> int:
        """Make some hours of the index anew (`runtime.reindex`)."""
        return await reindex(self._objects, self._index, after_hour)

    async def _hosts_of(self, dids: Sequence[str]) -> list[str]:
        try:
            found: list[str] = json.loads(await self._relay.hosts(json.dumps(list(dids))))
        except (JsException, OSError) as error:
            raise HostsUnknownError(str(error)[:_PROBLEM_CHARS]) from error
        return found

    async def rehearse(self, action: str, argument: str) -> str:
        """What tests may ask of the archive (`REHEARSAL`), as JSON."""
        match action:
            case "objects":
                return json.dumps(await names_below(self._objects, argument))
            case "rows":
                return json.dumps((await self._rows.rows(argument)).rows)
            case "send":
                await self._queue.send(argument)
            case "sweep":
                for minute in range(SWEPT_MINUTES):
                    now_us = self._clock() + minute * _MINUTE_US
                    await sweep(self._objects, self._rows, now_us, self._retention_us)
        return "null"


async def _let_others_run() -> None:
    await asyncio.sleep(BLOCK_PAUSE_S)
