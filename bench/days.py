"""An archive of 62 days, made of recorded frames once and kept: a small segment of either stream for each hour, and one
hour of 256 MB of frames.

Two accounts write five times in all of it: one what many write, the other into a collection that is its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from itertools import chain, count, cycle
from pathlib import Path
from typing import Final, NamedTuple

from recordings import production_recording

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.archive.block import SealedBlock
from edgerelay.archive.container import ContainerWriter
from edgerelay.archive.container_index import Stream
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.archive.jetstream_block import seal_lines
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.atproto.frames import Frame, decode_frame, renumber
from edgerelay.atproto.messages import Account, Commit, Identity, Sync, parse_message
from edgerelay.runtime.archivist import BLOCK_BYTES
from edgerelay.runtime.compaction import SEGMENT_BYTES
from edgerelay_dev.brotli_codec import BrotliCodec
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.network.repository import Create, Record
from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.workerd import ENVIRONMENT
from edgerelay_dev.operator.progress import progress

__all__ = ["RARE_COLLECTION", "RARE_EVENTS", "Days", "days"]

EVENTS: Final = 20_000
"""Of the recording, which is shared with `ingest.py`."""

HOURS: Final = 62 * 24 - 1
"""One less than a cursor reaches back, so that all of them are in reach while they are measured."""

LARGE_AGE_HOURS: Final = 700
"""How long before the end the large hour is."""

FRESH_S: Final = 9 * 24 * 3_600
"""Seconds that an archive is used for: a rehearsed clock goes ten days back at most."""

RARE_COLLECTION: Final = "app.example.rare"
COMMON_COLLECTION: Final = "app.bsky.feed.post"
RARE_EVENTS: Final = 5
"""Of either account, evenly spread, the last of them in the last hours."""

CREATED_AT: Final = "2026-11-23T00:00:00.000Z"
BUCKET: Final = {"binding": "BUCKET", "bucket_name": "edgerelay-archive"}
PUTTER: Final = Path(__file__).with_name("put_files.mjs")


class Shape(NamedTuple):
    """What an hour is like, in bytes of frames, and in microseconds between two events."""

    block_bytes: int
    hour_bytes: int
    step_us: int


SMALL: Final = Shape(20_000, 160_000, 20_000_000)
"""Eight blocks of about four events."""

LARGE: Final = Shape(BLOCK_BYTES, 256_000_000, 50_000)


class Event(NamedTuple):
    """A recorded frame, and what the head of a batch says of it."""

    frame: Frame
    did: str
    paths: tuple[str, ...]


class Days(NamedTuple):
    """The archive."""

    folder: Path
    """The state of a relay, in which there is nothing but the bucket."""

    end_hour: int
    """The first hour that is not in it, counted from 1970."""

    rare_did: str
    """Of the account that writes what many do."""

    @property
    def first_seq(self) -> int:
        """The first number that it may have."""
        return (self.end_hour - HOURS) * HOUR_US

    @property
    def last_seq(self) -> int:
        """The last number that it may have."""
        return self.end_hour * HOUR_US - 1

    @property
    def large_seq(self) -> int:
        """The first number of the large hour."""
        return (self.end_hour - LARGE_AGE_HOURS) * HOUR_US

    @property
    def clock_s(self) -> int:
        """Seconds by which a relay's clock is to be shifted, so that the archive ends now."""
        return self.end_hour * HOUR_US // 1_000_000 - int(time.time())

    def copy_to(self, state_dir: Path) -> None:
        """Give a relay the archive, to keep this one as it is."""
        shutil.copytree(self.folder, state_dir, dirs_exist_ok=True)


def days() -> Days:
    """The archive; takes a minute or two when there is none yet, or none that ended lately."""
    folder = Checkout.of_this_file().cache / "days"
    fresh_hour = hour_of(int(time.time() - FRESH_S) * 1_000_000)
    rare = rare_events()
    for kept in folder.glob("[0-9]*"):
        if int(kept.name) > fresh_hour:
            return Days(kept, int(kept.name), rare[0].did)
    shutil.rmtree(folder, ignore_errors=True)
    end_hour = hour_of(time.time_ns() // 1_000)
    partial, done = folder / "partial", folder / str(end_hour)
    print(f"making an archive of {HOURS:,} hours, once", flush=True)
    write_segments(partial / "objects", end_hour, rare)
    fill_bucket(partial / "state", partial / "objects")
    (partial / "state").rename(done)
    shutil.rmtree(partial)
    return Days(done, end_hour, rare[0].did)


def rare_events() -> list[Event]:
    """The events of the two accounts, in turn."""
    (host,) = SimulatedNetwork("rare").hosts
    host.url = "http://localhost"
    accounts = [(host.create_account(), COMMON_COLLECTION), (host.create_account(), RARE_COLLECTION)]
    events = []
    for number in range(RARE_EVENTS):
        for account, collection in accounts:
            record: Record = {"$type": collection, "createdAt": CREATED_AT, "text": f"rare {number}"}
            events.append(parsed(host.commit(account, Create(f"{collection}/rare{number}", record)).frame))
    return events


def parsed(raw: bytes) -> Event:
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    message = parse_message(frame.kind, frame.body)
    assert isinstance(message, Account | Commit | Identity | Sync)
    return Event(frame, message.did, tuple([op.path for op in message.ops]) if isinstance(message, Commit) else ())


def write_segments(objects: Path, end_hour: int, rare: list[Event]) -> None:
    """Write all segments as files below a folder, each by its name."""
    source = cycle([parsed(frame) for frame in read_recording(production_recording(EVENTS))])
    rare_hours = {end_hour - 1 - number * (HOURS // len(rare)): event for number, event in enumerate(reversed(rare))}
    first_hour = end_hour - HOURS
    prev_seq = first_hour * HOUR_US - 1
    with progress(HOURS, "hours") as done:
        for hour in range(first_hour, end_hour):
            shape = LARGE if hour == end_hour - LARGE_AGE_HOURS else SMALL
            rarity = [rare_hours[hour]] if hour in rare_hours else []
            prev_seq = write_hour(objects, blocks_of(shape, hour, chain(rarity, source), prev_seq))
            done()


def blocks_of(shape: Shape, hour: int, source: Iterable[Event], prev_seq: int) -> Iterator[Batch]:
    """The blocks of an hour, as batches."""
    builder, hour_bytes = BatchBuilder(prev_seq), 0
    for event, seq in zip(source, count(hour * HOUR_US, shape.step_us), strict=False):
        assert hour_of(seq) == hour
        frame = renumber(event.frame, seq)
        builder.add(seq, event.frame.kind, event.did, event.paths, frame)
        hour_bytes += len(frame)
        if builder.frames_bytes >= shape.block_bytes:
            yield builder.build([], b"")
            builder = BatchBuilder(seq)
            if hour_bytes >= shape.hour_bytes:
                return


def write_hour(objects: Path, blocks: Iterable[Batch]) -> int:
    """Write the segments of an hour; returns its last number."""
    codec, last_seq = BrotliCodec(), 0
    frames, lines = Segments(objects, Stream.FIREHOSE), Segments(objects, Stream.JETSTREAM)
    for block in blocks:
        frames.add(seal_batch(block, codec))
        for sealed in seal_lines(block, (), codec):
            lines.add(sealed)
        last_seq = block.head.last_seq
    frames.finish()
    lines.finish()
    return last_seq


class Segments:
    """The segments of one stream, as large as the compaction makes them."""

    def __init__(self, objects: Path, stream: Stream) -> None:
        self._objects = objects
        self._stream = stream
        self._writer = ContainerWriter(stream)
        self._parts: list[bytes] = []

    def add(self, block: SealedBlock) -> None:
        if self._writer.written_bytes + len(block.packed) > SEGMENT_BYTES:
            self.finish()
        self._parts.append(self._writer.add(block))

    def finish(self) -> None:
        """Write the segment, and begin another one."""
        end, index = self._writer.finish(), self._writer.index()
        path = self._objects / ObjectName(Folder(self._stream.value), index.first_seq, index.last_seq).key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join([*self._parts, end]))
        self._writer, self._parts = ContainerWriter(self._stream), []


def fill_bucket(state_dir: Path, objects: Path) -> None:
    """Put files into the bucket of a relay that has no state yet."""
    state_dir.mkdir()
    configuration = objects.with_name("wrangler.json")
    configuration.write_text(json.dumps({"compatibility_date": "2026-09-08", "r2_buckets": [BUCKET]}))
    command = [Checkout.of_this_file().node, PUTTER, configuration, state_dir, objects]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT})
