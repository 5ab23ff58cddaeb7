"""Rebuilding: what is known of an account already, beside what the bucket tells. The whole of it is in `test_node`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.archive.hiding import Visibility, VisibilityChange
from edgerelay.relay.accounts import Account, AccountStatus, MemoryAccounts, hash_did
from edgerelay.relay.position import PositionRow
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.rebuilding import Rebuilding
from edgerelay.runtime.recovery import Recovered
from edgerelay.runtime.registry import ArchiveMark, Registry
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite
from tests.oracle import frames

KEY = hash_did(frames.did(1))
HOST = "wss://pds.test"
NOW_US = frames.NOW_US


class Stand:
    """Stores, and what is rebuilt in them."""

    def __init__(self) -> None:
        self.sql = Sqlite()
        migrate(self.sql)
        self.accounts, self.hidden = MemoryAccounts(), HiddenTable(self.sql)
        self.rebuilding = Rebuilding(self.sql, self.accounts, self.hidden)

    def keep(self, *accounts: Account, told: dict[bytes, int] | None = None, host: str = HOST) -> dict[str, object]:
        positions = {1: PositionRow(1, 0, 17, (), 5, 0)}
        return self.rebuilding.keep(Recovered(100, {1: HOST}, positions, accounts, told or {}), host, NOW_US)

    @property
    def account(self) -> Account:
        found = self.accounts.get(KEY)
        assert found is not None
        return found


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.sql.close()


class TestPlace:
    def test_it_goes_on_behind_the_archive(self, stand: Stand) -> None:
        assert stand.keep() == {"last_seq": 100, "is_holed": False, "accounts": 0}
        registry = Registry(stand.sql)
        assert registry.archive_mark() == ArchiveMark(100)
        assert registry.hosts() == {1: HOST}
        assert registry.positions()[1].low == 17

    def test_or_behind_a_hole_where_the_host_is_another(self, stand: Stand) -> None:
        assert stand.keep(host="wss://other.test")["is_holed"]
        assert Registry(stand.sql).archive_mark() == ArchiveMark(NOW_US)

    def test_without_a_host_there_is_no_hole(self, stand: Stand) -> None:
        assert not stand.keep(host="")["is_holed"]

    def test_an_empty_archive_leaves_no_mark(self, stand: Stand) -> None:
        stand.rebuilding.keep(Recovered(0, {}, {}, (), {}), HOST, NOW_US)
        assert Registry(stand.sql).archive_mark() == ArchiveMark()


class TestAccounts:
    def test_one_that_is_not_known_is_as_its_events_say(self, stand: Stand) -> None:
        account = Account(KEY, 1, 5, bytes([1] * 32), bytes([2] * 32), False, AccountStatus.DEACTIVATED)
        stand.keep(account, told={KEY: 90})
        assert stand.account == account

    def test_what_its_events_do_not_say_stays(self, stand: Stand) -> None:
        known = Account(KEY, 1, 5, bytes([1] * 32), bytes([2] * 32), False, AccountStatus.DEACTIVATED)
        stand.accounts.put(known)
        stand.keep(Account(KEY, 1, 7, bytes([3] * 32), bytes([4] * 32)))
        assert stand.account == known._replace(rev=7, commit=bytes([3] * 32), data=bytes([4] * 32))
        stand.keep(Account(KEY, 1, upstream_active=True, upstream_status=AccountStatus.ACTIVE), told={KEY: 90})
        assert (stand.account.rev, stand.account.active) == (7, True)

    def test_what_this_relay_decided_is_no_word_of_its_host(self, stand: Stand) -> None:
        stand.rebuilding.hide([VisibilityChange(90, KEY, Visibility.TAKEN_DOWN_HERE)])
        takendown = Account(KEY, 1, 5, upstream_active=False, upstream_status=AccountStatus.TAKENDOWN)
        stand.keep(takendown, told={KEY: 90})
        assert stand.account.local_status is AccountStatus.TAKENDOWN
        assert stand.account._replace(local_status=AccountStatus.ACTIVE).active
        assert [change.visibility for change in stand.hidden.changes(0)] == [Visibility.TAKEN_DOWN_HERE]

    def test_what_an_old_copy_says_is_overruled_by_what_was_stored_later(self, stand: Stand) -> None:
        stand.accounts.put(Account(KEY, 1, 5, local_status=AccountStatus.TAKENDOWN))
        stand.rebuilding.hide([VisibilityChange(90, KEY, Visibility.SHOWN)])
        assert (stand.account.rev, stand.account.active) == (5, True)

    def test_a_status_that_was_not_stored_hides(self, stand: Stand) -> None:
        deleted = Account(KEY, 1, upstream_active=False, upstream_status=AccountStatus.DELETED)
        stand.keep(deleted, told={KEY: 90})
        assert stand.hidden.changes(0) == [(90, KEY, Visibility.DELETED)]
