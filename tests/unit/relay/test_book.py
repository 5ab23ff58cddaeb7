"""The account book: order of revs, what events change, what a batch carries."""

from __future__ import annotations

from edgerelay.archive.account_run import RECORD_BYTES
from edgerelay.atproto.cid import cid_for_cbor
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Identity, Sync
from edgerelay.atproto.tid import tid_to_int
from edgerelay.relay.accounts import Account, AccountStatus, MemoryAccounts, hash_did
from edgerelay.relay.book import AccountBook
from tests.oracle import frames

DID, OTHER = frames.did(1), frames.did(2)
OLD, NOW, NEW = frames.tid(2**60), frames.tid(2**60 + 1), frames.tid(2**60 + 2)
TIME = frames.datetime_text(frames.NOW_US)
CID = cid_for_cbor(b"commit")
HOST = 3


def commit(rev: str, did: str = DID) -> Commit:
    return Commit(1, did, rev, None, CID, b"", (), None, TIME)


def sync(rev: str) -> Sync:
    return Sync(1, DID, rev, b"", TIME)


def make_book() -> AccountBook:
    return AccountBook(MemoryAccounts())


class TestRevs:
    def test_a_commit_must_be_newer(self) -> None:
        book = make_book()
        assert book.enter(commit(NOW), HOST)
        assert not book.enter(commit(NOW), HOST)
        assert not book.enter(commit(OLD), HOST)
        assert book.enter(commit(NEW), HOST)

    def test_a_sync_may_repeat_the_rev_but_not_go_back(self) -> None:
        book = make_book()
        assert book.enter(commit(NOW), HOST)
        assert book.enter(sync(NOW), HOST)
        assert not book.enter(sync(OLD), HOST)
        assert book.enter(sync(NEW), HOST)
        assert not book.enter(commit(NEW), HOST)

    def test_accounts_are_apart(self) -> None:
        book = make_book()
        assert book.enter(commit(NEW), HOST)
        assert book.enter(commit(OLD, OTHER), HOST)

    def test_news(self) -> None:
        book = make_book()
        assert book.is_news(DID, OLD)
        book.enter(commit(NOW), HOST)
        assert not book.is_news(DID, OLD)
        assert not book.is_news(DID, NOW)
        assert book.is_news(DID, NEW)


class TestWhatIsKept:
    def test_a_commit(self) -> None:
        book = make_book()
        book.enter(commit(NOW), HOST)
        account = book.store.get(hash_did(DID))
        assert account == Account(hash_did(DID), HOST, tid_to_int(NOW), CID[4:])

    def test_a_status_leaves_the_rest(self) -> None:
        book = make_book()
        book.enter(commit(NOW), HOST)
        assert book.enter(AccountMessage(2, DID, False, "deactivated", TIME), HOST)
        account = book.store.get(hash_did(DID))
        assert account is not None
        assert (account.rev, account.upstream_active) == (tid_to_int(NOW), False)
        assert account.upstream_status is AccountStatus.DEACTIVATED

    def test_an_identity_makes_the_account_known(self) -> None:
        book = make_book()
        assert book.enter(Identity(1, DID, None, TIME), HOST)
        assert book.store.get(hash_did(DID)) == Account(hash_did(DID), HOST)


class TestChanges:
    def test_each_account_once_as_it_is_last(self) -> None:
        book = make_book()
        book.enter(commit(OLD), HOST)
        book.enter(commit(NOW), HOST)
        book.enter(commit(NEW, OTHER), HOST)
        records = book.take_changes()
        found = [Account.decode(records[at : at + RECORD_BYTES]) for at in range(0, len(records), RECORD_BYTES)]
        assert [(x.did_hash, x.rev) for x in found] == [
            (hash_did(DID), tid_to_int(NOW)),
            (hash_did(OTHER), tid_to_int(NEW)),
        ]
        assert book.take_changes() == b""

    def test_what_is_refused_changes_nothing(self) -> None:
        book = make_book()
        book.enter(commit(NEW), HOST)
        book.take_changes()
        book.enter(commit(OLD), HOST)
        assert book.take_changes() == b""
