"""The byte budget: replay stops first, then the largest debtor goes, and at last the object that cannot let go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.budget import KNOWN_US, LAST_RESORT_SHARE, LAST_RESORT_US, PATIENCE_US, ByteBudget, Debts

NOW_US = 1_795_000_000_000_000
LATER_US = NOW_US + PATIENCE_US
LAST_US = NOW_US + LAST_RESORT_US
LIMIT = 1_000


def budget(**shards: Debts) -> ByteBudget:
    filled = ByteBudget(LIMIT)
    for name, debts in shards.items():
        filled.report(name, debts, NOW_US)
    return filled


class TestReplay:
    def test_it_stops_at_once(self) -> None:
        assert budget(a=Debts({"x": 700}, history=300)).allows_replay
        assert not budget(a=Debts({"x": 700}, history=301)).allows_replay

    def test_what_is_closing_does_not_stop_it(self) -> None:
        assert budget(a=Debts({"x": 700}, closing=500)).allows_replay


class TestOverdrawn:
    def test_within_the_budget_nobody_is(self) -> None:
        assert budget(a=Debts({"x": 900}, history=100)).overdrawn("a", LATER_US) is None

    def test_beyond_it_there_is_some_patience(self) -> None:
        over = budget(a=Debts({"x": 1_001}))
        assert (over.overdrawn("a", LATER_US - 1), over.overdrawn("a", LATER_US)) == (None, "x")

    def test_patience_begins_anew_after_it_was_well(self) -> None:
        over = budget(a=Debts({"x": 1_001}))
        over.report("a", Debts({"x": 1_000}), NOW_US + 1)
        over.report("a", Debts({"x": 1_001}), NOW_US + 2)
        assert over.overdrawn("a", LATER_US) is None

    def test_far_beyond_it_there_is_none(self) -> None:
        assert budget(a=Debts({"x": 1_251})).overdrawn("a", NOW_US) == "x"

    def test_the_largest_of_all_shards_is(self) -> None:
        over = budget(a=Debts({"x": 300, "y": 100}), b=Debts({"z": 500}, history=200))
        assert (over.overdrawn("a", LATER_US), over.overdrawn("b", LATER_US)) == (None, "z")

    def test_history_alone_closes_nobody(self) -> None:
        assert budget(a=Debts({}, history=2_000)).overdrawn("a", LATER_US) is None

    def test_one_that_was_closed_does_not_take_the_next_with_it(self) -> None:
        over = budget(a=Debts({"x": 600, "y": 500}))
        assert over.overdrawn("a", LATER_US) == "x"
        over.report("a", Debts({"y": 500}, closing=600), LATER_US)
        assert over.overdrawn("a", LATER_US) is None


class TestLastResort:
    def test_a_shard_ends_whose_closed_sockets_hold_most(self) -> None:
        over = budget(a=Debts({"x": 500}, closing=700), b=Debts({}, closing=301))
        assert [over.must_end(name, LAST_US) for name in "abc"] == [True, False, False]

    def test_peers_have_some_time_to_go(self) -> None:
        assert not budget(a=Debts({"x": 500}, closing=1_001)).must_end("a", LAST_US - 1)

    def test_up_to_there_it_is_waited_for(self) -> None:
        assert not budget(a=Debts({"x": 500}, closing=1_000)).must_end("a", LAST_US)

    def test_nothing_ends_that_has_nothing_to_let_go(self) -> None:
        assert not budget(a=Debts({"x": 5_000})).must_end("a", LAST_US)


class TestReports:
    def test_the_latest_counts(self) -> None:
        filled = budget(a=Debts({"x": 900}))
        filled.report("a", Debts({"x": 5}), NOW_US)
        assert filled.kept_bytes == 5

    def test_one_that_is_old_is_of_an_object_that_is_asleep_or_gone(self) -> None:
        filled = budget(a=Debts({"x": 900}))
        filled.report("b", Debts({"y": 100}), NOW_US + KNOWN_US)
        assert filled.kept_bytes == 1_000
        filled.report("b", Debts({"y": 100}), NOW_US + KNOWN_US + 1)
        assert filled.kept_bytes == 100

    def test_a_clock_that_was_set_back_forgets_the_others(self) -> None:
        filled = budget(a=Debts({"x": 900}))
        filled.report("b", Debts({"y": 100}), NOW_US - 1)
        assert filled.kept_bytes == 100


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), max_size=12))
def test_closing_whoever_is_overdrawn_ends_within_the_budget(readers: list[tuple[str, int]]) -> None:
    shards: dict[str, dict[str, int]] = {"a": {}, "b": {}, "c": {}}
    for number, (shard, size) in enumerate(readers):
        shards[shard][f"{number}"] = size
    closing = dict.fromkeys(shards, 0)
    filled = budget(**{name: Debts(debts) for name, debts in shards.items()})
    for _ in readers:
        for name, debts in shards.items():
            reader = filled.overdrawn(name, LATER_US)
            if reader is not None:
                assert debts[reader] == max(size for each in shards.values() for size in each.values())
                closing[name] += debts.pop(reader)
                filled.report(name, Debts(dict(debts), closing[name]), NOW_US)
    assert filled.kept_bytes <= LIMIT
    held = filled.kept_bytes + sum(closing.values())
    assert [name for name in shards if filled.must_end(name, LAST_US)] or held <= LIMIT * LAST_RESORT_SHARE
