"""Blocks of lines stand for the same events as blocks of frames, and tell of lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.archive.block import BlockError, SealedBlock, UpstreamPosition, seal, unseal
from edgerelay.archive.container_index import Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.jetstream import Line, LineKind, RenderError, Rendering
from edgerelay.archive.jetstream_block import LINES_BYTES, open_lines, seal_lines
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


def wide(frame: bytes) -> Rendering:
    """Two lines of a commit, of an account, or none."""
    seq, kind = frame.split()
    match kind:
        case b"commit":
            return Rendering(tuple([line(int(seq) + index, f"a.b.c{index}") for index in range(2)]))
        case b"account":
            return Rendering((line(int(seq)),))
    return Rendering()


def line(number: int, collection: str = "") -> Line:
    kind, did = LineKind.COMMIT if collection else LineKind.ACCOUNT, f"did:plc:{number}"
    about = (
        f',"commit":{{"rev":"3a","operation":"create","collection":"{collection}","rkey":"é"}}' if collection else ""
    )
    json = f'{{"did":"{did}","time_us":{number},"kind":"{kind}"{about}}}'
    return Line(number, kind, did, collection, json.encode())


def frames_of(*kinds: bytes) -> Batch:
    return batch_of(*[b"%d %b" % (HOUR_US + 10 * number, kind) for number, kind in enumerate(kinds, 1)])


class TestOpening:
    def test_each_line_is_an_event_with_what_filters_ask(self) -> None:
        (block,) = sealed(frames_of(b"sync", b"account", b"commit"), wide)
        opened = open_lines(block, CODECS)
        numbers = HOUR_US + 20, HOUR_US + 30, HOUR_US + 31
        assert (opened.head.prev_seq, opened.head.seqs, opened.first_seq) == (HOUR_US, numbers, HOUR_US + 10)
        assert opened.head.kinds == ("#account", "#commit", "#commit")
        assert opened.head.dids == tuple([f"did:plc:{number}" for number in numbers])
        assert opened.head.paths == ((), ("a.b.c0",), ("a.b.c1",))
        assert opened.head.frame_bytes == tuple(map(len, opened.lines))
        assert b"".join([each + b"\n" for each in opened.lines]) == unseal(block, CODECS)

    @pytest.mark.parametrize("kinds", [(b"account", b"sync"), (b"sync",)])
    def test_the_last_number_is_there_with_or_without_a_line(self, kinds: tuple[bytes, ...]) -> None:
        (block,) = sealed(frames_of(*kinds), wide)
        opened = open_lines(block, CODECS)
        assert opened.head.last_seq == HOUR_US + 10 * len(kinds)
        assert (opened.head.kinds[-1], opened.head.frame_bytes[-1], opened.lines[-1]) == ("#sync", 0, b"")
        assert len(opened.lines) == len(opened.head.seqs) == len(kinds)

    @pytest.mark.parametrize(
        "raw",
        [b"{}\n", line(HOUR_US + 10).json, 2 * (line(HOUR_US + 10).json + b"\n"), line(HOUR_US).json + b"\n"],
    )
    def test_what_is_none_of_ours_is_named(self, raw: bytes) -> None:
        (block,) = sealed(frames_of(b"account"), wide)
        with pytest.raises(BlockError, match="none of ours"):
            open_lines(seal(raw, block.facts.contents, PLAIN), CODECS)
