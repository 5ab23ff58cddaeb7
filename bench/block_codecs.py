"""Compare codecs for the blocks of the archive: how small, how fast.

    python bench/block_codecs.py [--data FOLDER]

Blocks of two sizes are made as RelayState makes them, of 150 frames that were recorded from the real network, if the
folder with them is there, and of the recording that `ingest.py` uses. Each block is packed and unpacked by each codec
in turn, with the best of its rounds; a rate is raw bytes a second of CPU time. What it showed is in
docs/decisions/0013-codec.md.
"""

from __future__ import annotations

import argparse
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import brotli
import zstandard
from recordings import production_recording
from table import heading

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.atproto.frames import Frame, decode_frame, renumber
from edgerelay.atproto.messages import Account, Commit, Identity, Sync, parse_message
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.checkout import Checkout

SIZES_BYTES = (262_144, 524_288)
ROUNDS = 3
EVENTS = 20_000
"""Of the recording, which is shared with `ingest.py`."""

SIMULATED_EVENTS = 400
RECORDED = Path("vectors/jetstream/internal/corpus/testdata/frames.bin.zst")
"""Below the folder of data: zstd of frames, each behind its length in four bytes, little-endian."""

FIRST_SEQ = 1_795_442_400_000_000
EVENT_US = 2_381
"""420 events a second."""


class Packer(NamedTuple):
    """One codec at one level."""

    name: str
    pack: Callable[[bytes], bytes]
    unpack: Callable[[bytes], bytes]


def packers() -> Iterator[Packer]:
    for quality in (4, 5, 6, 9, 11):
        yield Packer(f"brotli {quality}", lambda raw, q=quality: brotli.compress(raw, quality=q), brotli.decompress)
    for level in (6, 9):
        yield Packer(f"gzip {level}", lambda raw, n=level: zlib.compress(raw, n), zlib.decompress)
    for level in (1, 3, 9, 19):
        yield Packer(f"zstd {level}", zstandard.ZstdCompressor(level).compress, zstandard.ZstdDecompressor().decompress)


def recorded(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        while prefix := stream.read(4):
            yield stream.read(int.from_bytes(prefix, "little"))


def batches(frames: Iterable[bytes], size_bytes: int) -> Iterator[Batch]:
    """Blocks, as the archivist cuts them: of as many frames as reach the size, and of what is left at the end."""
    builder, seq = BatchBuilder(FIRST_SEQ), FIRST_SEQ
    for raw in frames:
        frame = decode_frame(raw)
        assert isinstance(frame, Frame)
        message = parse_message(frame.kind, frame.body)
        assert isinstance(message, Account | Commit | Identity | Sync)
        paths = [op.path for op in message.ops] if isinstance(message, Commit) else []
        seq += max(EVENT_US, len(paths))
        builder.add(seq, frame.kind, message.did, paths, renumber(frame, seq))
        if builder.frames_bytes >= size_bytes:
            yield builder.build([], b"")
            builder = BatchBuilder(seq)
    if len(builder):
        yield builder.build([], b"")


def compare(what: str, raws: list[bytes], kilobytes: int) -> None:
    total = sum(map(len, raws))
    print(f"\n{what}: {len(raws)} blocks of {kilobytes} KB, {total:,} bytes\n")
    print("| codec | packed, % | packs, MB/s | ms a block | unpacks, MB/s |")
    print("| --- | --- | --- | --- | --- |")
    for packer in packers():
        packed = [packer.pack(raw) for raw in raws]
        assert [packer.unpack(each) for each in packed] == raws
        packs_s, unpacks_s = best_s(packer.pack, raws), best_s(packer.unpack, packed)
        ratio = 100 * sum(map(len, packed)) / total
        rates = f"{total / packs_s / 1e6:.1f} | {packs_s / len(raws) * 1e3:.1f} | {total / unpacks_s / 1e6:.0f}"
        print(f"| {packer.name} | {ratio:.1f} | {rates} |", flush=True)


def best_s(work: Callable[[bytes], bytes], items: list[bytes]) -> float:
    """CPU seconds over all items, each with the best of its rounds."""
    return sum(min(spent_s(work, item) for _ in range(ROUNDS)) for item in items)


def spent_s(work: Callable[[bytes], bytes], item: bytes) -> float:
    started = time.process_time()
    work(item)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="compare codecs for the blocks of the archive")
    beside = Checkout.of_this_file().root.parent / "shared"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGERELAY_VECTORS", beside)))
    folder = parser.parse_args().data
    print(heading())
    streams: list[tuple[str, list[bytes]]] = []
    if (folder / RECORDED).exists():
        streams.append(("recorded from the network", list(recorded(folder / RECORDED))))
    else:
        print(f"no recorded frames in {folder}: name the folder that holds vectors/ by --data or EDGERELAY_VECTORS")
    simulated = read_recording(production_recording(EVENTS))
    streams.append(("simulated, production-shaped", list(islice(simulated, EVENTS - SIMULATED_EVENTS, EVENTS))))
    for what, frames in streams:
        for size_bytes in SIZES_BYTES:
            compare(what, [batch.message() for batch in batches(frames, size_bytes)], size_bytes // 1_024)


if __name__ == "__main__":
    main()
