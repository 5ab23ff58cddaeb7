"""Rebuilding: what the bucket tells becomes the state of a relay that has lost its own, or has an old copy of it.

What was decided here and who is hidden comes first, then what the newest events say of their accounts. The mark that
says how far the archive has come is written last: a rebuilding that is cut short is done again.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgerelay.archive.hiding import VisibilityChange
from edgerelay.relay.accounts import Account, AccountStatus, AccountStore
from edgerelay.runtime.hidden_table import HiddenTable, visibility_of, with_visibility
from edgerelay.runtime.recovery import Recovered
from edgerelay.runtime.registry import ArchiveMark, Registry
from edgerelay.runtime.sql import Sql

__all__ = ["Rebuilding"]


class Rebuilding:
    """One rebuilding. All of it may raise `SqlError`."""

    def __init__(self, sql: Sql, accounts: AccountStore, hidden: HiddenTable) -> None:
        self._sql = sql
        self._accounts = accounts
        self._hidden = hidden

    def hide(self, changes: Sequence[VisibilityChange]) -> None:
        """Take over who was hidden when that was stored; accounts become known by it."""
        self._hidden.put(changes)
        for change in changes:
            known = self._accounts.get(change.key) or Account(change.key, 0)
            self._put(with_visibility(known, change.visibility))

    def keep(self, found: Recovered, upstream: str, now_us: int) -> dict[str, object]:
        """Take over everything else, and forget the log. Returns what is to be said about it.

        Args:
            upstream: URL of the host that is read from now on. If its position is not known, the log begins at
                `now_us`, behind a hole that readers are told of.
        """
        registry = Registry(self._sql)
        goes_on = any(found.hosts.get(host_id) == upstream for host_id in found.positions)
        is_holed = bool(found.last_seq and upstream) and not goes_on
        last_seq = max(found.last_seq, now_us) if is_holed else found.last_seq
        for account in found.accounts:
            self._recall(account, is_told=account.did_hash in found.told)
        told = [(seq, key) for key, seq in found.told.items()]
        self._hidden.put(VisibilityChange(seq, key, visibility_of(self._accounts.get(key))) for seq, key in told)
        self._accounts.checkpoint(max(last_seq, self._accounts.checkpoint_seq))
        registry.replace_hosts(found.hosts)
        registry.save_positions(found.positions.values())
        self._sql.execute("DELETE FROM log")
        if last_seq:
            registry.save_archive_mark(ArchiveMark(last_seq))
        return {"last_seq": last_seq, "is_holed": is_holed, "accounts": len(found.accounts)}

    def _recall(self, account: Account, *, is_told: bool) -> None:
        """Take over an account from its newest events; `is_told` tells whether one of them was an `#account`."""
        known = self._accounts.get(account.did_hash)
        if known is not None:
            is_ours = (
                known.local_status is AccountStatus.TAKENDOWN and account.upstream_status is AccountStatus.TAKENDOWN
            )
            if is_ours or not is_told:  # what was said of it was this relay's decision
                account = account._replace(upstream_active=known.upstream_active, upstream_status=known.upstream_status)
            if not account.has_commit:
                account = account._replace(rev=known.rev, commit=known.commit, data=known.data)
            account = account._replace(local_status=known.local_status)
        self._put(account)

    def _put(self, account: Account) -> None:
        self._accounts.put(account)
        if self._accounts.checkpoint_due:
            self._accounts.checkpoint(self._accounts.checkpoint_seq)
