"""The hot log: what was appended is there until it may be forgotten, through any number of openings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgerelay.archive.batch import Batch, BatchBuilder, BatchError
from edgerelay.runtime.hot_log import ROW_BYTES, HotLog, LogPolicy
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import MAX_ROW_BYTES, SqlError, Sqlite

NOW_US = 1_795_000_000_000_000
NEVER = LogPolicy(stop_bytes=10**9, keep_us=0)
ALL = 2**53
"""The archive has everything, whatever comes."""


def batch(prev_seq: int, *seqs: int, size_bytes: int = 10, accounts: bytes = b"") -> Batch:
    builder = BatchBuilder(prev_seq)
    for seq in seqs:
        builder.add(seq, "#sync", "d", (), seq.to_bytes(8, "big") * (size_bytes // 8 + 1))
    return builder.build([], accounts)


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    migrate(database)
    yield database
    database.close()


def fill(log: HotLog, *batches: Batch, now_us: int = NOW_US, checkpoint_seq: int = 0) -> None:
    for each in batches:
        log.append(each, now_us, checkpoint_seq)


def slots(sql: Sqlite) -> list[tuple[int, int]]:
    return [(slot, last_seq) for slot, last_seq in sql.execute("SELECT slot, last_seq FROM log ORDER BY slot")]


FIRST, SECOND, THIRD, FOURTH = batch(5, 10, 12), batch(12, 20), batch(20, 30), batch(30, 40)


class TestRead:
    def test_an_empty_log_holds_nothing(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        assert (len(log), log.last_seq, log.oldest_seq, log.missing_up_to, log.size_bytes) == (0, 0, 0, 0, 0)
        assert (log.read(1), list(log.heads_after(0)), log.is_full(NOW_US, 0)) == (None, [], False)

    @pytest.mark.parametrize("is_reopened", [False, True])
    def test_the_batch_that_holds_the_cursor_or_the_first_event_behind_it(self, sql: Sqlite, is_reopened: bool) -> None:
        log = HotLog(sql, NEVER, ALL)
        fill(log, FIRST, SECOND, THIRD)
        if is_reopened:
            log = HotLog(sql, NEVER, ALL)
        expected = {0: FIRST, 5: FIRST, 10: FIRST, 12: FIRST, 13: SECOND, 20: SECOND, 21: THIRD, 30: THIRD, 31: None}
        assert {cursor: log.read(cursor) for cursor in expected} == expected
        assert (log.oldest_seq, log.last_seq, log.missing_up_to, len(log)) == (10, 30, 5, 3)
        assert log.size_bytes == sum(each.size_bytes for each in (FIRST, SECOND, THIRD))

    def test_heads_are_read_without_frames(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        fill(log, FIRST, SECOND, THIRD)
        expected = {0: [FIRST, SECOND, THIRD], 11: [FIRST, SECOND, THIRD], 12: [SECOND, THIRD], 29: [THIRD], 30: []}
        assert {seq: list(log.heads_after(seq)) for seq in expected} == {
            seq: [each.head for each in batches] for seq, batches in expected.items()
        }

    def test_a_batch_must_follow_the_last_one(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        fill(log, FIRST)
        for wrong in (THIRD, batch(11, 40), FIRST):
            with pytest.raises(BatchError, match="does not follow 12"):
                fill(log, wrong)


class TestReplace:
    @pytest.mark.parametrize("size_bytes", [10, 5_000_000])
    def test_a_batch_may_be_written_anew_with_fewer_bytes(self, sql: Sqlite, size_bytes: int) -> None:
        log = HotLog(sql, NEVER, 12)
        small = batch(12, 20, size_bytes=1)
        fill(log, FIRST, batch(12, 20, size_bytes=size_bytes), THIRD)
        log.replace(small)
        for opened in (log, HotLog(sql, NEVER, 12)):
            found = [opened.read(seq) for seq in (10, 20, 30)]
            assert found == [FIRST, small, THIRD]
            assert opened.size_bytes == sum(each.size_bytes for each in (FIRST, small, THIRD))
            assert opened.unarchived_bytes == small.size_bytes + THIRD.size_bytes
        assert len(slots(sql)) == 3
        fill(log, FOURTH, batch(40, 50))
        assert len({slot for slot, _ in slots(sql)}) == 5
        assert HotLog(sql, NEVER, 12).last_seq == 50


class TestParts:
    @pytest.mark.parametrize("size_bytes", [ROW_BYTES - 100, ROW_BYTES, 2 * ROW_BYTES, 5_000_000])
    def test_an_event_larger_than_a_row_takes_a_few(self, sql: Sqlite, size_bytes: int) -> None:
        log = HotLog(sql, NEVER, ALL)
        large = batch(12, 20, size_bytes=size_bytes)
        fill(log, FIRST, large, THIRD)
        for opened in (log, HotLog(sql, NEVER, ALL)):
            found = opened.read(20)
            is_equal = found == large
            assert is_equal
            assert next(opened.heads_after(12)) == large.head
            assert opened.size_bytes == FIRST.size_bytes + large.size_bytes + THIRD.size_bytes
        rows = sql.execute("SELECT length(head) + length(frames) FROM log")
        assert len(rows) == 2 + -(-large.size_bytes // ROW_BYTES)
        assert max(size for (size,) in rows) <= ROW_BYTES < MAX_ROW_BYTES

    def test_one_batch_is_one_row_written(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        before = sql.rows_written
        fill(log, FIRST, SECOND)
        assert sql.rows_written - before == 2

    def test_all_parts_or_none_are_written(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        fill(log, FIRST)
        sql.execute("CREATE TRIGGER full BEFORE INSERT ON log WHEN new.part = 2 BEGIN SELECT RAISE(FAIL, 'full'); END")
        with pytest.raises(SqlError, match="full"):
            fill(log, batch(12, 20, size_bytes=5_000_000))
        opened = HotLog(sql, NEVER, ALL)
        assert (len(opened), opened.last_seq) == (1, 12)

    def test_a_torn_newest_batch_is_refused(self, sql: Sqlite) -> None:
        fill(HotLog(sql, NEVER, ALL), FIRST, batch(12, 20, size_bytes=5_000_000))
        sql.execute("DELETE FROM log WHERE part = 1")
        with pytest.raises(BatchError, match=r"the newest batch in the hot log, at 20, lacks a part"):
            HotLog(sql, NEVER, ALL)

    def test_a_head_that_fits_in_no_row_is_refused_before_anything_is_written(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, ALL)
        with pytest.raises(BatchError, match="does not fit in a row"):
            fill(log, batch(0, 1, accounts=bytes(ROW_BYTES)))
        assert sql.execute("SELECT count(*) FROM log") == [(0,)]


class TestForget:
    SMALL = LogPolicy(stop_bytes=FIRST.size_bytes + SECOND.size_bytes + THIRD.size_bytes, keep_us=1_000)

    def test_nothing_is_forgotten_below_the_size(self, sql: Sqlite) -> None:
        log = HotLog(sql, self.SMALL, ALL)
        fill(log, FIRST, SECOND, THIRD, checkpoint_seq=30)
        assert (len(log), log.is_full(NOW_US, 0), log.is_full(NOW_US, 10)) == (3, True, True)
        assert not log.is_full(NOW_US, 12)

    def test_a_slot_is_used_again(self, sql: Sqlite) -> None:
        log = HotLog(sql, self.SMALL, ALL)
        fill(log, FIRST, SECOND, THIRD, FOURTH, checkpoint_seq=30)
        assert slots(sql) == [(0, 40), (1, 20), (2, 30)]
        for opened in (log, HotLog(sql, self.SMALL, ALL)):
            assert (opened.missing_up_to, opened.oldest_seq, opened.read(0), len(opened)) == (12, 20, SECOND, 3)

    @pytest.mark.parametrize(
        ("now_us", "checkpoint_seq"), [(NOW_US, 11), (12 + 999, 30), (NOW_US, 0)], ids=["uncovered", "young", "never"]
    )
    def test_what_is_young_or_not_covered_is_kept_beyond_the_size(
        self, sql: Sqlite, now_us: int, checkpoint_seq: int
    ) -> None:
        log = HotLog(sql, self.SMALL, ALL)
        fill(log, FIRST, SECOND, THIRD)
        assert log.is_full(now_us, checkpoint_seq)
        fill(log, FOURTH, now_us=now_us, checkpoint_seq=checkpoint_seq)
        assert (len(log), log.missing_up_to) == (4, 5)
        assert not log.is_full(12 + 1_000, 12)

    def test_the_newest_batch_is_never_forgotten(self, sql: Sqlite) -> None:
        log = HotLog(sql, LogPolicy(stop_bytes=1, keep_us=0), ALL)
        fill(log, FIRST, checkpoint_seq=12)
        assert log.is_full(NOW_US, 12)
        fill(log, SECOND, checkpoint_seq=12)
        assert (log.last_seq, HotLog(sql, NEVER, ALL).last_seq) == (20, 20)

    def test_a_large_batch_makes_room_for_itself(self, sql: Sqlite) -> None:
        log = HotLog(sql, self.SMALL._replace(stop_bytes=2_900_000), ALL)
        fill(log, FIRST, SECOND, THIRD, batch(30, 40, size_bytes=2_900_000), checkpoint_seq=30)
        for opened in (log, HotLog(sql, NEVER, ALL)):
            assert (opened.missing_up_to, opened.oldest_seq, opened.last_seq, len(opened)) == (20, 30, 40, 2)
        assert len(slots(sql)) == 3

    def test_what_is_forgotten_and_not_overwritten_yet_stays_forgotten(self, sql: Sqlite) -> None:
        """Its row is still there, but its neighbour's slot was used again: a hole that an opening sees."""
        log, large = HotLog(sql, self.SMALL, ALL), batch(30, 40, size_bytes=2 * SECOND.size_bytes)
        fill(log, FIRST, SECOND, THIRD, large, checkpoint_seq=30)
        assert [last_seq for _, last_seq in slots(sql)] == [12, 40, 30]
        opened = HotLog(sql, self.SMALL, ALL)
        for each in (log, opened):
            assert (each.missing_up_to, each.read(0), each.read(31), len(each)) == (20, THIRD, large, 2)
            assert each.size_bytes == THIRD.size_bytes + large.size_bytes
        fill(opened, batch(40, 50))
        assert [last_seq for _, last_seq in slots(sql)] == [50, 40, 30]

    def test_what_rows_still_hold_of_it_can_be_wiped(self, sql: Sqlite) -> None:
        log, large = HotLog(sql, self.SMALL, ALL), batch(30, 40, size_bytes=2 * SECOND.size_bytes)
        fill(log, FIRST, SECOND, THIRD, large, checkpoint_seq=30)
        log.wipe()
        assert [last_seq for _, last_seq in slots(sql)] == [40, 30]
        for opened in (HotLog(sql, self.SMALL, ALL), log):
            assert (opened.missing_up_to, opened.read(0), opened.read(31), len(opened)) == (20, THIRD, large, 2)
        fill(log, batch(40, 50))
        assert [last_seq for _, last_seq in slots(sql)] == [50, 40, 30]

    def test_it_is_forgotten_only_when_something_else_is_there(self, sql: Sqlite) -> None:
        """A write that fails leaves the rows; whoever opens the log then finds what was there before."""
        log = HotLog(sql, self.SMALL, ALL)
        fill(log, FIRST, SECOND, THIRD)
        sql.execute("CREATE TRIGGER full BEFORE UPDATE ON log BEGIN SELECT RAISE(FAIL, 'full'); END")
        with pytest.raises(SqlError, match="full"):
            fill(log, FOURTH, checkpoint_seq=30)
        opened = HotLog(sql, self.SMALL, ALL)
        assert (len(opened), opened.missing_up_to, opened.last_seq) == (3, 5, 30)


class TestArchive:
    POLICY = LogPolicy(stop_bytes=1, keep_us=0)

    def test_what_is_not_archived_is_not_forgotten(self, sql: Sqlite) -> None:
        log = HotLog(sql, self.POLICY, 0)
        fill(log, FIRST, SECOND, THIRD, checkpoint_seq=30)
        log.archived(11)
        assert log.is_full(NOW_US, 30), "half of a batch is not enough"
        fill(log, FOURTH, checkpoint_seq=30)
        assert (len(log), log.missing_up_to) == (4, 5)
        log.archived(20)
        assert not log.is_full(NOW_US, 30)
        fill(log, batch(40, 50), checkpoint_seq=40)
        assert (len(log), log.missing_up_to) == (3, 20)

    @pytest.mark.parametrize(
        ("archived_seq", "first_seq", "waiting"),
        [
            (0, 10, [FIRST, SECOND, THIRD]),
            (9, 10, [FIRST, SECOND, THIRD]),
            (10, 11, [FIRST, SECOND, THIRD]),
            (12, 20, [SECOND, THIRD]),
            (20, 30, [THIRD]),
            (30, 0, []),
        ],
    )
    def test_what_waits_for_the_archive(
        self, sql: Sqlite, archived_seq: int, first_seq: int, waiting: list[Batch]
    ) -> None:
        log = HotLog(sql, NEVER, 0)
        fill(log, FIRST, SECOND, THIRD)
        log.archived(archived_seq)
        for each in (log, HotLog(sql, NEVER, archived_seq)):
            expected = (archived_seq, first_seq, sum([one.size_bytes for one in waiting]))
            assert (each.archived_seq, each.unarchived_seq, each.unarchived_bytes) == expected

    def test_all_batches_behind_a_number_and_those_that_come_meanwhile(self, sql: Sqlite) -> None:
        log = HotLog(sql, NEVER, 0)
        fill(log, FIRST, SECOND, THIRD)
        batches = log.batches_after(10)
        assert [next(batches), next(batches), next(batches)] == [FIRST, SECOND, THIRD]
        fill(log, FOURTH)
        assert list(batches) == [FOURTH]


class Life(RuleBasedStateMachine):
    """Appends, forgets and openings at random, beside a list of all batches."""

    def __init__(self) -> None:
        super().__init__()
        self.sql = Sqlite()
        migrate(self.sql)
        self.batches: list[Batch] = []
        self.kept = 0
        self.checkpoint_seq = 0
        self.archived_seq = 0
        self.now_us = 0

    @initialize(stop_bytes=st.sampled_from([1, 500, 5_000, 3_000_000]), keep_us=st.sampled_from([0, 30]))
    def create(self, stop_bytes: int, keep_us: int) -> None:
        self.policy = LogPolicy(stop_bytes, keep_us)
        self.log = HotLog(self.sql, self.policy, self.archived_seq)

    @rule(
        distances=st.lists(st.integers(1, 9), min_size=1, max_size=3),
        size_bytes=st.sampled_from([10, 400, 400, 1_900_000, 4_000_000]),
    )
    def append(self, distances: list[int], size_bytes: int) -> None:
        prev_seq = self.batches[-1].head.last_seq if self.batches else 0
        seqs = [prev_seq + sum(distances[: index + 1]) for index in range(len(distances))]
        made = batch(prev_seq, *seqs, size_bytes=size_bytes)
        self.now_us = max(self.now_us, seqs[-1])
        while (
            sum(each.size_bytes for each in [*self.batches[self.kept :], made]) > self.policy.stop_bytes
            and len(self.batches) - self.kept > 1
            and self.batches[self.kept].head.last_seq
            <= min(self.checkpoint_seq, self.archived_seq, self.now_us - self.policy.keep_us)
        ):
            self.kept += 1
        self.log.append(made, self.now_us, self.checkpoint_seq)
        self.batches.append(made)

    @rule(back=st.integers(0, 30))
    def checkpoint(self, back: int) -> None:
        self.checkpoint_seq = max(self.checkpoint_seq, self.log.last_seq - back)

    @rule(back=st.integers(0, 30))
    def archive(self, back: int) -> None:
        self.archived_seq = max(self.archived_seq, self.log.last_seq - back)
        self.log.archived(self.archived_seq)

    @rule()
    def reopen(self) -> None:
        self.log = HotLog(self.sql, self.policy, self.archived_seq)
        # Opening may bring back what was forgotten and not overwritten yet: never less than what was kept.
        assert len(self.log) >= len(self.batches) - self.kept
        self.kept = len(self.batches) - len(self.log)

    @precondition(lambda self: self.batches)
    @rule(cursor=st.integers(0, 400))
    def read(self, cursor: int) -> None:
        kept = self.batches[self.kept :]
        expected = next((each for each in kept if each.head.last_seq >= cursor), None)
        is_equal = self.log.read(cursor) == expected
        assert is_equal

    @invariant()
    def it_says_what_it_keeps(self) -> None:
        kept = self.batches[self.kept :]
        if kept and len(self.log):
            log, heads = self.log, [each.head for each in kept]
            assert (log.missing_up_to, log.oldest_seq, log.last_seq) == (
                heads[0].prev_seq,
                heads[0].first_seq,
                heads[-1].last_seq,
            )
            assert (len(log), log.size_bytes) == (len(kept), sum(each.size_bytes for each in kept))
            waiting = [each for each in kept if each.head.last_seq > self.archived_seq]
            assert log.unarchived_bytes == sum([each.size_bytes for each in waiting])
            assert log.unarchived_seq == (max(waiting[0].head.first_seq, self.archived_seq + 1) if waiting else 0)
            assert list(log.heads_after(self.checkpoint_seq)) == [
                head for head in heads if head.last_seq > self.checkpoint_seq
            ]

    def teardown(self) -> None:
        self.sql.close()


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=20)


def test_what_was_written_survives_on_disk(tmp_path: Path) -> None:
    database = Sqlite(tmp_path / "state.sqlite")
    migrate(database)
    fill(HotLog(database, NEVER, ALL), FIRST, SECOND)
    database.close()
    again = Sqlite(tmp_path / "state.sqlite")
    assert HotLog(again, NEVER, ALL).read(20) == SECOND
    again.close()
