"""The durable store of identities: its record, beside a dictionary through crashes and days, and its bounds.

What holds for every store of identities is in relay/test_identities.py, what holds for every store of records in
test_record_runs.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.relay.identities import IDENTITY_TTL_US, KnownIdentity
from edgerelay.runtime.identity_runs import (
    MEMTABLE_IDENTITIES,
    MEMTABLE_MAX_IDENTITIES,
    SCHEMA,
    IdentityRecordError,
    IdentityRuns,
)
from edgerelay.runtime.origins import MAX_ORIGIN_CHARS
from edgerelay.runtime.record_runs import RecordBounds, RecordRuns, RecordStoreError
from edgerelay.runtime.sql import Sql, Sqlite
from tests.crashing import CrashingSql

PAGE = 4  # records of a page in most of these tests: many pages from few identities
S_US = 1_000_000
HOUR_US = 3_600 * S_US
NOW_US = 1_795_000_000 * S_US
RECORD_BYTES = 64
K256 = PublicKey(Curve.K256, b"\x02" + b"\xaa" * 32)
P256 = PublicKey(Curve.P256, b"\x03" + b"\xbb" * 32)


def create_tables(sql: Sql) -> None:
    for statement in SCHEMA:
        sql.execute(statement)


def merge_all(store: IdentityRuns) -> None:
    while store.merge_step():
        pass


def hash_of(number: int) -> bytes:
    # Spread over the whole range, in an order of its own.
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(KEY_BYTES, "big")


def known(number: int, resolved_us: int = NOW_US) -> KnownIdentity:
    return KnownIdentity(
        (None, K256, P256)[number % 3], f"https://{number % 7}.test" if number % 5 else None, resolved_us
    )


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    database = Sqlite()
    create_tables(database)
    yield database
    database.close()


def raw(sql: Sqlite) -> RecordRuns:
    """The records below the identities."""
    return RecordRuns(sql, "identity", RECORD_BYTES, RecordBounds(1_000, 1, 1_000_000))


class IdentityRunsModel(RuleBasedStateMachine):
    """The store beside a dictionary while hours pass, killed between any two statements.

    An identity that was not fresh at some checkpoint may be gone, but what is got is always what was put last.
    """

    numbers = st.integers(0, 30)

    def __init__(self) -> None:
        super().__init__()
        self.database = Sqlite()
        create_tables(self.database)
        self.sql = CrashingSql(self.database)
        self.store = self.open()
        self.now_us = NOW_US
        self.twin: dict[int, KnownIdentity] = {}
        self.checkpointed: dict[int, KnownIdentity] = {}
        self.forgotten: set[int] = set()
        self.may_be_gone: set[tuple[int, KnownIdentity]] = set()

    def open(self) -> IdentityRuns:
        return IdentityRuns(self.sql, page_records=PAGE, recent_identities=5)

    def teardown(self) -> None:
        self.database.close()

    @rule(numbers=st.lists(numbers, max_size=20), variant=st.integers(0, 20))
    def put(self, numbers: list[int], variant: int) -> None:
        for number in numbers:
            identity = known(number + variant, self.now_us)
            self.store.put(hash_of(number), identity)
            self.twin[number] = identity
            self.forgotten.discard(number)

    @rule(numbers=st.lists(numbers, max_size=5))
    def forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self.store.forget(hash_of(number))
            self.twin.pop(number, None)
            self.forgotten.add(number)

    @rule(hours=st.integers(-2, 30))
    def time_passes(self, hours: int) -> None:
        self.now_us += hours * HOUR_US

    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint(self.now_us)
        self.checkpointed = dict(self.twin)
        self.forgotten.clear()
        self.may_be_gone |= {entry for entry in self.twin.items() if not entry[1].is_fresh(self.now_us)}

    @rule(steps=st.integers(1, 10))
    def merge(self, steps: int) -> None:
        for _ in range(steps):
            self.store.merge_step()

    @rule(statements=st.integers(0, 6))
    def a_checkpoint_that_fails(self, statements: int) -> None:
        with self.sql.crash_after(statements):
            self.checkpoint()

    @rule(statements=st.integers(0, 12))
    def a_merge_that_fails(self, statements: int) -> None:
        with self.sql.crash_after(statements):
            merge_all(self.store)

    @rule()
    def restart_and_forget_again(self) -> None:
        self.store = self.open()
        self.twin = dict(self.checkpointed)
        for number in self.forgotten:
            self.store.forget(hash_of(number))
            self.twin.pop(number, None)

    @invariant()
    def the_store_is_what_the_twin_says(self) -> None:
        for number in range(31):
            found, expected = self.store.get(hash_of(number)), self.twin.get(number)
            assert found == expected or (
                found is None and expected is not None and (number, expected) in self.may_be_gone
            )


IdentityRunsModel.TestCase.settings = settings(stateful_step_count=40)
TestIdentityRunsModel = IdentityRunsModel.TestCase


class TestRecord:
    @pytest.mark.parametrize(
        ("identity", "rest"),
        [
            (KnownIdentity(None, None, 0x01020304 * S_US), b"\x04\x03\x02\x01" + bytes(8 + 1 + 33 + 2)),
            (
                KnownIdentity(K256, "https://pds.test", NOW_US),
                b"\xc0\x86\xfd\x6a" + b"\x01" + bytes(7) + b"\x01" + K256.point + bytes(2),
            ),
            (
                KnownIdentity(P256, "https://pds.test", NOW_US),
                b"\xc0\x86\xfd\x6a" + b"\x01" + bytes(7) + b"\x02" + P256.point + bytes(2),
            ),
        ],
    )
    def test_golden_bytes(self, sql: Sqlite, identity: KnownIdentity, rest: bytes) -> None:
        store = IdentityRuns(sql)
        store.put(bytes(range(16)), identity)
        store.checkpoint(NOW_US)
        assert raw(sql).get(bytes(range(16))) == bytes(range(16)) + rest
        assert IdentityRuns(sql).get(bytes(range(16))) == identity

    def test_a_tombstone_is_of_the_second_zero(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql)
        store.forget(hash_of(1))
        store.checkpoint(NOW_US)
        assert raw(sql).get(hash_of(1)) == hash_of(1) + bytes(48)

    @pytest.mark.parametrize(
        ("did_hash", "identity", "problem"),
        [
            (hash_of(1), KnownIdentity(None, None, 0), "resolved at 0"),
            (hash_of(1), KnownIdentity(None, None, S_US - 1), "resolved at 999999"),
            (hash_of(1), KnownIdentity(None, None, 2**32 * S_US), "resolved at 4294967296000000"),
            (hash_of(1), KnownIdentity(PublicKey(Curve.K256, bytes(65)), None, NOW_US), "a point of 65 bytes"),
            (bytes(15), KnownIdentity(None, None, NOW_US), "a hash of the wrong length"),
        ],
    )
    def test_what_cannot_be_stored_is_refused(
        self, sql: Sqlite, did_hash: bytes, identity: KnownIdentity, problem: str
    ) -> None:
        with pytest.raises(IdentityRecordError, match=problem):
            IdentityRuns(sql).put(did_hash, identity)

    def test_a_curve_that_nobody_wrote_is_refused(self, sql: Sqlite) -> None:
        records = raw(sql)
        records.put(hash_of(1) + b"\x01" + bytes(11) + b"\x03" + bytes(35))
        records.checkpoint(1)
        with pytest.raises(IdentityRecordError, match="a key on curve 3"):
            IdentityRuns(sql).get(hash_of(1))


class TestOrigins:
    def test_an_identity_whose_origin_had_to_go_is_unknown(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql)
        store.put(hash_of(1), KnownIdentity(K256, "https://gone.test", NOW_US))
        store.put(hash_of(2), KnownIdentity(K256, "https://here.test", NOW_US))
        store.checkpoint(NOW_US)
        sql.execute("DELETE FROM origins WHERE origin = ?", "https://gone.test")
        store = IdentityRuns(sql)
        assert store.get(hash_of(1)) is None
        assert store.get(hash_of(2)) == KnownIdentity(K256, "https://here.test", NOW_US)

    def test_one_that_is_longer_than_any_hosts_is_not_kept_nor_what_was_known_before(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql)
        longest = KnownIdentity(K256, f"https://{'a' * (MAX_ORIGIN_CHARS - 8)}", NOW_US)
        store.put(hash_of(1), longest)
        assert store.get(hash_of(1)) == longest
        store.put(hash_of(1), longest._replace(pds=f"{longest.pds}a"))
        assert store.get(hash_of(1)) is None
        assert sql.execute("SELECT count(*) FROM origins") == [(1,)]


class TestExpiry:
    def test_identities_that_nobody_uses_any_more_go_when_others_come(self, sql: Sqlite) -> None:
        """Each hour forty are seen that are never seen again: what is stored stays about a day's worth."""
        store = IdentityRuns(sql, page_records=PAGE)
        most = 0
        for hour in range(24 * 5):
            now_us = NOW_US + hour * HOUR_US
            for number in range(hour * 40, hour * 40 + 40):
                store.put(hash_of(number), known(number, now_us))
            store.checkpoint(now_us)
            merge_all(store)
            most = max(most, store.stats.records)
        assert 24 * 40 <= most <= 1.6 * 25 * 40
        assert sql.execute("SELECT count(*) < ? FROM identity_pages", 3 * 25 * 40 // PAGE) == [(1,)]
        fresh = IdentityRuns(sql, page_records=PAGE)
        for number in range(96 * 40 + 40, 120 * 40):
            assert fresh.get(hash_of(number)) == known(number, NOW_US + number // 40 * HOUR_US)

    def test_a_merge_may_leave_nothing(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql, page_records=PAGE)
        for number in range(20):
            store.put(hash_of(number), known(number))
        store.checkpoint(NOW_US)
        for number in range(20):
            store.forget(hash_of(number))
        store.checkpoint(NOW_US + IDENTITY_TTL_US + S_US)
        merge_all(store)
        assert store.stats == (0, 0, 0, 0, False)

    def test_those_from_the_future_go_too(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql)
        store.put(hash_of(1), known(1, NOW_US + 2 * IDENTITY_TTL_US))
        store.checkpoint(NOW_US + 2 * IDENTITY_TTL_US)
        store.put(hash_of(2), known(2))
        store.checkpoint(NOW_US)
        merge_all(store)
        assert [IdentityRuns(sql).get(hash_of(number)) for number in (1, 2)] == [None, known(2)]


class TestBounds:
    def test_the_youngest_stay_if_there_are_too_many(self, sql: Sqlite) -> None:
        most = 500
        store = IdentityRuns(sql, page_records=64, max_identities=most)
        for number in range(2_000):
            store.put(hash_of(number), known(number, NOW_US + number * S_US))
            if number % 100 == 99:
                store.checkpoint(NOW_US + number * S_US)
                merge_all(store)
                assert store.stats.records <= 1.5 * most
        kept = [number for number in range(2_000) if IdentityRuns(sql, page_records=64).get(hash_of(number))]
        assert len(kept) >= 0.9 * most
        assert min(kept) >= 2_000 - 2 * most
        assert {*range(1_900, 2_000)} <= {*kept}, "the newest"

    def test_one_merge_never_keeps_more_than_it_may(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql, page_records=PAGE, max_identities=10)
        for number in range(100):
            store.put(hash_of(number), known(number))
            if number % 50 == 49:
                store.checkpoint(NOW_US)
        merge_all(store)
        assert store.stats.records == 10

    def test_a_full_memtable_asks_for_a_checkpoint_and_in_the_end_stops(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql)
        for number in range(MEMTABLE_IDENTITIES):
            assert not store.checkpoint_due
            store.put(hash_of(number), known(number))
        assert store.checkpoint_due
        for number in range(MEMTABLE_IDENTITIES, MEMTABLE_MAX_IDENTITIES):
            store.forget(hash_of(number))
        with pytest.raises(RecordStoreError, match=f"{MEMTABLE_MAX_IDENTITIES + 1} records wait for a checkpoint"):
            store.forget(hash_of(MEMTABLE_MAX_IDENTITIES))
        store.checkpoint(NOW_US)
        assert not store.checkpoint_due

    def test_a_checkpoint_writes_a_row_for_each_page_and_one_more(self, sql: Sqlite) -> None:
        store = IdentityRuns(sql, page_records=PAGE)
        for number in range(10):
            store.put(hash_of(number), known(number))
        before = sql.rows_written
        store.checkpoint(NOW_US)
        assert sql.rows_written - before == 3 + 1
