"""An archive that grows out of a hot log, for tests: events are written, archived and forgotten; anything may fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields
from edgerelay.archive.blob_block import open_references
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import unseal
from edgerelay.archive.catalog import ArchiveFigures
from edgerelay.archive.codec import ZLIB, ZlibCodec
from edgerelay.archive.cutting import HOUR_US, CutPolicy, hour_of
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.jetstream import Line, LineKind, RenderError, Rendering
from edgerelay.archive.matching import MayMatch
from edgerelay.archive.object_names import Folder, own_names
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from edgerelay.relay.sealing import RETRY_CAP_US
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.archive_reader import READ_BYTES, ArchiveReader
from edgerelay.runtime.archiver import Archiver, Message
from edgerelay.runtime.archivist import Archivist
from edgerelay.runtime.blob_writer import BlobWriter, HostsUnknownError
from edgerelay.runtime.compaction import GRACE_US, SETTLE_US, Compaction
from edgerelay.runtime.container_objects import read_blocks, read_index
from edgerelay.runtime.hot_log import HotLog, LogPolicy
from edgerelay.runtime.hour_index import HourIndex
from edgerelay.runtime.kept_lines import KeptLines
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.memory import ManualClock, MemoryIndex, MemoryLog, MemoryObjects, MemoryQueue
from edgerelay.runtime.objects import ObjectStore, ObjectStoreError
from edgerelay.runtime.registry import Registry
from edgerelay.runtime.replay import Replay
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite
from tests.coroutines import finished
from tests.crashing import CrashError, CrashingSql
from tests.effects import Effects, LedIndex, LedObjects, LedQueue

__all__ = ["KEPT_US", "NOON_US", "SEAL_US", "Past", "Reader", "WaveringObjects", "batch_of"]

NOON_US = 500_000 * HOUR_US
SEAL_US = 60_000_000
KEPT_US = 63 * 24 * HOUR_US


_CID = cid_to_text(cid_for_raw(b"image")).encode()
_RECORD_WITH_BLOB = b',"record":{"image":{"cid":"%b","mimeType":"image/png"}}' % _CID


def batch_of(
    prev_seq: int, seqs: Sequence[int], *positions: PositionFields, frame_bytes: int = 40, width: int = 1
) -> Batch:
    """A batch of commits whose frames say their number.

    Args:
        width: the most operations that a commit has.
    """
    builder = BatchBuilder(prev_seq)
    for seq in seqs:
        frame = seq.to_bytes(8, "big") * (frame_bytes // 8)
        paths = [f"app.test.kind{number % 3}/{number}" for number in _numbers(seq, width)]
        builder.add(seq, "#commit", f"did:plc:{seq % 7}", paths, frame)
    return builder.build(positions, b"")


def _numbers(seq: int, width: int) -> range:
    """Of the operations of a commit."""
    return range(seq, seq + 1 + seq // width % width)


def _line(seq: int, number: int, record: bytes) -> Line:
    did, collection = f"did:plc:{seq % 7}", f"app.test.kind{number % 3}"
    json = (
        b'{"did":"%b","time_us":%d,"kind":"commit","commit":{"rev":"3a","operation":"create","collection":"%b",'
        b'"rkey":"%d"%b}}' % (did.encode(), number, collection.encode(), number, record)
    )
    return Line(number, LineKind.COMMIT, did, collection, json)


class Reader:
    """Reads on from a cursor as a subscriber's shard does."""

    def __init__(self, replay: Replay[Batch], cursor: int, may_match: MayMatch | None = None) -> None:
        self.replay = replay
        self.may_match = may_match
        self.first = self.cursor = cursor
        self.seen: list[tuple[int, bytes]] = []
        self.holes: list[tuple[int, int]] = []

    def step(self) -> None:
        """Read once."""
        batch, missing_up_to, passed_up_to = finished(self.replay.find(self.cursor, self.may_match))
        if passed_up_to:
            assert (batch, missing_up_to) == (None, 0)
            self.cursor = passed_up_to + 1
        if missing_up_to >= self.cursor:
            self.holes.append((self.cursor, missing_up_to))
            self.cursor = missing_up_to + 1
        if batch is not None:
            assert isinstance(batch, Batch)
            self.seen += [(seq, frame) for seq, frame in batch.split() if seq >= self.cursor]
            self.cursor = batch.head.last_seq + 1

    def read_all(self) -> Reader:
        """Read until nothing more comes; the last step may be about a hole."""
        for _ in range(1_000):
            before = self.cursor
            self.step()
            if self.cursor == before:
                return self
        raise AssertionError("it never ends")


class WaveringObjects(MemoryObjects):
    """A bucket whose next puts fail: before anything is stored, or with the answer lost behind it.

    Whoever changes something may also be killed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        """What becomes of the next puts: `refused`, `lost` or, once there are no more, nothing."""

        self.changes_left: int | None = None
        """After so many changes whoever makes the next one is killed before it."""

    @contextmanager
    def kill_after(self, changes: int) -> Iterator[None]:
        """Let so many changes pass within the block, if it gets that far."""
        self.changes_left = changes
        try:
            yield
        except CrashError:
            pass
        finally:
            self.changes_left = None

    async def replace(self, name: str, data: bytes) -> None:
        self._change()
        await super().replace(name, data)

    async def delete(self, names: Sequence[str]) -> None:
        """Not all at once."""
        for name in names:
            self._change()
            await super().delete([name])

    def _change(self) -> None:
        if self.changes_left is not None:
            if self.changes_left == 0:
                raise CrashError
            self.changes_left -= 1

    async def put(self, name: str, data: bytes) -> bool:
        self._change()
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise ObjectStoreError(fault)
        is_new = await super().put(name, data)
        if fault == "lost":
            raise ObjectStoreError(fault)
        return is_new


class Upkeep(NamedTuple):
    """What keeps the archive."""

    archiver: Archiver
    compaction: Compaction
    hours: HourIndex


class Past:
    """A log, its archivist, and a bucket."""

    def __init__(
        self,
        *,
        stop_bytes: int = 1,
        block_bytes: int = 200,
        group_bytes: int = 600,
        has_blobs: bool = False,
        width: int = 1,
    ) -> None:
        """Nothing has happened yet.

        Args:
            has_blobs: whether records have some, and references to them are kept.
            width: the most operations that a commit has; gaps count in so many microseconds.
        """
        self._sqlite = Sqlite()
        self._has_blobs = has_blobs
        self._width = width
        self.sql = CrashingSql(self._sqlite)
        migrate(self.sql)
        self.objects = WaveringObjects()
        self.queue = MemoryQueue()
        self.index = MemoryIndex()
        self.effects = Effects()
        self.lines = MemoryLog()
        self.clock = ManualClock(NOON_US)
        self.events: list[tuple[int, bytes]] = []
        """Everything that ever was written: number and frame."""

        self.damaged_frames: set[bytes] = set()
        """Frames that cannot be rendered."""

        self.damage: Exception = RenderError("a damaged frame")
        """What comes of it if somebody tries."""

        self.hosts_problem = ""
        """Why nobody says which hosts accounts have; empty if it is said."""

        self._log_policy = LogPolicy(stop_bytes, 0)
        self._cut_policy = CutPolicy(block_bytes, group_bytes)
        self.open()

    def open(self) -> None:
        """The object starts; what the one before it had in memory is gone."""
        registry = Registry(self.sql)
        self.log = HotLog(self.sql, self._log_policy, registry.archive_mark().archived_seq)
        self.archivist = Archivist(
            LedObjects(self.effects, self.objects),
            LedQueue(self.effects, self.queue),
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
        seqs = [last_seq := last_seq + gap * self._width for gap in gaps]
        batch = batch_of(prev_seq, seqs, width=self._width)
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
        return ArchiveReader(self.objects, lambda block: open_batch(block, {codec.id: codec}), read_bytes=read_bytes)

    def line_reader(self) -> ArchiveReader[tuple[int, bytes]]:
        """A reader of the lines, which gives the last number of each block and its bytes."""
        codec = ZlibCodec()
        folder = Folder.JETSTREAM
        return ArchiveReader(
            self.objects,
            lambda block: (block.facts.contents.last_seq, unseal(block, {codec.id: codec})),
            folder,
            folder,
        )

    def read_lines(self) -> bytes:
        """All lines of the archive."""
        reader, cursor, lines = self.line_reader(), 1, b""
        while (found := finished(reader.find(cursor))) is not None:
            cursor, lines = found[0] + 1, lines + found[1]
        return lines

    def expected_lines(self) -> bytes:
        """The lines of everything that ever was written."""
        return b"".join([line.json + b"\n" for seq, _ in self.events for line in self.lines_of(seq)])

    def lines_of(self, seq: int) -> list[Line]:
        """The lines of an event; some operations have none."""
        record = _RECORD_WITH_BLOB if self._has_blobs else b""
        return [_line(seq, number, record) for number in _numbers(seq, self._width) if number % 5]

    def read_references(self) -> list[BlobReference]:
        """The references to blobs in all objects that hold them, in order."""
        found: list[BlobReference] = []
        for name in own_names(sorted(self.objects.objects)):
            if name.folder is Folder.BLOBS:
                index = finished(read_index(self.objects, name.key))
                for block in finished(read_blocks(self.objects, name.key, index)):
                    found += open_references(block, {ZLIB: ZlibCodec()})
        return found

    def upkeep(self, segment_bytes: int = 1_000, clock: Callable[[], int] | None = None) -> Upkeep:
        """What an invocation of the Worker does for the archive."""
        clock = clock or self.clock
        objects, index = LedObjects(self.effects, self.objects), LedIndex(self.effects, self.index)
        lines = LineWriter(objects, ZlibCodec(), self.effects.pause, self._render)
        hours = HourIndex(objects, index, self.lines, clock, KEPT_US)
        return Upkeep(
            Archiver(objects, lines, self.lines, clock),
            Compaction(objects, hours, lines, self.lines, clock, segment_bytes, self._blob_writer(objects)),
            hours,
        )

    def _blob_writer(self, objects: ObjectStore) -> BlobWriter | None:
        if not self._has_blobs:
            return None
        return BlobWriter(objects, ZlibCodec(), self._hosts_of, self.lines, self.effects.pause)

    async def _hosts_of(self, dids: Sequence[str]) -> list[str]:
        if self.hosts_problem:
            raise HostsUnknownError(self.hosts_problem)
        return [f"https://{did.rpartition(':')[2]}.test" for did in dids]

    def _render(self, frame: bytes) -> Rendering:
        if frame in self.damaged_frames:
            raise self.damage
        return Rendering(tuple(self.lines_of(int.from_bytes(frame[:8], "big"))) if frame else ())

    def deliver(self, number: int, attempts: int = 1) -> bool:
        """Hand the archiver a message that was sent, for the first time or again; tells whether it is done with."""
        return finished(self.upkeep().archiver.take(Message(str(number), self.queue.messages[number], attempts)))

    def compact(self, segment_bytes: int = 1_000) -> ArchiveFigures:
        """One run of the compaction."""
        return finished(self.upkeep(segment_bytes).compaction.run())

    def compact_all(self) -> ArchiveFigures:
        """Archive everything, wait until it may be joined, and until what was joined may go."""
        self.archive_all()
        self.clock.now_us = (hour_of(max(self.clock.now_us, self.log.last_seq)) + 1) * HOUR_US + SETTLE_US
        for _ in range(3):  # joined, found complete, taken away
            self.compact()
            self.clock.now_us += GRACE_US
        return self.compact()

    def replay(self, log: Callable[[int], Awaitable[History[Batch]]] | None = None) -> Replay[Batch]:
        """A replay that has read nothing yet."""
        return Replay(self.reader(), self.kept_lines(), log or self.read_log, self.lines)

    def kept_lines(self) -> KeptLines:
        """The lines of the archive, of which nothing has been read yet."""
        return KeptLines(self.objects, {ZLIB: ZlibCodec()}, self.lines)

    async def read_log(self, cursor: int) -> History[Batch]:
        """What RelayState answers."""
        batch, missing_up_to = self.log.read(cursor), self.log.missing_up_to
        return History(batch, missing_up_to if batch is None else min(missing_up_to, batch.head.prev_seq))

    def close(self) -> None:
        """Close the database."""
        self._sqlite.close()
