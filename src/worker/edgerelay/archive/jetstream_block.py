"""Blocks of the Jetstream lines: the raw bytes are lines, each with a line feed at its end, ready to send.

They stand beside the blocks of the firehose: a block of lines names the numbers of the same events, whether these have
lines or not. What its counts, collections and DIDs tell is of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from edgerelay.archive.batch import KINDS, Batch
from edgerelay.archive.block import Contents, SealedBlock, UpstreamPosition, collections_of, seal
from edgerelay.archive.codec import Codec
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.jetstream import Line, Rendering, render

__all__ = ["LINES_BYTES", "seal_lines"]

LINES_BYTES: Final = 4_000_000
"""Bytes of lines in a block: those of a block of frames are usually a tenth of that. With the lines of one event alone,
which may be more, a block of lines has no more than a block may have."""

_CODES: Final = {kind.removeprefix("#"): code for code, kind in enumerate(KINDS)}


def seal_lines(
    batch: Batch,
    positions: tuple[UpstreamPosition, ...],
    codec: Codec,
    generation: int = 0,
    render_frame: Callable[[bytes], Rendering] = render,
) -> Iterator[SealedBlock]:
    """Render the events of a block of the firehose and pack their lines, as one block unless there are too many.

    Args:
        positions: where the upstreams stand after the last event.

    Raises:
        RenderError: a frame is damaged.
    """
    prev_seq = last_seq = batch.head.prev_seq
    first_seq = batch.head.first_seq
    lines: list[Line] = []
    size_bytes = 0
    for seq, frame in batch.split():
        more = render_frame(frame).lines
        more_bytes = sum([len(line.json) + 1 for line in more])
        if size_bytes + more_bytes > LINES_BYTES and last_seq > prev_seq:
            yield _seal(lines, (prev_seq, first_seq, last_seq), (), codec, generation)
            prev_seq, first_seq, lines, size_bytes = last_seq, seq, [], 0
        lines += more
        size_bytes += more_bytes
        last_seq = seq
    yield _seal(lines, (prev_seq, first_seq, last_seq), positions, codec, generation)


def _seal(
    lines: list[Line],
    numbers: tuple[int, int, int],
    positions: tuple[UpstreamPosition, ...],
    codec: Codec,
    generation: int,
) -> SealedBlock:
    counts = [0] * len(KINDS)
    for line in lines:
        counts[_CODES[line.kind]] += 1
    contents = Contents(
        *numbers,
        tuple(counts),
        collections_of(line.collection for line in lines if line.collection),
        DidFilter.of(line.did for line in lines),
        positions,
    )
    return seal(b"".join([line.json + b"\n" for line in lines]), contents, codec, generation)
