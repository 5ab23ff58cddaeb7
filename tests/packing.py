"""Codecs and containers for tests: what exists where they run, and small containers that are always the same.

`python -m tests.packing` writes the golden files again, after a change of the format that is meant.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from edgerelay.archive.batch import Batch, BatchBuilder, PositionFields
from edgerelay.archive.blob_block import BlobBlockWriter
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import Contents, SealedBlock, UpstreamPosition, collections_of, seal
from edgerelay.archive.codec import ZLIB, Codec, ZlibCodec
from edgerelay.archive.container import ContainerOpening, ContainerWriter
from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.atproto.cid import cid_for_raw, cid_to_text

__all__ = [
    "CODECS",
    "GOLDEN",
    "HOUR_US",
    "PLAIN",
    "a_batch",
    "blob_blocks",
    "brotli_codec",
    "container_of",
    "firehose_blocks",
    "golden_containers",
    "jetstream_blocks",
    "open_container",
]

PLAIN = ZlibCodec(quality=0)
"""Leaves bytes as they are, so that all versions of the library write the same."""

CODECS = {ZLIB: PLAIN}

GOLDEN = Path(__file__).parent / "unit" / "archive" / "golden"
"""Where the golden files are."""

HOUR_US = 1_795_442_400_000_000
"""2026-11-23T14:00:00Z"""


@cache
def brotli_codec(quality: int = 5) -> Codec:
    """Brotli by what exists here: inside Pyodide the Worker's own code, else the package."""
    if sys.platform == "emscripten":
        from edgerelay.cloudflare.brotli import BrotliCodec as WorkersCodec

        # Given by tests/pyodide/run_python.mjs in the place of brotli.mjs.
        return WorkersCodec(quality, lambda: importlib.import_module("worker_brotli"))
    from edgerelay_dev.brotli_codec import BrotliCodec

    return BrotliCodec(quality)


def a_batch(
    prev_seq: int, dids: Sequence[str], positions: Sequence[PositionFields] = (), accounts: bytes = b""
) -> Batch:
    """A batch of a commit of each of these accounts, and an `#account` of the last."""
    builder = BatchBuilder(prev_seq)
    for number, did in enumerate(dids, 1):
        path = f"app.bsky.feed.{'like' if number % 2 else 'post'}/{number}"
        builder.add(prev_seq + 10 * number, "#commit", did, (path,), f"frame {prev_seq + 10 * number}".encode())
    builder.add(prev_seq + 10 * len(dids) + 5, "#account", dids[-1], (), b"frame")
    return builder.build(positions, accounts)


def firehose_blocks(codec: Codec = PLAIN) -> list[SealedBlock]:
    """Three blocks; between the second and the third something is missing."""
    return [
        seal_batch(a_batch(HOUR_US, ("did:plc:a", "did:plc:b"), [(1, 0, 7, (), 0, 0)]), codec),
        seal_batch(a_batch(HOUR_US + 25, ("did:plc:b",), [(1, 0, 8, (), 0, 0), (2, 1, 9, (), 0, 0)]), codec),
        seal_batch(a_batch(HOUR_US + 99, ("did:plc:c", "did:plc:a", "did:plc:c")), codec, generation=1),
    ]


def jetstream_blocks(codec: Codec = PLAIN) -> list[SealedBlock]:
    """Two blocks of lines; the second has none, because its events are of a kind that has no line."""
    lines = b'{"did":"did:plc:a","time_us":%d,"kind":"account"}\n' % (HOUR_US + 10)
    first = Contents(
        HOUR_US,
        HOUR_US + 10,
        HOUR_US + 10,
        (0, 0, 0, 1),
        collections_of(()),
        DidFilter.of(["did:plc:a"]),
        (UpstreamPosition(1, 0, 7),),
    )
    second = Contents(HOUR_US + 10, HOUR_US + 20, HOUR_US + 20, (0, 0, 0, 0), (), DidFilter(b""), ())
    return [seal(lines, first, codec), seal(b"", second, codec)]


def blob_blocks(codec: Codec = PLAIN) -> list[SealedBlock]:
    """One block of the references of two events."""
    cid = cid_to_text(cid_for_raw(b"image"))
    references = [
        BlobReference(HOUR_US + 10, "did:plc:a", "app.bsky.feed.post/1", cid, "image/jpeg", 5, "https://host.test"),
        BlobReference(HOUR_US + 20, "did:plc:b", "app.bsky.actor.profile/self", cid, "image/jpeg", None),
    ]
    writer = BlobBlockWriter(codec)
    lines = Contents(HOUR_US, HOUR_US + 10, HOUR_US + 25, (), (), None, ())
    return [*writer.add(lines, references), *writer.finish()]


def container_of(blocks: Iterable[SealedBlock], stream: Stream = Stream.FIREHOSE, generation: int = 0) -> bytes:
    """The bytes of the container of some blocks."""
    writer = ContainerWriter(stream, generation)
    parts = [writer.add(block) for block in blocks]
    return b"".join([*parts, writer.finish()])


def open_container(data: bytes) -> ContainerIndex:
    """The index of a container, as a reader finds it."""
    opening = ContainerOpening(len(data))
    while opening.wanted is not None:
        opening.take(data[opening.wanted.offset : opening.wanted.end])
    return opening.index


def golden_containers() -> dict[str, bytes]:
    """By their names: what the golden files must be."""
    return {
        "firehose.ers": container_of(firehose_blocks(), generation=1),
        "jetstream.ers": container_of(jetstream_blocks(), Stream.JETSTREAM),
        "blobs.ers": container_of(blob_blocks(), Stream.BLOBS),
    }


if __name__ == "__main__":
    for name, data in golden_containers().items():
        (GOLDEN / name).write_bytes(data)
