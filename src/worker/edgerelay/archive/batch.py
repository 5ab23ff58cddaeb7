"""A batch: the events of one flush, as they stand in the hot log, in the ring and on the feed.

One encoding for all three: a head with everything that a reader of many events needs without looking into frames, then
the frames, ready to send. A batch names the last number before it, so that whoever holds two of them can tell whether
anything is missing between.

    message := u32 big-endian length of head, head, frames
    head    := CBOR array [version, prev_seq, first_seq, deltas, kinds, frame lengths, dids, paths, positions, accounts]

`deltas` are distances to the event before (the first is 0), `kinds` one byte an event, `positions` the rows of hosts
that this batch moves, `accounts` records of accounts that it changes, as the account store writes them.

It does not decide what goes into a batch, and does not know where batches are stored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import lt
from typing import Final, NamedTuple, cast

import cbor2

from edgerelay.errors import InvariantError

__all__ = [
    "HEAD_VERSION",
    "KINDS",
    "Batch",
    "BatchBuilder",
    "BatchError",
    "BatchHead",
    "PositionFields",
    "decode_head",
    "decode_message",
    "join_batches",
]

HEAD_VERSION: Final = 1
"""Version of the head. A reader accepts its own and the one before; there is none before the first."""

_LENGTH_BYTES: Final = 4

KINDS: Final = ("#commit", "#sync", "#identity", "#account")
"""By their codes, from 0 on. Codes are stored: new kinds come behind."""
_KIND_CODES: Final = {kind: code for code, kind in enumerate(KINDS)}

PositionFields = tuple[int, int, int, tuple[tuple[int, int], ...], int, int]
"""host_id, epoch, low, done ranges, newest time and end of replay: the fields of `relay.position.PositionRow`."""


class BatchError(InvariantError):
    """Bytes that we stored or sent as a batch are not one, or are of a version that this code does not know."""


class BatchHead(NamedTuple):
    """Everything about a batch but its frames."""

    prev_seq: int
    """Number of the last event before this batch; 0 before the first."""

    seqs: tuple[int, ...]
    kinds: tuple[str, ...]
    frame_bytes: tuple[int, ...]
    dids: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    """Paths of each event's operations; empty for events that are no commits."""

    positions: tuple[PositionFields, ...]
    accounts: bytes

    @property
    def first_seq(self) -> int:
        """Number of the first event."""
        return self.seqs[0]

    @property
    def last_seq(self) -> int:
        """Number of the last event."""
        return self.seqs[-1]

    @property
    def last_width(self) -> int:
        """How many numbers the last event takes."""
        return max(1, len(self.paths[-1]))

    def frame_starts(self) -> list[int]:
        """Offsets of the frames, and of the end behind the last."""
        return list(accumulate(self.frame_bytes, initial=0))

    def index_of(self, seq: int) -> int:
        """Index of the first event whose number is at least `seq`; the count of events if there is none."""
        return bisect_left(self.seqs, seq)


class Batch(NamedTuple):
    """A head, its encoding, and the frames."""

    head: BatchHead
    head_raw: bytes
    frames: bytes

    @property
    def size_bytes(self) -> int:
        """What the batch takes in memory or in a row."""
        return len(self.head_raw) + len(self.frames)

    def message_parts(self) -> tuple[bytes, bytes, bytes]:
        """The message in the parts that it consists of, the frames last."""
        return len(self.head_raw).to_bytes(_LENGTH_BYTES, "big"), self.head_raw, self.frames

    def message(self) -> bytes:
        """The batch as one piece of bytes."""
        return b"".join(self.message_parts())

    def split(self) -> Iterator[tuple[int, bytes]]:
        """Each event's number and frame."""
        start = 0
        for seq, length in zip(self.head.seqs, self.head.frame_bytes, strict=True):
            yield seq, self.frames[start : start + length]
            start += length


class BatchBuilder:
    """Collects sequenced events until they are flushed."""

    def __init__(self, prev_seq: int) -> None:
        self.prev_seq = prev_seq
        self.frames_bytes = 0
        self._seqs: list[int] = []
        self._kinds = bytearray()
        self._dids: list[str] = []
        self._paths: list[Sequence[str]] = []
        self._frames: list[bytes] = []

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, seq: int, kind: str, did: str, paths: Sequence[str], frame: bytes) -> None:
        """Append an event; numbers must increase."""
        if seq <= (self._seqs[-1] if self._seqs else self.prev_seq):
            raise InvariantError(f"sequence number {seq} does not increase")
        self._seqs.append(seq)
        self._kinds.append(_KIND_CODES[kind])
        self._dids.append(did)
        self._paths.append(paths)
        self._frames.append(frame)
        self.frames_bytes += len(frame)

    def build(self, positions: Sequence[PositionFields], accounts: bytes) -> Batch:
        """The batch of everything added. Raises `InvariantError` if that is nothing."""
        if not self._seqs:
            raise InvariantError("a batch without events")
        head = BatchHead(
            self.prev_seq,
            tuple(self._seqs),
            tuple([KINDS[code] for code in self._kinds]),
            tuple([len(frame) for frame in self._frames]),
            tuple(self._dids),
            tuple([tuple(paths) for paths in self._paths]),
            tuple(positions),
            accounts,
        )
        return Batch(head, _encode_head(head), b"".join(self._frames))


def join_batches(batches: Sequence[Batch]) -> Batch:
    """The events of batches that follow each other, at least one, for readers: without positions and accounts."""
    heads = [batch.head for batch in batches]
    if any(after.prev_seq != before.last_seq for before, after in pairwise(heads)):
        raise InvariantError("batches that do not follow each other")
    columns = zip(*[(head.seqs, head.kinds, head.frame_bytes, head.dids, head.paths) for head in heads], strict=True)
    seqs, kinds, frame_bytes, dids, paths = [tuple(chain.from_iterable(column)) for column in columns]
    head = BatchHead(heads[0].prev_seq, seqs, kinds, frame_bytes, dids, paths, (), b"")
    return Batch(head, _encode_head(head), b"".join([batch.frames for batch in batches]))


def _encode_head(head: BatchHead) -> bytes:
    deltas = [0, *(after - before for before, after in pairwise(head.seqs))]
    kinds = bytes([_KIND_CODES[kind] for kind in head.kinds])
    events = [deltas, kinds, head.frame_bytes, head.dids, head.paths]
    return cbor2.dumps([HEAD_VERSION, head.prev_seq, head.first_seq, *events, head.positions, head.accounts])


def decode_head(raw: bytes) -> BatchHead:
    """Decode a head that this relay wrote.

    Raises:
        BatchError: the bytes are damaged, or of another version.
    """
    try:
        version, *rest = cbor2.loads(raw)
        if version != HEAD_VERSION:
            raise BatchError(f"a batch of version {version}; this code knows {HEAD_VERSION}")
        prev_seq, first_seq, deltas, kinds, lengths, dids, paths, positions, accounts = rest
        _check_types(list, (deltas, lengths, dids, paths, positions, *paths))
        _check_types(bytes, (kinds, accounts))
        head = BatchHead(
            prev_seq,
            tuple(accumulate(deltas[1:], initial=first_seq)),
            tuple([KINDS[code] for code in kinds]),
            tuple(lengths),
            tuple(dids),
            tuple([tuple(each) for each in paths]),
            tuple([_position(each) for each in positions]),
            accounts,
        )
        _check_head(head)
    except (cbor2.CBORError, ArithmeticError, IndexError, RecursionError, TypeError, ValueError) as error:
        raise BatchError(f"a damaged batch head: {error}") from error
    return head


def _position(fields: list[object]) -> PositionFields:
    host_id, epoch, low, done, newest_time_us, replay_until_us = fields
    ranges = tuple([(first, last) for first, last in cast(list[list[int]], done)])
    _check_types(int, (host_id, epoch, low, newest_time_us, replay_until_us, *chain(*ranges)))
    return cast(PositionFields, (host_id, epoch, low, ranges, newest_time_us, replay_until_us))


def _check_head(head: BatchHead) -> None:
    """Everything that readers rely on: damage is found here, or it would look like a defect of theirs."""
    seqs, lengths = head.seqs, head.frame_bytes
    _check_types(int, (head.prev_seq, *seqs, *lengths))
    _check_types(str, (*head.dids, *chain(*head.paths)))
    if {len(head.kinds), len(lengths), len(head.dids), len(head.paths)} != {len(seqs)}:
        raise ValueError("its columns differ in length")
    if not all(map(lt, (-1, head.prev_seq, *seqs), (head.prev_seq, *seqs))) or min(lengths) < 0:
        raise ValueError("its numbers do not increase")


def _check_types(kind: type, values: Sequence[object]) -> None:
    if not {kind}.issuperset(map(type, values)):
        raise TypeError(f"a value is no {kind.__name__}")


def decode_message(message: bytes) -> Batch:
    """Take a message apart again.

    Raises:
        BatchError: the bytes are damaged, or of another version.
    """
    start = _LENGTH_BYTES + int.from_bytes(message[:_LENGTH_BYTES], "big")
    if len(message) < start:
        raise BatchError("a truncated batch")
    head_raw = message[_LENGTH_BYTES:start]
    head, frames = decode_head(head_raw), message[start:]
    if sum(head.frame_bytes) != len(frames):
        raise BatchError("a batch whose frames do not have the lengths that its head says")
    return Batch(head, head_raw, frames)
