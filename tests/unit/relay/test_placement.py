"""Placing a reader: near, where there is room, on a new shard only if need be, and never nowhere while there is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.cursor import Start
from edgerelay.relay.placement import TRIES, Capacity, Place, ShardKind, ShardName, kind_for, places_to_try

NOW_US = 1_795_000_000_000_000
CAPACITY = Capacity(clients=100, deliveries_per_s=1_000, shards_per_region=3, shards=8)
LIVE, REPLAY = ShardKind.LIVE, ShardKind.REPLAY


def place(name: str, clients: int = 10, deliveries_per_s: int = 0) -> Place:
    return Place(ShardName.parse(name), clients, deliveries_per_s)


def tried(*table: Place, kind: ShardKind = LIVE, region: str = "weur", silent: tuple[str, ...] = ()) -> list[str]:
    return [str(name) for name in places_to_try(table, kind, region, CAPACITY, silent)]


class TestName:
    @pytest.mark.parametrize("text", ["live-0", "live-weur-3", "replay-enam-12", "replay-1"])
    def test_it_comes_back(self, text: str) -> None:
        assert str(ShardName.parse(text)) == text

    @pytest.mark.parametrize("text", ["", "live", "live-", "live-oc", "dead-0", "live-OC-0", "live-0-0", "live-99999"])
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a shard's name"):
            ShardName.parse(text)


class TestKind:
    @pytest.mark.parametrize(
        ("cursor", "kind"), [(None, LIVE), (NOW_US, LIVE), (NOW_US - 60, LIVE), (NOW_US - 61, REPLAY), (0, REPLAY)]
    )
    def test_whoever_begins_far_back_reads_elsewhere(self, cursor: int | None, kind: ShardKind) -> None:
        assert kind_for(Start(cursor), NOW_US, 60) is kind


class TestOrder:
    def test_the_first_reader_gets_the_first_shard(self) -> None:
        assert tried() == ["live-weur-0", "live-weur-1", "live-weur-2"]
        assert tried(kind=REPLAY, region="")[0] == "replay-0"

    def test_a_shard_with_room_comes_before_a_new_one(self) -> None:
        assert tried(place("live-weur-1", clients=79)) == ["live-weur-1", "live-weur-0", "live-weur-2"]

    def test_the_one_with_most_room_comes_first(self) -> None:
        assert tried(place("live-weur-0", 50), place("live-weur-1", 20))[:2] == ["live-weur-1", "live-weur-0"]

    def test_load_is_readers_or_deliveries_whichever_is_more(self) -> None:
        assert tried(place("live-weur-0", 1, 500), place("live-weur-1", 20))[:2] == ["live-weur-1", "live-weur-0"]

    def test_a_new_one_comes_before_one_that_seems_full(self) -> None:
        assert tried(place("live-weur-0", 80)) == ["live-weur-1", "live-weur-2", "live-weur-0"]

    def test_what_seems_full_may_have_room_by_now(self) -> None:
        full = [place(f"live-weur-{number}", 100) for number in range(3)]
        assert tried(*full) == ["live-weur-0", "live-weur-1", "live-weur-2"]

    def test_far_away_is_better_than_nowhere(self) -> None:
        full = [place(f"live-weur-{number}", 100) for number in range(3)]
        assert tried(*full, place("live-oc-0"))[-1] == "live-oc-0"

    def test_near_is_better_than_empty(self) -> None:
        assert tried(place("live-oc-0", 1))[0] == "live-weur-0"

    def test_no_more_shards_than_there_may_be(self) -> None:
        others = [place(f"replay-oc-{number}") for number in range(8)]
        assert tried(*others) == []
        assert tried(*others[:-1], place("live-oc-0")) == ["live-oc-0"]

    def test_kinds_do_not_help_each_other_out(self) -> None:
        assert "replay-weur-0" not in tried(place("replay-weur-0", 1))

    def test_whoever_did_not_answer_comes_last(self) -> None:
        assert tried(place("live-weur-0"), silent=("live-weur-0",)) == ["live-weur-1", "live-weur-2", "live-weur-0"]

    def test_tries_are_bounded(self) -> None:
        assert len(tried(*(place(f"live-{region}-0") for region in ("oc", "me", "afr", "sam")))) == TRIES


REGIONS = ["", "weur", "oc"]
NAMES = st.builds(ShardName, st.sampled_from(ShardKind), st.sampled_from(REGIONS), st.integers(0, 3))
TABLES = st.dictionaries(NAMES, st.tuples(st.integers(0, 120), st.integers(0, 1_200)), max_size=10)


@given(TABLES, st.sampled_from(ShardKind), st.sampled_from(REGIONS))
def test_nobody_is_sent_away_while_a_shard_of_the_kind_exists_or_may(
    table: dict[ShardName, tuple[int, int]], kind: ShardKind, region: str
) -> None:
    names = places_to_try([Place(name, *load) for name, load in table.items()], kind, region, CAPACITY)
    assert len(set(names)) == len(names) <= TRIES
    assert all(name.kind is kind for name in names)
    new = [name for name in names if name not in table]
    assert all(name.region == region and name.number < CAPACITY.shards_per_region for name in new)
    assert not new or len(table) < CAPACITY.shards
    if len(table) < CAPACITY.shards or any(name.kind is kind for name in table):
        mine = [name for name in table if name.kind is kind and name.region == region]
        assert names or len(mine) >= CAPACITY.shards_per_region
