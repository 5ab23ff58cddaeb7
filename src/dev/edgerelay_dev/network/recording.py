"""Recordings of streams: `[u32 big-endian length][frame]`, repeated; and a host's stream made from one.

A replayed stream keeps every byte, the sequence numbers included. Only when it loops, or is told to restamp, are the
numbers (and the times) of frames replaced, so that they go on growing. Then revs repeat, as in any replay, and what is
restamped has another time whenever it is read.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final, cast

from cbor2 import dumps

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay.errors import InvariantError
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.clock import datetime_text, system_clock
from edgerelay_dev.network.faults import Faults
from edgerelay_dev.network.log import Batch, Emitted
from edgerelay_dev.network.server import websocket_url
from edgerelay_dev.network.subscription import StreamRules
from edgerelay_dev.network.websocket import frame_header

__all__ = ["RecordedFeed", "Recorder", "ReplayingHost", "read_recording"]

_LENGTH_BYTES: Final = 4
_TICK_S: Final = 0.005
"""A paced replay releases frames this often: far below any latency that is measured through it."""


_ENDLESS: Final = (1 << 53) - 1
"""The newest number of a recording that loops without a pace: the highest that a stream may have."""


class Recorder:
    """Appends messages to a file; pass an instance as a listener of a host."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __call__(self, message: Emitted) -> None:
        self._file.write(len(message.frame).to_bytes(_LENGTH_BYTES, "big") + message.frame)


def read_recording(path: Path) -> Iterator[bytes]:
    """Read the frames of a file."""
    data = path.read_bytes()
    offset = 0
    while offset < len(data):
        start = offset + _LENGTH_BYTES
        offset = start + int.from_bytes(data[offset:start], "big")
        if offset > len(data):
            raise ValueError(f"{path} ends within a frame")
        yield data[start:offset]


@dataclass(frozen=True, slots=True)
class _Piecewise:
    """A frame cut around its number and its time, so that both can be replaced without decoding it again."""

    seq: int
    wire: bytes
    """The frame as it is, with its WebSocket header; what follows are views of it."""
    before_seq: memoryview
    before_time: memoryview
    time: memoryview
    rest: memoryview

    def stamped(self, seq: int, time: bytes | None) -> bytes:
        """The message with another number and, if given, another time (as CBOR)."""
        frame = b"".join((self.before_seq, dumps(seq), self.before_time, time or self.time, self.rest))
        return frame_header(len(frame)) + frame


def _cut(frame: bytes) -> _Piecewise | None:
    """Cut a frame; None for one without a number (an error or info frame), which a replay leaves out."""
    header, body = cast("tuple[dict[str, object], dict[str, object]]", decode_pair(frame))
    if "seq" not in body:
        return None
    wire = frame_header(len(frame)) + frame
    # `seq` comes before `time` in canonical order. A path may spell either, hence the check that the pieces fit.
    for seq_at, seq_end in _occurrences(wire, "seq", body["seq"]):
        for time_at, time_end in _occurrences(wire, "time", body["time"], seq_end):
            changed = wire[:seq_at] + dumps(0) + wire[seq_end:time_at] + dumps("") + wire[time_end:]
            if decode_pair(changed[len(wire) - len(frame) :]) == (header, {**body, "seq": 0, "time": ""}):
                view = memoryview(wire)
                head = view[len(wire) - len(frame) : seq_at]
                pieces = (head, view[seq_end:time_at], view[time_at:time_end], view[time_end:])
                return _Piecewise(cast(int, body["seq"]), wire, *pieces)
    raise InvariantError("a canonical frame has its number and its time nowhere")


def _occurrences(data: bytes, key: str, value: object, start: int = 0) -> Iterator[tuple[int, int]]:
    """Find where a value stands behind its key."""
    encoded_key, encoded_value = dumps(key), dumps(value)
    while (start := data.find(encoded_key + encoded_value, start)) >= 0:
        start += len(encoded_key)
        yield start, start + len(encoded_value)


class RecordedFeed:
    """A stream made from recorded frames.

    Without a rate everything is there at once, and a reader without a cursor starts at the first frame; with one,
    frames appear at that pace from the first time that somebody looks.
    """

    def __init__(
        self, frames: Iterable[bytes], *, rate: float = inf, loop: bool = False, restamp: bool = False
    ) -> None:
        cut = (_cut(frame) for frame in frames)
        self._frames = [piece for piece in cut if piece is not None]
        if not self._frames:
            raise ValueError("a recording without frames cannot be replayed")
        self._seqs = [piece.seq for piece in self._frames]
        self._span = self._seqs[-1] - self._seqs[0] + 1
        self._rate = rate
        self._loop = loop
        self._restamp = restamp
        self._started: float | None = None
        self.forgotten = self._seqs[0] - 1

    @property
    def newest(self) -> int:
        """The number of the last frame released; before the first, the one below it."""
        released = self._released()
        return self.forgotten if released == 0 else self._seq_at(released - 1)

    def read(self, after: int, max_bytes: int) -> Batch | None:
        """Read on from behind a sequence number."""
        first, released = self._position(after), self._released()
        now = dumps(datetime_text(system_clock())) if self._restamp else None
        parts: list[bytes] = []
        size = 0
        while first + len(parts) < released and (size < max_bytes or not parts):
            turn, index = divmod(first + len(parts), len(self._frames))
            piece = self._frames[index]
            parts.append(piece.stamped(piece.seq + turn * self._span, now) if turn or now else piece.wire)
            size += len(parts[-1])
        return Batch(b"".join(parts), self._seq_at(first + len(parts) - 1), len(parts)) if parts else None

    @property
    def live_edge(self) -> int:
        """Where a reader without a cursor starts: a recording that is all there has no edge but its first frame."""
        return self.forgotten if self._rate == inf else self.newest

    async def wait(self, after: int) -> None:
        """Return a little later, or never when the recording is over."""
        if self._rate == inf or (not self._loop and self._released() == len(self._frames)):
            await asyncio.Event().wait()
        await asyncio.sleep(_TICK_S)

    def _released(self) -> float:
        total = inf if self._loop else len(self._frames)
        if self._rate == inf:
            return total
        if self._started is None:
            self._started = monotonic()
        return min(total, int((monotonic() - self._started) * self._rate))

    def _seq_at(self, position: float) -> int:
        if position == inf:
            return _ENDLESS
        turn, index = divmod(int(position), len(self._frames))
        return self._seqs[index] + turn * self._span

    def _position(self, after: int) -> int:
        if after <= self.forgotten:
            return 0
        turn, within = divmod(after - self._seqs[0], self._span)
        return turn * len(self._frames) + bisect_right(self._seqs, self._seqs[0] + within)


@dataclass(slots=True)
class ReplayingHost:
    """A host that only replays: it has a stream and no accounts."""

    log: RecordedFeed
    rules: StreamRules = field(default_factory=StreamRules)
    faults: Faults = field(default_factory=Faults)
    accounts: dict[str, Account] = field(default_factory=dict)
    url: str = ""

    @property
    def ws_url(self) -> str:
        """Where to subscribe, without the path."""
        return websocket_url(self.url)
