"""Puts the hidden accounts to the bucket when they have changed, so that they outlive RelayState's storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from edgerelay.archive.hiding import VisibilityChange, encode_changes
from edgerelay.errors import EdgeRelayError
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["HiddenExport"]

EXPORT_US: Final = 300_000_000
"""Microseconds between two exports, unless the operator decided something: with a million accounts each is 25 MB."""


class HiddenExport:
    """One table's export. `run` is to be called whenever it may be due."""

    def __init__(
        self, objects: ObjectStore, table: Callable[[], HiddenTable], sink: LogSink, clock: Callable[[], int]
    ) -> None:
        """`table` gives the table as it is now: a storage that fails replaces it."""
        self._exports = Exports(objects)
        self._table = table
        self._sink = sink
        self._clock = clock
        self._is_running = False
        self._begun_us = 0
        self.exported_version = 0
        """Of the newest change in the bucket, as far as this object has put it there."""

    @property
    def is_due(self) -> bool:
        """Whether `run` would store something."""
        is_resting = 0 <= self._clock() - self._begun_us < EXPORT_US
        return not (self._is_running or is_resting) and self._table().version != self.exported_version

    def hurry(self) -> None:
        """What has changed is due now."""
        self._begun_us = 0

    async def run(self, pause: Callable[[], Awaitable[None]]) -> None:
        """Store what is due; what fails is due again later.

        Args:
            pause: awaited between two pages.
        """
        if not self.is_due:
            return
        self._is_running, self._begun_us = True, self._clock()
        try:
            await self._export(pause)
        except EdgeRelayError as error:
            self._sink.write("error", "export_failed", {"problem": str(error)})
        finally:
            self._is_running = False

    async def _export(self, pause: Callable[[], Awaitable[None]]) -> None:
        table, version = self._table(), 0
        parts: list[bytes] = [encode_changes(())]
        while changes := table.changes(version):
            parts.append(_without_version(changes))
            version = changes[-1].version
            await pause()
        await self._exports.save_hidden(version, b"".join(parts))
        self.exported_version = version


def _without_version(changes: list[VisibilityChange]) -> bytes:
    return encode_changes(changes)[len(encode_changes(())) :]
