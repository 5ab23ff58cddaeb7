"""Numbers of origins: the same for the same text, never given out twice, and not too many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerelay.runtime.origins import MAX_ORIGIN_CHARS, MAX_ORIGINS, RECENT_ORIGINS, SCHEMA, Origins
from edgerelay.runtime.sql import Sqlite
from tests.crashing import CrashError, CrashingSql

MOST, RECENT = 40, 4


def create_table(sql: Sqlite) -> None:
    for statement in SCHEMA:
        sql.execute(statement)


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    create_table(database)
    yield database
    database.close()


def small(sql: Sqlite | CrashingSql) -> Origins:
    return Origins(sql, max_origins=MOST, recent_origins=RECENT)


def stored(sql: Sqlite) -> dict[int, str]:
    return dict(sql.execute("SELECT number, origin FROM origins"))


class TestNumbers:
    def test_an_origin_has_one_number_and_a_number_one_origin(self, sql: Sqlite) -> None:
        origins = Origins(sql)
        assert [origins.number_of(text) for text in ("https://a.test", "https://b.test", "https://a.test")] == [1, 2, 1]
        assert [origins.origin_of(number) for number in (1, 2, 3)] == ["https://a.test", "https://b.test", None]

    def test_they_stay_after_a_restart(self, tmp_path: Path) -> None:
        first = Sqlite(tmp_path / "db")
        create_table(first)
        Origins(first).number_of("https://a.test")
        first.close()
        second = Sqlite(tmp_path / "db")
        origins = Origins(second)
        assert (origins.number_of("https://b.test"), origins.origin_of(1)) == (2, "https://a.test")
        second.close()

    def test_a_known_one_costs_nothing_and_one_that_is_not_recent_a_read(self, sql: Sqlite) -> None:
        counting = CrashingSql(sql)
        origins = small(counting)
        for number in range(20):
            origins.number_of(f"https://{number}.test")
        rows, reads = sql.rows_written, counting.reads
        assert (origins.number_of("https://19.test"), origins.origin_of(20)) == (20, "https://19.test")
        assert counting.reads == reads
        assert (origins.number_of("https://0.test"), origins.origin_of(1)) == (1, "https://0.test")
        assert (counting.reads, sql.rows_written) == (reads + 1, rows)


class TestBounds:
    def test_more_can_be_stored_than_remembered(self) -> None:
        assert MAX_ORIGINS > 2 * 2 * RECENT_ORIGINS + 1, "or there might be none to let go"

    def test_the_longest_host_name_fits(self) -> None:
        assert len(f"https://{'a' * 253}:65535") == MAX_ORIGIN_CHARS

    def test_there_are_never_too_many_and_no_number_means_two(self, sql: Sqlite) -> None:
        source, origins = random.Random(1), small(sql)
        meant: dict[int, str] = {}
        for step in range(2_000):
            text = f"https://{int(200 * source.random() ** 2)}.test"
            number = origins.number_of(text)
            assert meant.setdefault(number, text) == text
            assert origins.origin_of(number) == text
            assert len(stored(sql)) <= MOST
            old = source.choice(list(meant))
            assert origins.origin_of(old) in (meant[old], None)
            if step % 100 == 0:
                origins = small(sql)
        assert len(stored(sql)) == MOST
        assert max(meant) == max(stored(sql)) > 200

    def test_those_in_use_stay_while_strangers_come_and_go(self, sql: Sqlite) -> None:
        origins = small(sql)
        used = [f"https://big{number}.test" for number in range(3)]
        numbers = [origins.number_of(text) for text in used]
        for stranger in range(1_000):
            origins.number_of(f"https://{stranger}.test")
            # One way is enough: nobody asks both for the number and for the text of each.
            if stranger % 2:
                assert [origins.origin_of(number) for number in numbers] == used
            else:
                assert [origins.number_of(text) for text in used] == numbers

    def test_those_that_are_only_read_stay(self, sql: Sqlite) -> None:
        origins = small(sql)
        number = origins.number_of("https://big.test")
        for stranger in range(1_000):
            origins.number_of(f"https://{stranger}.test")
            assert origins.origin_of(number) == "https://big.test"

    def test_a_crash_at_any_statement_leaves_no_number_for_two(self, sql: Sqlite) -> None:
        source, crashing = random.Random(1), CrashingSql(sql)
        origins = small(crashing)
        meant: dict[int, str] = {}
        for step in range(2_000):
            for number in source.sample(sorted(stored(sql)), min(len(stored(sql)), 3 * RECENT)):
                assert origins.origin_of(number) == meant[number]
            if step % 10:
                origins.number_of(f"https://{step}.test")
            else:
                with crashing.crash_after(source.randrange(8)):
                    origins.number_of(f"https://{step}.test")
                origins = small(crashing)
            for number, origin in stored(sql).items():
                assert meant.setdefault(number, origin) == origin
            assert len(stored(sql)) <= MOST

    def test_the_largest_number_stays_although_it_was_not_used_lately(self, sql: Sqlite) -> None:
        """If it went, and the object was killed before the next one was stored, that one would get it again."""
        crashing = CrashingSql(sql)
        origins = Origins(crashing, max_origins=6, recent_origins=1)
        for number in range(1, 8):
            origins.number_of(f"https://{number}.test")
        for used, new in (((2, 3), 8), ((5, 6), 9)):
            for number in used:
                origins.origin_of(number)
            origins.number_of(f"https://{new}.test")
        assert list(stored(sql)) == [2, 3, 5, 6, 8, 9], "and the hand stands between 6 and 8"
        for number in (8, 2):
            origins.origin_of(number)
        with crashing.crash_after(4):
            origins.number_of("https://10.test")
        assert Origins(sql).number_of("https://10.test") == 10

    def test_a_write_that_fails_changes_nothing(self, sql: Sqlite) -> None:
        crashing = CrashingSql(sql)
        origins = small(crashing)
        crashing.statements_left = 1
        with pytest.raises(CrashError):
            origins.number_of("https://a.test")
        crashing.statements_left = None
        assert stored(sql) == {}
        assert (origins.number_of("https://a.test"), origins.number_of("https://b.test")) == (1, 2)
