"""An archive that grows out of a hot log, for tests: events are written, archived and forgotten; anything may fail."""

from __future__ import annotations

from collections.abc import Sequence

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.cutting import HOUR_US, CutPolicy
from edgerelay.relay.sealing import RETRY_CAP_US
from edgerelay.relay.shard import History
from edgerelay.runtime.archive_reader import READ_BYTES, ArchiveReader
from edgerelay.runtime.archivist import Archivist
from edgerelay.runtime.hot_log import HotLog, LogPolicy
from edgerelay.runtime.memory import ManualClock, MemoryLog, MemoryObjects
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.registry import Registry
from edgerelay.runtime.replay import Replay
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite
from tests.coroutines import finished
from tests.crashing import CrashingSql

__all__ = ["NOON_US", "SEAL_US", "Past", "WaveringObjects", "batch_of"]

NOON_US = 500_000 * HOUR_US
SEAL_US = 60_000_000


def batch_of(prev_seq: int, seqs: Sequence[int], *positions: PositionFields, frame_bytes: int = 40) -> Batch:
    """A batch of commits whose frames say their number."""
    builder = BatchBuilder(prev_seq)
    for seq in seqs:
        frame = seq.to_bytes(8, "big") * (frame_bytes // 8)
        builder.add(seq, "#commit", f"did:plc:{seq % 7}", (f"app.test.kind{seq % 3}/{seq}",), frame)
    return builder.build(positions, b"")


class WaveringObjects(MemoryObjects):
    """A bucket whose next puts fail: before anything is stored, or with the answer lost behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        """What becomes of the next puts: `refused`, `lost` or, once there are no more, nothing."""

    async def put(self, name: str, data: bytes) -> bool:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise ObjectStoreError(fault)
        is_new = await super().put(name, data)
        if fault == "lost":
            raise ObjectStoreError(fault)
        return is_new


class Past:
    """A log, its archivist, and a bucket."""

    def __init__(self, *, stop_bytes: int = 1, block_bytes: int = 200, group_bytes: int = 600) -> None:
        self._sqlite = Sqlite()
        self.sql = CrashingSql(self._sqlite)
        migrate(self.sql)
        self.objects = WaveringObjects()
        self.lines = MemoryLog()
        self.clock = ManualClock(NOON_US)
        self.events: list[tuple[int, bytes]] = []
        """Everything that ever was written: number and frame."""

        self._log_policy = LogPolicy(stop_bytes, 0)
        self._cut_policy = CutPolicy(block_bytes, group_bytes)
        self.open()

    def open(self) -> None:
        """The object starts; what the one before it had in memory is gone."""
        registry = Registry(self.sql)
        self.log = HotLog(self.sql, self._log_policy, registry.archive_mark().archived_seq)
        self.archivist = Archivist(
            self.objects,
            ZlibCodec(),
            registry,
            lambda: self.log,
            self.lines,
            self.clock,
            SEAL_US,
            self._cut_policy,
        )

    def write(self, *gaps: int) -> None:
        """Write a batch of events, each so many microseconds after the one before."""
        prev_seq = self.log.last_seq
        last_seq = prev_seq or NOON_US
        seqs = [last_seq := last_seq + gap for gap in gaps]
        batch = batch_of(prev_seq, seqs)
        self.clock.now_us = max(self.clock.now_us, last_seq)
        self.log.append(batch, self.clock.now_us, batch.head.prev_seq)
        self.events += batch.split()

    def archive(self, pauses: int | None = None) -> None:
        """Archive what is due; the object ends at the pause of this number."""

        async def pause() -> None:
            nonlocal pauses
            if pauses is not None:
                pauses -= 1
                if pauses < 0:
                    raise InterruptedError

        try:
            finished(self.archivist.run(pause))
        except InterruptedError:
            self.open()

    def archive_all(self) -> None:
        """Wait until everything is due and nothing fails any more, and archive it."""
        self.clock.now_us += SEAL_US + RETRY_CAP_US
        self.archive()

    def reader(self, read_bytes: int = READ_BYTES) -> ArchiveReader[Batch]:
        """A reader of the archive that has read nothing yet."""
        codec = ZlibCodec()
        return ArchiveReader(self.objects, {codec.id: codec}, lambda block: block, read_bytes)

    def replay(self) -> Replay[Batch]:
        """A replay that has read nothing yet."""
        return Replay(self.reader(), self._read_log, self.lines)

    async def _read_log(self, cursor: int) -> History[Batch]:
        batch, missing_up_to = self.log.read(cursor), self.log.missing_up_to
        return History(batch, missing_up_to if batch is None else min(missing_up_to, batch.head.prev_seq))

    def close(self) -> None:
        """Close the database."""
        self._sqlite.close()
