"""The account value, its record and statuses, and the contract of every account store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.errors import InvariantError
from edgerelay.relay.accounts import (
    NO_DIGEST,
    NO_REV,
    RECORD_BYTES,
    Account,
    AccountRecordError,
    AccountStatus,
    AccountStore,
    MemoryAccounts,
    hash_did,
)
from edgerelay.runtime.account_runs import SCHEMA, AccountRuns
from edgerelay.runtime.sql import Sqlite

ACTIVE, DELETED, TAKENDOWN, SUSPENDED, DESYNCHRONIZED, THROTTLED, UNKNOWN = (
    AccountStatus.ACTIVE,
    AccountStatus.DELETED,
    AccountStatus.TAKENDOWN,
    AccountStatus.SUSPENDED,
    AccountStatus.DESYNCHRONIZED,
    AccountStatus.THROTTLED,
    AccountStatus.UNKNOWN,
)

ALICE = Account(
    did_hash=bytes(range(16)),
    host_id=0x01020304,
    rev=0x1122334455667788,
    commit=b"\xcc" * 32,
    data=b"\xdd" * 32,
    upstream_active=False,
    upstream_status=TAKENDOWN,
    local_status=THROTTLED,
    desynchronized=True,
    key_id=0x0506,
)
digests = st.binary(min_size=32, max_size=32)
accounts = st.builds(
    Account,
    did_hash=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    host_id=st.integers(0, 2**32 - 1),
    rev=st.integers(0, 2**64 - 1),
    commit=digests,
    data=digests,
    upstream_active=st.booleans(),
    upstream_status=st.sampled_from(AccountStatus),
    local_status=st.sampled_from(AccountStatus),
    desynchronized=st.booleans(),
    key_id=st.integers(0, 2**16 - 1),
)


def account(number: int, **fields: int) -> Account:
    return Account(number.to_bytes(KEY_BYTES, "big"), 1, **fields)  # type: ignore[arg-type]  # rev and key_id only


class TestRecord:
    def test_golden_bytes(self) -> None:
        assert ALICE.encode() == (
            bytes(range(16)) + b"\x88\x77\x66\x55\x44\x33\x22\x11" + b"\xcc" * 32 + b"\xdd" * 32
            + b"\x04\x03\x02\x01" + b"\x47" + b"\x02" + b"\x06\x05"
        )  # fmt: skip

    @given(accounts)
    def test_an_account_comes_back(self, account: Account) -> None:
        record = account.encode()
        assert len(record) == RECORD_BYTES
        assert record[:KEY_BYTES] == account.did_hash
        assert Account.decode(record) == account

    def test_an_account_without_a_commit_comes_back(self) -> None:
        decoded = Account.decode(Account(hash_did("did:plc:new"), 3).encode())
        assert not decoded.has_commit
        assert (decoded.rev, decoded.commit, decoded.data) == (NO_REV, NO_DIGEST, NO_DIGEST)
        assert ALICE.has_commit

    @pytest.mark.parametrize("length", [0, 95, 97])
    def test_decode_refuses_another_length(self, length: int) -> None:
        with pytest.raises(AccountRecordError, match=f"{length} bytes"):
            Account.decode(bytes(length))

    @pytest.mark.parametrize("statuses", [0x08, 0x80, 0xFF])
    def test_decode_refuses_statuses_that_nobody_wrote(self, statuses: int) -> None:
        record = ALICE.encode()
        with pytest.raises(AccountRecordError, match=f"statuses {statuses:#04x}"):
            Account.decode(record[:92] + bytes([statuses]) + record[93:])

    def test_decode_refuses_flags_that_nobody_wrote(self) -> None:
        record = ALICE.encode()
        with pytest.raises(AccountRecordError, match="flags 0x04"):
            Account.decode(record[:93] + b"\x04" + record[94:])

    @pytest.mark.parametrize("value", [b"", bytes(15), bytes(36)])
    def test_encode_refuses_hashes_of_another_length(self, value: bytes) -> None:
        for wrong in (ALICE._replace(did_hash=value), ALICE._replace(commit=value), ALICE._replace(data=value)):
            with pytest.raises(AccountRecordError, match="wrong length"):
                wrong.encode()

    def test_the_hash_of_a_did(self) -> None:
        assert hash_did("did:plc:ewvi7nxzyoun6zhxrhs64oiz").hex() == "099e4ea96cd62c05a232331859d20c97"


class TestStatus:
    def test_the_stored_numbers_never_change(self) -> None:
        assert {status.name: status.value for status in AccountStatus} == {
            "UNKNOWN": 0,
            "ACTIVE": 1,
            "DELETED": 2,
            "DEACTIVATED": 3,
            "TAKENDOWN": 4,
            "SUSPENDED": 5,
            "DESYNCHRONIZED": 6,
            "THROTTLED": 7,
        }

    def test_words_come_back(self) -> None:
        words = ["deleted", "deactivated", "takendown", "suspended", "desynchronized", "throttled"]
        assert [AccountStatus.from_message(active=False, status=word).word for word in words] == words

    @pytest.mark.parametrize(
        ("active", "word", "status"),
        [(True, None, ACTIVE), (False, None, UNKNOWN), (False, "frozen", UNKNOWN), (True, "throttled", THROTTLED)],
    )
    def test_what_a_message_says(self, active: bool, word: str | None, status: AccountStatus) -> None:
        assert AccountStatus.from_message(active=active, status=word) == status

    def test_active_and_unknown_have_no_word(self) -> None:
        assert (ACTIVE.word, UNKNOWN.word) == (None, None)

    @pytest.mark.parametrize(
        ("upstream_active", "upstream", "local", "desynchronized", "active", "status"),
        [
            (True, UNKNOWN, ACTIVE, False, True, ACTIVE),
            (True, ACTIVE, ACTIVE, False, True, ACTIVE),
            (True, ACTIVE, ACTIVE, True, True, DESYNCHRONIZED),
            (True, THROTTLED, ACTIVE, False, True, THROTTLED),
            (True, DESYNCHRONIZED, ACTIVE, False, True, DESYNCHRONIZED),
            (True, ACTIVE, THROTTLED, False, True, THROTTLED),
            (True, ACTIVE, TAKENDOWN, True, False, TAKENDOWN),
            (True, TAKENDOWN, ACTIVE, False, True, ACTIVE),
            (False, DELETED, ACTIVE, False, False, DELETED),
            (False, DELETED, SUSPENDED, False, False, SUSPENDED),
            (False, DELETED, THROTTLED, False, False, DELETED),
            (False, THROTTLED, ACTIVE, True, False, THROTTLED),
            (False, UNKNOWN, ACTIVE, False, False, UNKNOWN),
        ],
    )
    def test_what_is_published(
        self,
        upstream_active: bool,
        upstream: AccountStatus,
        local: AccountStatus,
        desynchronized: bool,
        active: bool,
        status: AccountStatus,
    ) -> None:
        combined = Account(
            bytes(16),
            1,
            upstream_active=upstream_active,
            upstream_status=upstream,
            local_status=local,
            desynchronized=desynchronized,
        )
        assert (combined.active, combined.status) == (active, status)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[AccountStore]:
    if request.param == "memory":
        yield MemoryAccounts()
        return
    sql = Sqlite()
    for statement in SCHEMA:
        sql.execute(statement)
    yield AccountRuns(sql, page_records=3, recent_accounts=4)
    sql.close()


class TestStoreContract:
    def test_an_account_that_was_never_put_is_unknown(self, store: AccountStore) -> None:
        assert store.get(bytes(16)) is None

    def test_the_account_put_last_is_got(self, store: AccountStore) -> None:
        store.put(ALICE._replace(rev=1))
        store.put(ALICE)
        assert store.get(ALICE.did_hash) == ALICE

    def test_checkpoints_and_merges_change_nothing_that_can_be_seen(self, store: AccountStore) -> None:
        twin: dict[int, Account] = {}
        for round_ in range(12):
            for number in range(round_, 40, round_ + 1):
                twin[number] = account(number, rev=round_ + 1)
                store.put(twin[number])
            store.checkpoint(100 + round_)
            for _ in range(round_):
                store.merge_step()
            assert [store.get(number.to_bytes(KEY_BYTES, "big")) for number in range(41)] == [
                twin.get(number) for number in range(41)
            ]
            assert store.page(b"", 100) == [twin[number] for number in sorted(twin)]

    def test_a_checkpoint_tells_its_seq(self, store: AccountStore) -> None:
        assert store.checkpoint_seq == 0
        store.checkpoint(5)
        assert store.checkpoint_seq == 5
        store.put(ALICE)
        store.checkpoint(5)
        store.put(ALICE)
        store.checkpoint(9)
        assert store.checkpoint_seq == 9

    def test_a_checkpoint_never_goes_back(self, store: AccountStore) -> None:
        store.checkpoint(5)
        with pytest.raises(InvariantError, match="a checkpoint at 4, the last one was at 5"):
            store.checkpoint(4)

    def test_tidying_up_comes_to_an_end(self, store: AccountStore) -> None:
        for number in range(50):
            store.put(account(number))
            store.checkpoint(number)
        steps = 0
        while store.merge_step():
            steps += 1
            assert steps < 1_000

    def test_pages_walk_through_all_accounts_once(self, store: AccountStore) -> None:
        for number in range(0, 60, 3):
            store.put(account(number))
            if number % 9 == 0:
                store.checkpoint(number)
        walked: list[Account] = []
        while page := store.page(walked[-1].did_hash if walked else b"", 7):
            assert len(page) <= 7
            walked += page
        assert walked == [account(number) for number in range(0, 60, 3)]

    def test_no_checkpoint_is_due_for_a_few_accounts(self, store: AccountStore) -> None:
        store.put(ALICE)
        assert not store.checkpoint_due
