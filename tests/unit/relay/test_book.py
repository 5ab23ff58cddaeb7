"""The account book: what each event does to its account, and what comes too late."""

from __future__ import annotations

from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Message, parse_message
from edgerelay.relay.accounts import NO_DIGEST, RECORD_BYTES, Account, AccountStatus, MemoryAccounts, hash_did
from edgerelay.relay.book import AccountBook
from edgerelay.relay.reject import RejectReason
from tests.oracle import frames

DID, OTHER = frames.did(1), frames.did(2)
KEY, STALE = hash_did(DID), RejectReason.STALE_REV


def message(raw: bytes) -> Message:
    header, body = frames.parts(raw)
    return parse_message(header["t"], body)


def commit(rev: int, did: str = DID) -> Message:
    return message(frames.commit(1, did, frames.tid(rev)))


def sync(rev: int) -> Message:
    return message(frames.sync(1, DID, frames.tid(rev)))


def digest(rev: int) -> bytes:
    link: bytes = frames.link(f"{DID} {frames.tid(rev)}".encode()).value
    return link[-32:]


def book() -> AccountBook:
    return AccountBook(MemoryAccounts())


def account(made: AccountBook) -> Account:
    found = made.store.get(KEY)
    assert found is not None
    return found


class TestOrder:
    def test_a_commit_must_be_newer(self) -> None:
        made = book()
        assert [made.enter(commit(rev), 1) for rev in (5, 5, 4, 6)] == [None, STALE, STALE, None]
        assert (account(made).rev, account(made).commit) == (6, digest(6))

    def test_a_sync_may_repeat_the_rev_of_the_commit_before_it(self) -> None:
        made = book()
        assert [made.enter(each, 1) for each in (commit(5), sync(5), sync(5), sync(4))] == [None, None, None, STALE]
        assert (account(made).rev, account(made).commit) == (5, digest(5))

    def test_a_newer_sync_leaves_nothing_of_the_commit_before_it(self) -> None:
        made = book()
        made.enter(commit(5), 1)
        assert made.enter(sync(6), 2) is None
        assert account(made) == Account(KEY, 2, 6, NO_DIGEST, NO_DIGEST)
        assert [made.enter(commit(rev), 2) for rev in (6, 7)] == [STALE, None]

    def test_what_is_news(self) -> None:
        made = book()
        made.enter(commit(5), 1)
        assert [made.is_news(DID, frames.tid(rev)) for rev in (4, 5, 6)] == [False, False, True]
        assert made.is_news(OTHER, frames.tid(1))

    def test_what_comes_too_late_changes_nothing(self) -> None:
        made = book()
        made.enter(commit(5), 1)
        made.take_changes()
        for each in (commit(5), sync(4)):
            assert made.enter(each, 9) is STALE
        assert (made.take_changes(), account(made).host_id) == (b"", 1)


class TestStatus:
    def test_an_account_message_says_what_the_host_says(self) -> None:
        made = book()
        assert made.enter(message(frames.account(1, DID, active=False, status="takendown")), 1) is None
        assert (account(made).upstream_active, account(made).upstream_status) == (False, AccountStatus.TAKENDOWN)
        assert made.enter(message(frames.account(1, DID)), 1) is None
        assert (account(made).upstream_active, account(made).upstream_status) == (True, AccountStatus.ACTIVE)

    def test_an_identity_makes_an_account_known(self) -> None:
        made = book()
        assert made.enter(message(frames.identity(1, DID)), 3) is None
        assert account(made) == Account(KEY, 3)

    def test_a_status_that_was_found_out_is_told_if_it_changes_ours(self) -> None:
        made = book()
        assert made.set_status(DID, active=False, status="deleted") is None, "nobody heard of the account"
        assert made.find(DID) is None
        made.enter(commit(5), 1)
        assert made.set_status(DID, active=False, status="deleted") == {"active": False, "status": "deleted"}
        assert made.set_status(DID, active=False, status="deleted") is None
        assert made.set_status(DID, active=True, status=None) == {"active": True}

    def test_what_this_relay_decided_wins(self) -> None:
        made = book()
        made.enter(commit(5), 1)
        made.store.put(account(made)._replace(local_status=AccountStatus.TAKENDOWN))
        told = message(frames.account(1, DID))
        assert isinstance(told, AccountMessage)
        made.enter(told, 1)
        body: dict[str, Value] = {"seq": 1, "active": True, "x": 1}
        assert made.restated(told, body) == {"seq": 1, "active": False, "status": "takendown", "x": 1}
        assert made.set_status(DID, active=False, status="deactivated") is None, "nobody sees a difference"

    def test_a_decision_makes_an_account_known_and_hides_nothing_of_what_its_host_says(self) -> None:
        made = book()
        takendown = {"active": False, "status": "takendown"}
        assert made.set_local_status(DID, AccountStatus.TAKENDOWN, 3) == takendown
        assert account(made) == Account(KEY, 3, local_status=AccountStatus.TAKENDOWN)
        made.enter(message(frames.account(1, DID, active=False, status="deactivated")), 1)
        assert made.set_local_status(DID, AccountStatus.TAKENDOWN, 3) == takendown
        restored = {"active": False, "status": "deactivated"}
        assert made.set_local_status(DID, AccountStatus.ACTIVE, 3) == restored

    def test_an_account_that_was_left_alone_is_passed_on_as_it_came(self) -> None:
        made = book()
        told = message(frames.account(1, DID, active=False, status="unheard of"))
        assert isinstance(told, AccountMessage)
        made.enter(told, 1)
        body: dict[str, Value] = {"active": False, "status": "unheard of"}
        assert made.restated(told, body) is body


def test_breaks_of_a_chain_are_counted() -> None:
    made = book()
    made.enter(commit(5), 1)
    made.enter(message(frames.commit(1, DID, frames.tid(7), since=frames.tid(6))), 1)
    assert (made.chain_breaks, account(made).desynchronized, account(made).rev) == (1, True, 7)
    made.enter(message(frames.commit(1, DID, frames.tid(8), since=frames.tid(7))), 1)
    assert (made.chain_breaks, account(made).desynchronized) == (1, False)


def test_changes_are_taken_once_and_only_the_latest_of_an_account() -> None:
    made = book()
    for each in (commit(5), commit(6), commit(9, OTHER)):
        made.enter(each, 1)
    assert made.changes_bytes == 2 * RECORD_BYTES
    records = made.take_changes()
    taken = [Account.decode(records[start : start + RECORD_BYTES]) for start in range(0, len(records), RECORD_BYTES)]
    assert [(each.did_hash, each.rev) for each in taken] == [(KEY, 6), (hash_did(OTHER), 9)]
    assert (made.changes_bytes, made.take_changes()) == (0, b"")
