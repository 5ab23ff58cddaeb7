"""Measure what the archive takes: bytes an event, raw and packed, of both streams, at the block size of the relay.

    python bench/storage.py [--data FOLDER]

Frames are numbered, cut, packed, rendered and joined by the relay's own code, with the indexes of groups and segments
counted in. What it showed is in docs/decisions/0017-segments.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from block_codecs import RECORDED, batches, recorded
from recordings import production_recording
from table import heading, row, target

from edgerelay.archive.block import SealedBlock
from edgerelay.archive.container import ContainerOpening, ContainerWriter
from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.archive.jetstream_block import seal_lines
from edgerelay.archive.joining import Joining
from edgerelay.runtime.archivist import BLOCK_BYTES, GROUP_BYTES
from edgerelay.runtime.compaction import SEGMENT_BYTES
from edgerelay_dev.brotli_codec import BrotliCodec
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.checkout import Checkout

EVENTS = 20_000
TARGETS = {Stream.FIREHOSE: 63, Stream.JETSTREAM: 32}
"""Packed, in percent of raw, on frames that were recorded from the network."""

DAYS, EVENTS_PER_S = 62, 420


class Stored(NamedTuple):
    """What one stream takes."""

    raw_bytes: int
    blocks_bytes: int
    groups_bytes: int
    segments_bytes: int


def containers(blocks: Iterable[SealedBlock], stream: Stream, per_group: int) -> Iterator[bytes]:
    """Objects of so many blocks each."""
    left = list(blocks)
    while left:
        writer = ContainerWriter(stream)
        parts = [writer.add(block) for block in left[:per_group]]
        yield b"".join([*parts, writer.finish()])
        del left[:per_group]


def segments_bytes(groups: Iterable[bytes]) -> int:
    """The size of all segments that are joined of these."""
    total, joining = 0, Joining(SEGMENT_BYTES)
    for group in groups:
        index = index_of(group)
        if not joining.take(index):
            total, joining = total + joining.finish().size_bytes, Joining(SEGMENT_BYTES)
            joining.take(index)
    return total + joining.finish().size_bytes


def index_of(container: bytes) -> ContainerIndex:
    opening = ContainerOpening(len(container))
    while opening.wanted is not None:
        opening.take(container[opening.wanted.offset : opening.wanted.end])
    return opening.index


def stored(blocks: list[SealedBlock], stream: Stream, raw_bytes: int) -> Stored:
    groups = list(containers(blocks, stream, -(-GROUP_BYTES // BLOCK_BYTES)))
    packed = sum(block.facts.packed_bytes for block in blocks)
    return Stored(raw_bytes, packed, sum(map(len, groups)), segments_bytes(groups))


def measure(what: str, frames: Iterable[bytes], *, is_real: bool) -> None:
    codec = BrotliCodec()
    cut = list(batches(frames, BLOCK_BYTES))
    events = sum(len(batch.head.seqs) for batch in cut)
    frame_bytes = sum(len(batch.frames) for batch in cut)
    lines = [sealed for batch in cut for sealed in seal_lines(batch, (), codec)]
    print(f"\n{what}: {events:,} events, {frame_bytes:,} bytes, {len(cut)} blocks")
    for stream, blocks, raw_bytes in (
        (Stream.FIREHOSE, [seal_batch(batch, codec) for batch in cut], frame_bytes),
        (Stream.JETSTREAM, lines, sum(block.facts.raw_bytes for block in lines)),
    ):
        show(stream, stored(blocks, stream, raw_bytes), events, is_real=is_real)


def show(stream: Stream, found: Stored, events: int, *, is_real: bool) -> None:
    percent = 100 * found.segments_bytes / found.raw_bytes
    limit = TARGETS[stream]
    row(f"{stream}: raw", f"{found.raw_bytes / events:,.0f} B/event")
    row("  blocks, packed", f"{found.blocks_bytes / events:,.0f} B/event")
    row("  groups, with their indexes", f"{found.groups_bytes / events:,.0f} B/event")
    aim = target(percent <= limit, f"{limit} %") if is_real else ""
    row(
        "  segments, with their indexes",
        f"{found.segments_bytes / events:,.0f} B/event",
        f"{percent:.1f} % of raw",
        aim,
    )
    terabytes = found.segments_bytes / events * EVENTS_PER_S * 86_400 * DAYS / 1e12
    row(f"  {DAYS} days of {EVENTS_PER_S} events/s", f"{terabytes:.1f} TB")


def main() -> None:
    parser = argparse.ArgumentParser(description="measure what the archive takes")
    beside = Checkout.of_this_file().root.parent / "shared"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGERELAY_VECTORS", beside)))
    path = parser.parse_args().data / RECORDED
    print(heading())
    if path.exists():
        measure("recorded from the network", recorded(path), is_real=True)
    else:
        print(f"no recorded frames at {path}: name the folder that holds vectors/ by --data or EDGERELAY_VECTORS")
    measure("simulated, production-shaped", read_recording(production_recording(EVENTS)), is_real=False)


if __name__ == "__main__":
    main()
