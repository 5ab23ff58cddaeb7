"""The hot log: the newest batches on disk, in a ring of row slots that are overwritten in place.

One batch is one row, unless a single event is larger than a row may be; then it takes a few. A flush therefore writes
one row and deletes none. A slot is used again only when its batch may be forgotten: it is older than the least time
that the log keeps, a checkpoint covers what a restart would need of it, its events are in the archive, and the log has
reached its size.

It stores what `archive.batch` encodes, and answers "which batch holds the first event at or beyond this cursor". It is
told how far the archive has come; what an archive is it does not know.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from edgerelay.archive.batch import Batch, BatchError, BatchHead, decode_head
from edgerelay.runtime.sql import MAX_ROW_BYTES, Sql

__all__ = ["HotLog", "LogPolicy"]

ROW_BYTES: Final = MAX_ROW_BYTES - 100_000
"""Bytes of one row's blobs: the platform's limit less the other columns and its bookkeeping."""


_WRITE: Final = (
    "INSERT INTO log (slot, prev_seq, first_seq, last_seq, part, parts, head, frames) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (slot) DO UPDATE SET prev_seq = excluded.prev_seq, first_seq = excluded.first_seq,"
    " last_seq = excluded.last_seq, part = excluded.part, parts = excluded.parts, head = excluded.head,"
    " frames = excluded.frames"
)


class LogPolicy(NamedTuple):
    """When old batches may be forgotten."""

    stop_bytes: int
    """Size from which slots are used again."""

    keep_us: int
    """Age below which a batch is never forgotten, microseconds."""


class _Entry(NamedTuple):
    prev_seq: int
    first_seq: int
    last_seq: int
    slots: tuple[int, ...]
    size_bytes: int


class HotLog:
    """The batches on disk. One instance owns the table."""

    def __init__(self, sql: Sql, policy: LogPolicy, archived_seq: int, lost_seq: int = 0) -> None:
        """Read the index of what is there; frames stay on disk.

        Args:
            archived_seq: what `archived` was last told.
            lost_seq: where nothing is there, everything up to this number once was.
        """
        self._sql = sql
        self._policy = policy
        self._lost_seq = lost_seq
        self.archived_seq = archived_seq
        """Every event up to this number is in the archive."""

        self._entries: list[_Entry] = []
        self._last_seqs: list[int] = []
        self._free: list[int] = []
        self._slots = 0
        self.size_bytes = 0
        self.unarchived_bytes = 0
        """Bytes of the batches that are not in the archive with all their events."""
        self._load()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def last_seq(self) -> int:
        """Number of the newest event, whether it is still here or not; 0 if there was none."""
        return self._last_seqs[-1] if self._last_seqs else self._lost_seq

    @property
    def oldest_seq(self) -> int:
        """Number of the oldest event kept; 0 if there is none."""
        return self._entries[0].first_seq if self._entries else 0

    @property
    def missing_up_to(self) -> int:
        """Every event up to this number is forgotten; 0 if none ever was."""
        return self._entries[0].prev_seq if self._entries else self._lost_seq

    @property
    def unarchived_seq(self) -> int:
        """Number of the first event that is not in the archive; 0 if there is none."""
        index = bisect_left(self._last_seqs, self.archived_seq + 1)
        if index == len(self._entries):
            return 0
        return max(self._entries[index].first_seq, self.archived_seq + 1)

    def archived(self, seq: int) -> None:
        """The archive holds every event up to this number."""
        done = slice(bisect_left(self._last_seqs, self.archived_seq + 1), bisect_left(self._last_seqs, seq + 1))
        self.unarchived_bytes -= sum([entry.size_bytes for entry in self._entries[done]])
        self.archived_seq = max(self.archived_seq, seq)

    def is_full(self, now_us: int, checkpoint_seq: int) -> bool:
        """The log has its size and nothing in it may be forgotten yet."""
        return self.size_bytes >= self._policy.stop_bytes and not self._may_forget(now_us, checkpoint_seq)

    def append(self, batch: Batch, now_us: int, checkpoint_seq: int) -> None:
        """Write a batch; durable when the surrounding transaction is.

        Args:
            batch: must follow the last one.
            now_us: unix microseconds.
            checkpoint_seq: a restart needs no event up to this number.
        """
        if self.last_seq and batch.head.prev_seq != self.last_seq:
            raise BatchError(f"a batch after {batch.head.prev_seq} does not follow {self.last_seq}")
        while self.size_bytes + batch.size_bytes > self._policy.stop_bytes and self._may_forget(now_us, checkpoint_seq):
            self._forget_oldest()
        parts = _cut(batch)
        slots = tuple([self._take_slot() for _ in parts])
        if len(parts) == 1:
            self._write(batch, slots, parts)
        else:
            self._sql.transaction(lambda: self._write(batch, slots, parts))
        self._note(_Entry(batch.head.prev_seq, batch.head.first_seq, batch.head.last_seq, slots, batch.size_bytes))

    def replace(self, batch: Batch) -> None:
        """Write a batch anew that is here, with the same numbers and no more bytes."""
        index = bisect_left(self._last_seqs, batch.head.last_seq)
        entry = self._entries[index]
        parts = _cut(batch)
        slots, spare = entry.slots[: len(parts)], entry.slots[len(parts) :]

        def write() -> None:
            self._write(batch, slots, parts)
            for slot in spare:
                self._sql.execute("DELETE FROM log WHERE slot = ?", slot)

        self._sql.transaction(write)
        self._entries[index] = entry._replace(slots=slots, size_bytes=batch.size_bytes)
        self._free.extend(spare)
        self.size_bytes += batch.size_bytes - entry.size_bytes
        if entry.last_seq > self.archived_seq:
            self.unarchived_bytes += batch.size_bytes - entry.size_bytes

    def wipe(self) -> None:
        """Delete what the rows still hold of batches that are forgotten."""
        for slot in self._free:
            self._sql.execute("DELETE FROM log WHERE slot = ?", slot)

    def read(self, cursor: int) -> Batch | None:
        """The batch with the first event whose number is at least `cursor`; None if there is none yet."""
        index = bisect_left(self._last_seqs, cursor)
        return self._read(self._entries[index]) if index < len(self._entries) else None

    def batches_after(self, seq: int) -> Iterator[Batch]:
        """The batches that end beyond `seq`, oldest first; those that are appended meanwhile too."""
        while (batch := self.read(seq + 1)) is not None:
            yield batch
            seq = batch.head.last_seq

    def heads_after(self, seq: int) -> Iterator[BatchHead]:
        """The heads of all batches that end beyond `seq`, oldest first."""
        for entry in self._entries[bisect_left(self._last_seqs, seq + 1) :]:
            ((head,),) = self._sql.execute("SELECT head FROM log WHERE slot = ?", entry.slots[0])
            yield decode_head(head)

    def _load(self) -> None:
        """Read the index. What lies before a hole was forgotten: its neighbours' slots were used again."""
        rows = self._sql.execute(
            "SELECT first_seq, prev_seq, last_seq, parts, slot, length(head) + length(frames)"
            " FROM log ORDER BY first_seq, part"
        )
        self._slots = max((row[4] for row in rows), default=-1) + 1
        for first_seq, group in groupby(rows, key=itemgetter(0)):
            own = list(group)
            _, prev_seq, last_seq, parts, _, _ = own[0]
            if len(own) != parts or prev_seq != self.last_seq:
                self._entries.clear()
                self._last_seqs.clear()
                self.size_bytes = self.unarchived_bytes = 0
            if len(own) == parts:
                size_bytes = sum([row[5] for row in own])
                self._note(_Entry(prev_seq, first_seq, last_seq, tuple([row[4] for row in own]), size_bytes))
        if rows and self.last_seq != rows[-1][2]:
            raise BatchError(f"the newest batch in the hot log, at {rows[-1][0]}, lacks a part")
        used = {slot for entry in self._entries for slot in entry.slots}
        self._free = [slot for slot in range(self._slots) if slot not in used]

    def _note(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._last_seqs.append(entry.last_seq)
        self.size_bytes += entry.size_bytes
        if entry.last_seq > self.archived_seq:
            self.unarchived_bytes += entry.size_bytes

    def _may_forget(self, now_us: int, checkpoint_seq: int) -> bool:
        last_seq = self._last_seqs[0] if self._entries else self.last_seq
        if last_seq == self.last_seq:  # the newest batch says where the stream stands
            return False
        return last_seq <= min(checkpoint_seq, self.archived_seq, now_us - self._policy.keep_us)

    def _forget_oldest(self) -> None:
        entry = self._entries.pop(0)
        self._last_seqs.pop(0)
        self.size_bytes -= entry.size_bytes
        self._free.extend(entry.slots)

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots - 1

    def _write(self, batch: Batch, slots: tuple[int, ...], parts: list[tuple[bytes, bytes]]) -> None:
        head = batch.head
        for index, (slot, (head_part, frames_part)) in enumerate(zip(slots, parts, strict=True)):
            self._sql.execute(
                _WRITE,
                slot,
                head.prev_seq,
                head.first_seq,
                head.last_seq,
                index,
                len(parts),
                head_part,
                frames_part,
            )

    def _read(self, entry: _Entry) -> Batch:
        head_raw, frames = b"", []
        for slot in entry.slots:
            ((head_part, frames_part),) = self._sql.execute("SELECT head, frames FROM log WHERE slot = ?", slot)
            head_raw += head_part
            frames.append(frames_part)
        return Batch(decode_head(head_raw), head_raw, b"".join(frames))


def _cut(batch: Batch) -> list[tuple[bytes, bytes]]:
    """The rows of a batch: the head stays whole in the first, frames are cut where a row is full."""
    room = ROW_BYTES - len(batch.head_raw)
    if room < 0:
        raise BatchError(f"a batch head of {len(batch.head_raw)} bytes does not fit in a row")
    parts = [(batch.head_raw, batch.frames[:room])]
    for start in range(room, len(batch.frames), ROW_BYTES):
        parts.append((b"", batch.frames[start : start + ROW_BYTES]))
    return parts
