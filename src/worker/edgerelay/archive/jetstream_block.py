"""Blocks of the Jetstream lines: the raw bytes are lines, each with a line feed at its end, ready to send.

They stand beside the blocks of the firehose: a block of lines names the numbers of the same events, whether these have
lines or not. What its counts, collections and DIDs tell is of lines.

What a line is about is told by how it begins, as `jetstream` writes it. The rest may be nested as deep as a record, and
is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from operator import lt
from typing import Any, Final, NamedTuple

from edgerelay.archive.batch import KINDS, Batch, BatchHead
from edgerelay.archive.block import (
    BlockError,
    Codecs,
    Contents,
    SealedBlock,
    UpstreamPosition,
    collections_of,
    seal,
    unseal,
)
from edgerelay.archive.codec import Codec
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.jetstream import Line, Rendering, render

__all__ = ["LINES_BYTES", "LineBlock", "open_lines", "seal_lines"]

LINES_BYTES: Final = 4_000_000
"""Bytes of lines in a block: those of a block of frames are usually a tenth of that. With the lines of one event alone,
which may be more, a block of lines has no more than a block may have."""

_CODES: Final = {kind.removeprefix("#"): code for code, kind in enumerate(KINDS)}

_LINE: Final = re.compile(
    rb'\{"did":"([^"]+)","time_us":([0-9]+),"kind":"(commit|identity|account)"'
    rb'(?:,"commit":\{"rev":"[^"]+","operation":"[a-z]+","collection":"([^"]+)")?'
)


class LineBlock(NamedTuple):
    """A block of lines, unpacked: a batch whose events are the lines, as whoever picks and sends looks at it."""

    head: BatchHead
    """The number of a line is its `time_us`, its path the collection alone, the bytes of its frame are its own. If no
    line reaches the block's last number, a `#sync` of nobody has that number and no bytes."""

    first_seq: int
    """Number of the first event, whether it has lines or not."""

    lines: Sequence[bytes]
    """Without the line feeds; as many as the head has events."""

    size_bytes: int
    frames: Sequence[Any] = ()
    """There are none: this is nothing for who wants them."""


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


def open_lines(block: SealedBlock, codecs: Codecs) -> LineBlock:
    """Unpack a block of lines.

    Raises:
        BlockError: the block is damaged, or holds something else.
    """
    contents = block.facts.contents
    raw = unseal(block, codecs)
    lines = raw.split(b"\n")
    events = [_event(line, contents) for line in lines[:-1]]
    numbers = [contents.prev_seq, *[number for number, *_ in events]]
    if lines[-1] or not all(map(lt, numbers, numbers[1:])):
        raise _not_ours(contents)
    if events and events[-1][0] >= contents.last_seq:
        lines.pop()
    else:
        events.append((contents.last_seq, "#sync", 0, "", ()))
    seqs, kinds, sizes_bytes, dids, paths = zip(*events, strict=True)
    head = BatchHead(contents.prev_seq, seqs, kinds, sizes_bytes, dids, paths, (), b"")
    return LineBlock(head, contents.first_seq, lines, len(raw))


def _event(line: bytes, contents: Contents) -> tuple[int, str, int, str, tuple[str, ...]]:
    """A line's number, kind, bytes, DID and paths."""
    found = _LINE.match(line)
    if found is None:
        raise _not_ours(contents)
    did, time_us, kind, collection = found.groups()
    return int(time_us), f"#{kind.decode()}", len(line), did.decode(), (collection.decode(),) if collection else ()


def _not_ours(contents: Contents) -> BlockError:
    return BlockError(f"block {contents.first_seq} to {contents.last_seq}: lines that are none of ours")
