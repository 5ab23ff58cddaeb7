"""Turns: everybody has one, but who waits for an answer, or rests."""

from __future__ import annotations

from itertools import islice
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.channel import FIREHOSE
from edgerelay.relay.pace import BlindPace
from edgerelay.relay.turns import FIRST_REST_US, LONGEST_REST_US, PACE_US, ReaderBehind, Turns

NOW_US = 1_795_000_000_000_000
HOUR_US = 3_600_000_000

Reader: TypeAlias = ReaderBehind[str]


def turns_of(names: str) -> tuple[Turns[str], list[Reader]]:
    turns = Turns[str]()
    readers = [Reader(name, 1, 0, True, NOW_US, BlindPace(1_000)) for name in names]
    for reader in readers:
        turns.add(reader)
    return turns, readers


def due(turns: Turns[str], now_us: int = NOW_US) -> str:
    return "".join(reader.id for reader in turns.due(now_us))


class TestOrder:
    def test_who_came_first_is_first(self) -> None:
        turns, _ = turns_of("bac")
        assert (due(turns), len(turns)) == ("bac", 3)

    def test_who_is_gone_has_none(self) -> None:
        turns, (_, b, _) = turns_of("abc")
        assert turns.pop("b") is b
        assert turns.pop("b") is None
        assert (due(turns), len(turns), turns.get("b")) == ("ac", 2, None)

    def test_who_waits_for_an_answer_has_none_until_it_comes(self) -> None:
        turns, (a, *_) = turns_of("abc")
        turns.ask(a, FIREHOSE)
        assert (due(turns), a.reading) == ("bc", FIREHOSE)
        turns.answer(a)
        assert (due(turns), a.reading) == ("bca", None)

    def test_who_waits_for_an_answer_is_still_behind(self) -> None:
        turns, (a, b) = turns_of("ab")
        turns.ask(a, FIREHOSE)
        assert (len(turns), list(turns), turns.get("a")) == (2, [a, b], a)

    def test_who_leaves_while_it_waits_is_gone(self) -> None:
        turns, (a, _) = turns_of("ab")
        turns.ask(a, FIREHOSE)
        assert turns.pop("a") is a
        assert (due(turns), len(turns)) == ("b", 1)

    def test_who_was_served_comes_last(self) -> None:
        turns, (a, b, _) = turns_of("abc")
        turns.served(a)
        assert due(turns) == "bca"
        turns.served(b)
        assert due(turns) == "cab"

    def test_who_was_served_and_waits_for_the_next_has_no_turn_by_that(self) -> None:
        turns, (a, _) = turns_of("ab")
        turns.ask(a, FIREHOSE)
        turns.served(a)
        assert due(turns) == "b"

    def test_who_was_served_and_is_gone_stays_away(self) -> None:
        turns, (a, _) = turns_of("ab")
        turns.pop("a")
        turns.served(a)
        assert due(turns) == "b"

    def test_what_is_done_in_a_turn_touches_nobody_elses(self) -> None:
        turns, _ = turns_of("abcd")
        had = ""
        for reader in turns.due(NOW_US):
            had += reader.id
            if reader.id == "a":
                turns.ask(reader, FIREHOSE)
            elif reader.id == "b":
                turns.pop("b")
            else:
                turns.served(reader)
        assert (had, due(turns)) == ("abcd", "cd")


@given(st.integers(1, 8), st.lists(st.integers(1, 8), min_size=1, max_size=20))
def test_nobody_is_served_twice_while_others_wait(count: int, budgets: list[int]) -> None:
    """However soon there is an end to what may be handed over in one go."""
    turns, readers = turns_of("abcdefgh"[:count])
    served = {reader.id: 0 for reader in readers}
    for budget in budgets:
        for reader in islice(turns.due(NOW_US), budget):
            served[reader.id] += 1
            turns.served(reader)
        assert max(served.values()) - min(served.values()) <= 1


class TestRest:
    def test_it_is_twice_as_long_each_time_up_to_the_longest(self) -> None:
        turns, (a,) = turns_of("a")
        now_us, rests = NOW_US, []
        for _ in range(8):
            turns.rest(a, now_us)
            rests.append(a.rest_us)
            assert (due(turns, now_us), due(turns, now_us + a.rest_us - 1)) == ("", "")
            now_us += a.rest_us
            assert due(turns, now_us) == "a"
        assert rests == [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 160_000, 160_000]
        assert (rests[0], rests[-1]) == (FIRST_REST_US, LONGEST_REST_US)

    def test_it_is_short_again_after_there_was_room(self) -> None:
        turns, (a,) = turns_of("a")
        for _ in range(3):
            turns.rest(a, NOW_US)
        a.rest_us = 0
        turns.rest(a, NOW_US)
        assert a.look_us == NOW_US + FIRST_REST_US

    def test_the_others_have_their_turns(self) -> None:
        turns, (_, b, _) = turns_of("abc")
        turns.rest(b, NOW_US)
        assert due(turns) == "ac"
        assert due(turns, NOW_US + FIRST_REST_US) == "abc"

    @pytest.mark.parametrize("rests", [1, 3, 9])
    def test_it_is_over_at_once_if_the_clock_was_set_back(self, rests: int) -> None:
        turns, (a,) = turns_of("a")
        for _ in range(rests):
            turns.rest(a, NOW_US)
        assert due(turns, NOW_US - HOUR_US) == "a"

    @given(st.integers(1, 9), st.integers(-HOUR_US, HOUR_US))
    def test_no_clock_makes_it_longer_than_the_longest(self, rests: int, step_us: int) -> None:
        turns, (a,) = turns_of("a")
        for _ in range(rests):
            turns.rest(a, NOW_US)
        assert due(turns, NOW_US + step_us) or due(turns, NOW_US + step_us + LONGEST_REST_US) == "a"


class TestWait:
    def test_it_is_the_pace_if_nobody_rests(self) -> None:
        turns, _ = turns_of("ab")
        assert due(turns) == "ab"
        assert turns.wait_us(NOW_US) == PACE_US
        assert turns.wait_us(NOW_US + 3_000) == PACE_US - 3_000

    def test_it_is_until_the_first_rest_ends(self) -> None:
        turns, (a, b, _) = turns_of("abc")
        turns.rest(a, NOW_US - 1_000)
        turns.rest(b, NOW_US - 2_000)
        assert due(turns) == "c"
        assert turns.wait_us(NOW_US) == FIRST_REST_US - 2_000

    def test_a_rest_that_began_in_this_round_counts(self) -> None:
        turns, _ = turns_of("a")
        for reader in turns.due(NOW_US):
            turns.rest(reader, NOW_US)
        assert turns.wait_us(NOW_US) == FIRST_REST_US

    def test_long_rests_do_not_slow_down_the_pace(self) -> None:
        turns, (a, _) = turns_of("ab")
        a.rest_us = LONGEST_REST_US
        turns.rest(a, NOW_US)
        assert due(turns) == "b"
        assert turns.wait_us(NOW_US) == PACE_US

    def test_what_is_over_is_not_waited_for(self) -> None:
        turns, (a,) = turns_of("a")
        turns.rest(a, NOW_US)
        assert due(turns) == ""
        assert turns.wait_us(NOW_US + HOUR_US) == 0

    def test_a_clock_that_was_set_back_makes_nobody_wait_for_long(self) -> None:
        turns, _ = turns_of("a")
        assert due(turns) == "a"
        assert turns.wait_us(NOW_US - HOUR_US) == PACE_US


class Twin:
    """The same by lists: who is in turn, who waits for an answer, and until when each rests."""

    def __init__(self, names: str) -> None:
        self.in_turn = list(names)
        self.asked: list[str] = []
        self.rest_us = dict.fromkeys(names, 0)
        self.look_us = dict.fromkeys(names, 0)

    def due(self, now_us: int) -> str:
        return "".join(name for name in self.in_turn if self.look_us[name] <= now_us)


STEPS = st.tuples(st.sampled_from(["ask", "answer", "served", "rest", "room", "left"]), st.integers(0, 4))


@given(st.lists(st.tuples(STEPS, st.integers(0, 2 * FIRST_REST_US)), max_size=30))
def test_it_is_what_lists_would_tell(steps: list[tuple[tuple[str, int], int]]) -> None:
    turns, readers = turns_of("abcde")
    twin, now_us = Twin("abcde"), NOW_US
    for (step, index), wait_us in steps:
        now_us += wait_us
        reader = readers[index]
        name = reader.id
        if step == "ask" and name in twin.in_turn:
            turns.ask(reader, FIREHOSE)
            twin.in_turn.remove(name)
            twin.asked.append(name)
        elif step == "answer" and name in twin.asked:
            turns.answer(reader)
            twin.asked.remove(name)
            twin.in_turn.append(name)
        elif step == "served":
            turns.served(reader)
            if name in twin.in_turn:
                twin.in_turn.remove(name)
                twin.in_turn.append(name)
        elif step == "rest":
            turns.rest(reader, now_us)
            twin.rest_us[name] = min(2 * twin.rest_us[name] or FIRST_REST_US, LONGEST_REST_US)
            twin.look_us[name] = now_us + twin.rest_us[name]
        elif step == "room":
            reader.rest_us = twin.rest_us[name] = 0
        elif step == "left":
            assert (turns.pop(name) is reader) == (name in twin.in_turn + twin.asked)
            twin.in_turn = [each for each in twin.in_turn if each != name]
            twin.asked = [each for each in twin.asked if each != name]
        assert due(turns, now_us) == twin.due(now_us)
        ends_us = [twin.look_us[each] - now_us for each in twin.in_turn if twin.look_us[each] > now_us]
        assert turns.wait_us(now_us) == min([PACE_US, *ends_us])
        assert sorted(each.id for each in turns) == sorted(twin.in_turn + twin.asked)
