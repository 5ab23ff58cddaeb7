"""The small tables: hosts, positions and shards, as they come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.position import PositionRow
from edgerelay.runtime.registry import ArchiveMark, Registry
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite

SEQS = st.integers(min_value=0, max_value=MAX_SEQ)


def opened(path: Path | str = ":memory:") -> Sqlite:
    sql = Sqlite(path)
    migrate(sql)
    return sql


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    made = opened()
    yield made
    made.close()


@pytest.fixture
def registry(sql: Sqlite) -> Registry:
    return Registry(sql)


class TestHosts:
    def test_a_host_keeps_the_number_that_it_was_given_first(self, registry: Registry) -> None:
        urls = ["wss://a.test", "wss://b.test", "wss://a.test", "wss://c.test", "wss://b.test"]
        assert [registry.host_id(url) for url in urls] == [1, 2, 1, 3, 2]

    def test_numbers_outlive_the_process_and_are_given_to_nobody_else(self, tmp_path: Path) -> None:
        for numbers in ([1, 2], [1, 2, 3], [1, 2, 3, 4]):
            sql = opened(tmp_path / "state")
            registry = Registry(sql)
            assert [registry.host_id(f"wss://{number}.test") for number in numbers] == numbers
            sql.close()

    @pytest.mark.parametrize("url", ["wss://A.test", "wss://a.test:8443", "ws://a.test", "wss://a.test' OR 1=1 --"])
    def test_another_url_is_another_host(self, registry: Registry, url: str) -> None:
        assert [registry.host_id("wss://a.test"), registry.host_id(url)] == [1, 2]

    def test_a_known_host_costs_no_write(self, registry: Registry, sql: Sqlite) -> None:
        registry.host_id("wss://a.test")
        before = sql.rows_written
        registry.host_id("wss://a.test")
        assert sql.rows_written == before


class TestPositions:
    def test_there_are_none_at_first(self, registry: Registry) -> None:
        assert registry.positions() == {}

    @pytest.mark.parametrize(
        "row",
        [
            PositionRow(1, 0, 0, (), 0, 0),
            PositionRow(7, 3, 100, ((102, 104), (106, 106)), 1_795_000_000_000_000, 1_795_000_000_000_001),
            PositionRow(2, 1, MAX_SEQ - 2, ((MAX_SEQ, MAX_SEQ),), MAX_SEQ, MAX_SEQ),
        ],
    )
    def test_a_position_comes_back_as_it_was(self, registry: Registry, row: PositionRow) -> None:
        registry.save_positions([row])
        (found,) = registry.positions().values()
        assert found == row
        assert isinstance(found, PositionRow)
        assert all(type(each) is tuple for each in (found.done, *found.done))

    def test_a_later_one_replaces_only_its_own_host(self, registry: Registry) -> None:
        first, other = PositionRow(1, 0, 5, ((7, 8),), 10, 11), PositionRow(2, 4, 50, (), 20, 0)
        registry.save_positions([other, first])
        later = PositionRow(1, 1, 0, (), 12, 13)
        registry.save_positions([later])
        assert registry.positions() == {1: later, 2: other}

    def test_a_second_registry_reads_what_the_first_one_stored(self, registry: Registry, sql: Sqlite) -> None:
        rows = [PositionRow(host_id, 0, host_id, (), 0, 0) for host_id in (3, 1, 2)]
        registry.save_positions(iter(rows))
        assert list(Registry(sql).positions().values()) == sorted(rows)

    def test_each_position_is_one_row(self, registry: Registry, sql: Sqlite) -> None:
        before = sql.rows_written
        registry.save_positions([PositionRow(host_id, 0, 0, ((2, 3),), 0, 0) for host_id in (1, 2)])
        registry.save_positions([])
        assert sql.rows_written - before == 2

    @given(
        st.lists(
            st.builds(PositionRow, SEQS, SEQS, SEQS, st.lists(st.tuples(SEQS, SEQS)).map(tuple), SEQS, SEQS),
            unique_by=lambda row: row.host_id,
            max_size=5,
        )
    )
    def test_any_positions_come_back(self, rows: list[PositionRow]) -> None:
        sql = opened()
        Registry(sql).save_positions(rows)
        assert Registry(sql).positions() == {row.host_id: row for row in rows}
        sql.close()


class TestShards:
    def test_a_shard_is_remembered_until_it_is_forgotten(self, registry: Registry) -> None:
        registry.remember_shard("live-1", "weur")
        registry.remember_shard("live-0", "enam")
        assert registry.shards() == [("live-0", "enam"), ("live-1", "weur")]
        registry.forget_shard("live-0")
        assert registry.shards() == [("live-1", "weur")]

    def test_a_shard_that_moved_is_one_shard(self, registry: Registry) -> None:
        registry.remember_shard("live-0", "enam")
        registry.remember_shard("live-0", "apac")
        assert registry.shards() == [("live-0", "apac")]

    def test_forgetting_one_that_is_not_there_is_nothing(self, registry: Registry) -> None:
        registry.remember_shard("live-0", "enam")
        registry.forget_shard("live")
        assert registry.shards() == [("live-0", "enam")]


def test_how_far_the_archive_has_come_is_remembered(registry: Registry) -> None:
    assert registry.archive_mark() == ArchiveMark(0, 0)
    for mark in (ArchiveMark(0, 9), ArchiveMark(9, 0)):
        registry.save_archive_mark(mark)
        assert registry.archive_mark() == mark
