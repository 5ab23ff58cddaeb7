"""Identities as a value, and the contract of every store of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.identities import IDENTITY_TTL_US, IdentityStore, KnownIdentity, MemoryIdentities
from edgerelay.runtime.identity_runs import SCHEMA, IdentityRuns
from edgerelay.runtime.sql import Sqlite

S_US = 1_000_000
NOW_US = 1_795_000_000 * S_US
ALICE, BOB = hash_did("did:plc:alice"), hash_did("did:plc:bob")
K256 = PublicKey(Curve.K256, b"\x02" + b"\xaa" * 32)
P256 = PublicKey(Curve.P256, b"\x03" + b"\xbb" * 32)
KNOWN = KnownIdentity(K256, "https://pds.test", NOW_US)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[IdentityStore]:
    if request.param == "memory":
        yield MemoryIdentities()
        return
    sql = Sqlite()
    for statement in SCHEMA:
        sql.execute(statement)
    yield IdentityRuns(sql, page_records=3, recent_identities=4)
    sql.close()


def numbered(number: int, resolved_us: int = NOW_US) -> tuple[bytes, KnownIdentity]:
    key = (None, K256, P256)[number % 3]
    pds = (None, "https://one.test", "http://two.test:8080", "https://three.test")[number % 4]
    return hash_did(f"did:plc:{number}"), KnownIdentity(key, pds, resolved_us + number * S_US)


@pytest.mark.parametrize(
    ("age_us", "fresh"),
    [
        (0, True),
        (IDENTITY_TTL_US, True),
        (IDENTITY_TTL_US + 1, False),
        (-IDENTITY_TTL_US, True),
        (-IDENTITY_TTL_US - 1, False),
    ],
)
def test_an_identity_is_fresh_for_a_day(age_us: int, fresh: bool) -> None:
    assert KNOWN.is_fresh(NOW_US + age_us) is fresh
    assert IDENTITY_TTL_US == 24 * 60 * 60 * S_US


class TestStoreContract:
    def test_an_identity_that_was_never_put_is_unknown(self, store: IdentityStore) -> None:
        assert store.get(ALICE) is None

    @pytest.mark.parametrize("key", [None, K256, P256])
    @pytest.mark.parametrize("pds", [None, "https://pds.test", "http://[::1]:2583"])
    def test_an_identity_comes_back(self, store: IdentityStore, key: PublicKey | None, pds: str | None) -> None:
        known = KnownIdentity(key, pds, NOW_US)
        store.put(ALICE, known)
        assert store.get(ALICE) == known
        store.checkpoint(NOW_US)
        assert store.get(ALICE) == known

    def test_the_time_is_kept_to_the_second(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN._replace(resolved_us=NOW_US + 999_999))
        assert store.get(ALICE) == KNOWN

    def test_the_identity_put_last_is_got(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN)
        store.checkpoint(NOW_US)
        moved = KnownIdentity(P256, "https://other.test", NOW_US - S_US)
        store.put(ALICE, moved)
        assert store.get(ALICE) == moved
        store.checkpoint(NOW_US)
        assert store.get(ALICE) == moved

    def test_an_old_identity_is_got_until_a_checkpoint_says_the_time(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN)
        assert store.get(ALICE) == KNOWN
        store.put(BOB, KNOWN._replace(resolved_us=S_US))
        assert store.get(BOB) == KNOWN._replace(resolved_us=S_US)

    def test_what_is_forgotten_stays_forgotten(self, store: IdentityStore) -> None:
        for number in range(40):
            store.put(*numbered(number))
            store.checkpoint(NOW_US)
        forgotten = [numbered(number)[0] for number in range(0, 40, 4)]
        for did_hash in forgotten:
            store.forget(did_hash)
            assert store.get(did_hash) is None
        for step in range(60):
            store.put(*numbered(100 + step))
            store.checkpoint(NOW_US)
            store.merge_step()
            assert [store.get(did_hash) for did_hash in forgotten] == [None] * len(forgotten)
        assert [store.get(numbered(number)[0]) for number in range(1, 4)] == [
            numbered(number)[1] for number in (1, 2, 3)
        ]

    def test_what_was_forgotten_can_be_put_again(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN)
        store.forget(ALICE)
        store.checkpoint(NOW_US)
        store.put(ALICE, KNOWN)
        assert store.get(ALICE) == KNOWN

    def test_forgetting_what_is_unknown_is_harmless(self, store: IdentityStore) -> None:
        store.forget(ALICE)
        store.forget(ALICE)
        store.checkpoint(NOW_US)
        assert store.get(ALICE) is None

    def test_checkpoints_and_merges_change_nothing_that_is_fresh(self, store: IdentityStore) -> None:
        twin: dict[bytes, KnownIdentity] = {}
        for round_ in range(12):
            for number in range(round_, 40, round_ + 1):
                did_hash, known = numbered(number, NOW_US + round_ * 100 * S_US)
                twin[did_hash] = known
                store.put(did_hash, known)
            store.checkpoint(NOW_US + round_ * 100 * S_US)
            for _ in range(round_):
                store.merge_step()
            keys = [numbered(number)[0] for number in range(41)]
            assert [store.get(did_hash) for did_hash in keys] == [twin.get(did_hash) for did_hash in keys]

    def test_tidying_up_comes_to_an_end(self, store: IdentityStore) -> None:
        for number in range(50):
            store.put(*numbered(number))
            store.checkpoint(NOW_US)
        steps = 0
        while store.merge_step():
            steps += 1
            assert steps < 1_000

    def test_the_clock_may_go_back(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN)
        store.checkpoint(NOW_US)
        store.checkpoint(NOW_US - 10 * S_US)
        assert store.get(ALICE) == KNOWN

    def test_no_checkpoint_is_due_for_a_few_identities(self, store: IdentityStore) -> None:
        store.put(ALICE, KNOWN)
        assert not store.checkpoint_due
