"""Blocks of lines stand for the same events as blocks of frames, and tell of lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.archive.block import SealedBlock, UpstreamPosition, unseal
from edgerelay.archive.container_index import Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.jetstream import Line, LineKind, RenderError, Rendering
from edgerelay.archive.jetstream_block import LINES_BYTES, seal_lines
from tests.packing import CODECS, HOUR_US, PLAIN, container_of, open_container

POSITIONS = (UpstreamPosition(1, 0, 7),)


def batch_of(*frames: bytes) -> Batch:
    builder = BatchBuilder(HOUR_US)
    for number, frame in enumerate(frames, 1):
        builder.add(HOUR_US + 10 * number, "#commit", "did:plc:a", ("a.b.c/1",), frame)
    return builder.build([], b"")


def echo(frame: bytes) -> Rendering:
    """The frame as a line; none for an empty one."""
    return Rendering((Line(1, LineKind.COMMIT, f"did:plc:{len(frame)}", "a.b.c", frame),) if frame else ())


def sealed(batch: Batch, render: Callable[[bytes], Rendering] = echo) -> list[SealedBlock]:
    return list(seal_lines(batch, POSITIONS, PLAIN, 4, render))


def test_the_lines_of_all_events_one_behind_the_other() -> None:
    (block,) = sealed(batch_of(b"one", b"", b"four"))
    contents = block.facts.contents
    assert unseal(block, CODECS) == b"one\nfour\n"
    assert (contents.prev_seq, contents.first_seq, contents.last_seq) == (HOUR_US, HOUR_US + 10, HOUR_US + 30)
    assert (contents.counts, contents.collections, contents.positions) == ((2, 0, 0, 0), ("a.b.c",), POSITIONS)
    assert contents.did_filter == DidFilter.of(["did:plc:3", "did:plc:4"])
    assert block.facts.generation == 4


def test_kinds_are_counted_by_the_codes_of_their_frames() -> None:
    def render(frame: bytes) -> Rendering:
        return Rendering((Line(1, LineKind(frame.decode()), "did:plc:a", "", frame),))

    (block,) = sealed(batch_of(b"identity", b"account", b"account"), render)
    assert block.facts.contents.counts == (0, 0, 1, 2)
    assert block.facts.contents.collections == ()


def test_without_lines_there_is_a_block_all_the_same() -> None:
    (block,) = sealed(batch_of(b"", b""))
    assert unseal(block, CODECS) == b""
    assert block.facts.contents.last_seq == HOUR_US + 20


def test_too_many_lines_become_more_blocks_that_follow_each_other() -> None:
    half = b"x" * (LINES_BYTES // 2 - 1)
    blocks = sealed(batch_of(b"", half, half, half, 3 * half))
    ends = [(block.facts.contents.prev_seq, block.facts.contents.last_seq) for block in blocks]
    assert ends == [(HOUR_US, HOUR_US + 30), (HOUR_US + 30, HOUR_US + 40), (HOUR_US + 40, HOUR_US + 50)]
    assert [block.facts.contents.positions for block in blocks] == [(), (), POSITIONS]
    assert b"".join(unseal(block, CODECS) for block in blocks) == (half + b"\n") * 3 + 3 * half + b"\n"
    index = open_container(container_of(blocks, Stream.JETSTREAM))
    assert (index.prev_seq, index.last_seq) == (HOUR_US, HOUR_US + 50)


def test_a_damaged_frame_is_said() -> None:
    with pytest.raises(RenderError):
        list(seal_lines(batch_of(b"no frame"), (), PLAIN))
