"""The table of accounts that replay leaves out: the changes since their events can still be in the archive.

A row for each account that is hidden, or was and is shown again, under the number of the `#account` event that told it.
So they are in order: shards ask for what is new to them, and what is older than the archive can be forgotten, because
an account that is hidden has no later commits. What this relay took down is kept for good.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.hiding import Visibility, VisibilityChange
from edgerelay.relay.accounts import Account, AccountStatus, AccountStore, hash_did
from edgerelay.runtime.sql import Sql

__all__ = ["MAX_HIDDEN", "PAGE_CHANGES", "SCHEMA", "HiddenTable", "visibility_of", "with_visibility"]

SCHEMA: Final = (
    "CREATE TABLE hidden (version INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, visibility INTEGER NOT NULL)",
)

PAGE_CHANGES: Final = 4_096
"""Changes that are read at once: 0.1 MB, and some 10 ms."""

MAX_HIDDEN: Final = 1_000_000
"""Rows that are kept, 60 MB on disk and 8 MB in the memory of each shard. Beyond it the oldest are forgotten, and their
accounts' events are replayed again."""

FORGOTTEN_ROWS: Final = 1_000
"""Rows that are forgotten at once."""

_ACCOUNT: Final = "#account"
_TOLD: Final = {Visibility.TAKEN_DOWN: AccountStatus.TAKENDOWN, Visibility.DELETED: AccountStatus.DELETED}
"""What the host says of an account that is hidden for it."""


def visibility_of(account: Account | None) -> Visibility:
    """Whether replay has the events of an account, by its status now."""
    if account is None:
        return Visibility.SHOWN
    if account.local_status is AccountStatus.TAKENDOWN:
        return Visibility.TAKEN_DOWN_HERE
    if not account.upstream_active and account.upstream_status is AccountStatus.TAKENDOWN:
        return Visibility.TAKEN_DOWN
    if not account.upstream_active and account.upstream_status is AccountStatus.DELETED:
        return Visibility.DELETED
    return Visibility.SHOWN


def with_visibility(account: Account, visibility: Visibility) -> Account:
    """The account with a status that has this visibility; otherwise as it was."""
    if visibility is Visibility.TAKEN_DOWN_HERE:
        return account._replace(local_status=AccountStatus.TAKENDOWN)
    account = account._replace(local_status=AccountStatus.ACTIVE)
    if visibility in _TOLD:
        return account._replace(upstream_active=False, upstream_status=_TOLD[visibility])
    if account.upstream_status in _TOLD.values():
        return account._replace(upstream_active=True, upstream_status=AccountStatus.UNKNOWN)
    return account


class HiddenTable:
    """The rows. All of it may raise `SqlError`."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        ((version, count),) = sql.execute("SELECT coalesce(max(version), 0), count(*) FROM hidden")
        self.version = int(version)
        """Of the newest change; 0 if there was none."""

        self._count = int(count)
        """Rows: to count a million takes the platform as many reads, which are paid for."""

        self._unwritten: list[VisibilityChange] = []

    def note(self, head: BatchHead, accounts: AccountStore) -> None:
        """Take note of what a batch's `#account` events tell; the store has its accounts already.

        What cannot be written is written with the next batch.
        """
        for kind, did, seq in zip(head.kinds, head.dids, head.seqs, strict=True):
            if kind == _ACCOUNT:
                key = hash_did(did)
                self._unwritten.append(VisibilityChange(seq, key, visibility_of(accounts.get(key))))
        self.put(self._unwritten)
        self._unwritten.clear()

    def put(self, changes: Iterable[VisibilityChange]) -> None:
        """Write changes; those that are there already, or later ones of the same accounts, stay."""
        for change in changes:
            self._set(change)

    def changes(self, after: int) -> list[VisibilityChange]:
        """The next changes behind a version, at most `PAGE_CHANGES`; fewer, if there are no more."""
        rows = self._sql.execute(
            "SELECT version, key, visibility FROM hidden WHERE version > ? ORDER BY version LIMIT ?",
            after,
            PAGE_CHANGES,
        )
        return [VisibilityChange(version, bytes(key), Visibility(visibility)) for version, key, visibility in rows]

    def forget(self, before: int) -> None:
        """Forget some of what is older than this number, or too much, unless it was this relay's decision."""
        bound = max(before, self.version) if self._count > MAX_HIDDEN else before
        forgotten = self._sql.execute(
            "DELETE FROM hidden WHERE version IN (SELECT version FROM hidden WHERE version < ? AND visibility != ?"
            " ORDER BY version LIMIT ?) RETURNING version",
            bound,
            int(Visibility.TAKEN_DOWN_HERE),
            FORGOTTEN_ROWS,
        )
        self._count -= len(forgotten)

    def _set(self, change: VisibilityChange) -> None:
        version, key, visibility = change
        rows = self._sql.execute("SELECT version, visibility FROM hidden WHERE key = ?", key)
        known_version, before = rows[0] if rows else (0, Visibility.SHOWN)
        if before != visibility and version >= known_version:
            self._sql.execute("INSERT OR REPLACE INTO hidden VALUES (?, ?, ?)", version, key, int(visibility))
            self._count += not rows
            self.version = max(self.version, version)
