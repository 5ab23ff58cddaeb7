"""Rounds: upwards, and then again from below; and who stands within what was read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.rounds import Rounds
from edgerelay.relay.shard_commands import Read


def read(name: str, cursor: int, channel: Channel = FIREHOSE) -> Read:
    return Read(name, cursor, channel)


def names_of(rounds: Rounds) -> str:
    names = ""
    while (each := rounds.next()) is not None:
        names += each.reader
    return names


def test_nobody_waits() -> None:
    assert Rounds().next() is None


def test_it_goes_upwards_and_then_again_from_below() -> None:
    rounds = Rounds()
    for name, cursor in ("c", 30), ("a", 10), ("b", 20):
        rounds.add(read(name, cursor))
    assert rounds.next() == read("a", 10)
    rounds.add(read("d", 5))
    rounds.add(read("e", 25))
    assert names_of(rounds) == "becd"


def test_who_came_first_at_a_place_is_first() -> None:
    rounds = Rounds()
    for name in "abc":
        rounds.add(read(name, 7))
    assert names_of(rounds) == "abc"


def test_who_stays_where_it_is_lets_the_others_pass() -> None:
    rounds = Rounds()
    rounds.add(read("a", 7))
    rounds.add(read("b", 3))
    turns = ""
    for _ in range(4):
        each = rounds.next()
        assert each is not None
        turns += each.reader
        rounds.add(each)
    assert turns == "baba"


def test_who_stands_within_what_was_read_is_taken() -> None:
    rounds, lines = Rounds(), Channel(Wire.LINES)
    for name, cursor in ("a", 9), ("b", 10), ("c", 20), ("d", 21):
        rounds.add(read(name, cursor))
    rounds.add(read("e", 15, lines))
    assert [each.reader for each in rounds.take(10, 20, has_lines=False)] == ["b", "c"]
    assert [each.reader for each in rounds.take(10, 20, has_lines=True)] == ["e"]
    assert names_of(rounds) == "ad"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_everybody_has_a_turn_soon(cursors: list[int], data: st.DataObject) -> None:
    """However those who had theirs come back, and if they stay where they are."""
    rounds, served = Rounds(), set()
    for number, cursor in enumerate(cursors):
        rounds.add(read(str(number), cursor))
    for _ in range(10 * len(cursors)):
        each = rounds.next()
        assert each is not None
        served.add(each.reader)
        rounds.add(each._replace(cursor=data.draw(st.integers(each.cursor, 9))))
    assert len(served) == len(cursors)
