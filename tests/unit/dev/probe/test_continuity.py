"""A stream that was cut is whole if, and only if, it repeats what came and goes on from there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay_dev.probe.continuity import EXAMPLES, OVERLAP, Continuity


def stream_of(*seqs: int) -> Continuity:
    stream = Continuity()
    for seq in seqs:
        stream.take(seq)
    return stream


def read(stream: Continuity, *seqs: int) -> None:
    stream.reconnect()
    for seq in seqs:
        stream.take(seq)


def test_nothing_was_read_yet() -> None:
    stream = Continuity()
    assert (stream.cursor, stream.last_seq, stream.is_whole) == (None, 0, True)


def test_a_stream_repeats_and_goes_on() -> None:
    stream = stream_of(10, 12, 15)
    assert stream.cursor == 10
    read(stream, 10, 12, 15, 18)
    assert (stream.events, stream.repeats, stream.last_seq, stream.is_whole) == (4, 3, 18, True)


def test_what_is_not_repeated_is_lost() -> None:
    stream = stream_of(10, 12, 15)
    read(stream, 10, 15, 18)
    assert (stream.lost, stream.missed, stream.examples, stream.is_whole) == (1, 0, [12], False)


def test_a_stream_that_goes_on_too_late_loses_the_end() -> None:
    stream = stream_of(10, 12, 15)
    read(stream, 18)
    assert (stream.lost, stream.events) == (3, 4)


def test_what_comes_only_when_read_again_was_missed() -> None:
    stream = stream_of(10, 15)
    read(stream, 10, 12, 15)
    assert (stream.lost, stream.missed, stream.examples) == (0, 1, [12])


def test_a_repeat_without_a_cut_is_disorder() -> None:
    stream = stream_of(10, 12, 12, 11)
    assert (stream.disordered, stream.events, stream.is_whole) == (2, 2, False)


def test_a_cut_while_repeating_begins_again() -> None:
    stream = stream_of(10, 12, 15)
    read(stream, 10)
    assert stream.awaits_repeats
    read(stream, 10, 12, 15)
    assert stream.is_whole
    assert not stream.awaits_repeats


def test_what_is_remembered_is_bounded() -> None:
    stream = stream_of(*range(1, 3 * OVERLAP))
    assert stream.cursor == 2 * OVERLAP
    read(stream, 4 * OVERLAP)
    assert (stream.lost, len(stream.examples)) == (OVERLAP, EXAMPLES)


def test_a_second_connection_is_judged_by_the_first_and_counted_with_others() -> None:
    stream, checks = stream_of(10, 12, 15), Continuity()
    second = stream.second()
    for seq in (10, 15, 16):
        second.take(seq)
    checks.absorb(second)
    assert (checks.lost, checks.repeats, checks.examples) == (1, 2, [12])
    assert (stream.events, stream.is_whole) == (3, True)


@given(st.lists(st.integers(1, 10**16), unique=True).map(sorted), st.data())
def test_an_inclusive_stream_is_whole_wherever_it_is_cut(seqs: list[int], data: st.DataObject) -> None:
    """Against the obvious relay: everything from the cursor on."""
    stream = Continuity()
    while stream.last_seq != (seqs[-1] if seqs else 0):
        stream.reconnect()
        rest = [seq for seq in seqs if stream.cursor is None or seq >= stream.cursor]
        for seq in rest[: data.draw(st.integers(1, len(rest)))]:
            stream.take(seq)
    assert stream.is_whole
    assert stream.events == len(seqs)
