"""The table of hidden accounts: what it notes, tells and forgets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.archive.batch import BatchBuilder, BatchHead
from edgerelay.archive.hiding import Visibility, VisibilityChange
from edgerelay.relay.accounts import Account, AccountStatus, MemoryAccounts, hash_did
from edgerelay.runtime import hidden_table as module
from edgerelay.runtime.hidden_table import HiddenTable, visibility_of, with_visibility
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite
from tests.crashing import CrashingSql
from tests.oracle import frames

KEYS = [hash_did(frames.did(number)) for number in range(9)]
HERE, SHOWN = Visibility.TAKEN_DOWN_HERE, Visibility.SHOWN


class Stand:
    """A table and accounts that it looks at."""

    def __init__(self) -> None:
        self._sqlite = Sqlite()
        self.sql = CrashingSql(self._sqlite)
        migrate(self.sql)
        self.table = HiddenTable(self.sql)
        self.accounts = MemoryAccounts()

    def say(self, seq: int, number: int, visibility: Visibility, kind: str = "#account") -> None:
        """A batch with an event about an account whose status is that now."""
        account = with_visibility(Account(KEYS[number], 1), visibility)
        self.accounts.put(account)
        self.table.note(head_of(seq, number, kind), self.accounts)

    def close(self) -> None:
        self._sqlite.close()


def head_of(seq: int, number: int, kind: str) -> BatchHead:
    builder = BatchBuilder(0)
    builder.add(seq, kind, frames.did(number), (), b"x")
    return builder.build((), b"").head


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.close()


class TestVisibility:
    @pytest.mark.parametrize("visibility", Visibility)
    @pytest.mark.parametrize("before", Visibility)
    def test_an_account_with_it_has_it(self, visibility: Visibility, before: Visibility) -> None:
        account = with_visibility(Account(KEYS[0], 1), before)
        assert visibility_of(with_visibility(account, visibility)) is visibility

    def test_whoever_is_shown_stays_what_he_was(self) -> None:
        account = Account(KEYS[0], 1, upstream_active=False, upstream_status=AccountStatus.DEACTIVATED)
        assert with_visibility(account, SHOWN) == account

    def test_only_takedowns_and_deletions_hide(self) -> None:
        for status in AccountStatus:
            account = Account(KEYS[0], 1, upstream_active=False, upstream_status=status)
            is_hidden = status in (AccountStatus.TAKENDOWN, AccountStatus.DELETED)
            assert (visibility_of(account) is not SHOWN) == is_hidden
            assert visibility_of(account._replace(upstream_active=True)) is SHOWN
        assert visibility_of(None) is SHOWN


class TestNote:
    def test_each_account_stands_under_its_last_change(self, stand: Stand) -> None:
        stand.say(10, 1, Visibility.DELETED)
        stand.say(20, 2, HERE)
        stand.say(30, 1, SHOWN)
        stand.say(40, 3, SHOWN)
        assert stand.table.changes(0) == [(20, KEYS[2], HERE), (30, KEYS[1], SHOWN)]
        assert stand.table.changes(20) == [(30, KEYS[1], SHOWN)]
        assert stand.table.changes(30) == []
        assert stand.table.version == HiddenTable(stand.sql).version == 30

    def test_what_is_said_again_is_no_change(self, stand: Stand) -> None:
        stand.say(10, 1, HERE)
        rows = stand.sql.rows_written
        stand.say(20, 1, HERE)
        stand.say(30, 2, Visibility.DELETED, kind="#identity")
        assert stand.table.changes(0) == [(10, KEYS[1], HERE)]
        assert stand.sql.rows_written == rows

    def test_what_is_older_than_what_is_known_changes_nothing(self, stand: Stand) -> None:
        stand.say(20, 1, SHOWN)
        stand.say(30, 2, HERE)
        stand.table.put([VisibilityChange(10, KEYS[2], SHOWN), VisibilityChange(40, KEYS[2], SHOWN)])
        assert stand.table.changes(0) == [(40, KEYS[2], SHOWN)]
        stand.table.put([VisibilityChange(30, KEYS[2], HERE)])
        assert stand.table.changes(0) == [(40, KEYS[2], SHOWN)]

    def test_what_cannot_be_written_is_written_with_the_next_batch(self, stand: Stand) -> None:
        with stand.sql.crash_after(0):
            stand.say(10, 1, HERE)
        assert stand.table.changes(0) == []
        stand.say(20, 2, SHOWN, kind="#commit")
        assert stand.table.changes(0) == [(10, KEYS[1], HERE)]

    def test_changes_come_in_pages(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PAGE_CHANGES", 2)
        stand.table.put([VisibilityChange(number + 1, KEYS[number], HERE) for number in range(5)])
        pages, version = [], 0
        while page := stand.table.changes(version):
            pages.append(len(page))
            version = page[-1].version
        assert pages == [2, 2, 1]


class TestForget:
    def test_what_is_old_goes_unless_it_was_decided_here(self, stand: Stand) -> None:
        for seq, visibility in enumerate([Visibility.DELETED, HERE, SHOWN, Visibility.TAKEN_DOWN], 1):
            stand.table.put([VisibilityChange(seq, KEYS[seq], Visibility.DELETED)])
            stand.table.put([VisibilityChange(seq, KEYS[seq], visibility)])
        stand.table.forget(4)
        assert [change.version for change in stand.table.changes(0)] == [2, 4]

    def test_beyond_the_bound_the_oldest_go(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_HIDDEN", 3)
        monkeypatch.setattr(module, "FORGOTTEN_ROWS", 2)
        for number in range(6):
            stand.table.put([VisibilityChange(number + 1, KEYS[number], Visibility.DELETED)])
        stand.table.forget(0)
        assert [change.version for change in stand.table.changes(0)] == [3, 4, 5, 6]
        for _ in range(3):
            stand.table.forget(0)
        assert [change.version for change in stand.table.changes(0)] == [5, 6]

    def test_the_bound_is_kept_without_counting_again(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_HIDDEN", 3)
        monkeypatch.setattr(module, "FORGOTTEN_ROWS", 1)
        for version, (number, visibility) in enumerate([(1, HERE), (2, SHOWN), (2, HERE), (3, HERE), (1, SHOWN)], 1):
            stand.table.put([VisibilityChange(version, KEYS[number], visibility)])
        stand.table.forget(0)
        assert len(stand.table.changes(0)) == 3, "no more than the bound, however often they changed"
        stand.table.put([VisibilityChange(6, KEYS[4], Visibility.DELETED)])
        reads = stand.sql.reads
        for _ in range(3):
            stand.table.forget(0)
        assert stand.sql.reads == reads
        assert [change.version for change in stand.table.changes(0)] == [3, 4, 6], "down to the bound"
