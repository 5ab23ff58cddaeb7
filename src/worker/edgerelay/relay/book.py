"""The account book: what each event says about its account, and whether it comes in order.

Reads and writes the account store, and remembers what changed since the last batch, so that the batch can carry it: a
restart puts those changes into the store again. What an event makes of an account is decided in `verify`.
"""

from __future__ import annotations

from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Message
from edgerelay.atproto.tid import tid_to_int
from edgerelay.relay.accounts import RECORD_BYTES, Account, AccountStatus, AccountStore, hash_did
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.verify import Claim, judge

__all__ = ["AccountBook"]


class AccountBook:
    """Keeps accounts in step with the events that are passed on."""

    def __init__(self, store: AccountStore) -> None:
        self.store = store
        self.chain_breaks = 0
        """Commits that did not continue what was known of their account."""

        self._changed: dict[bytes, Account] = {}

    def find(self, did: str) -> Account | None:
        """What is known of an account; None if it was never heard of."""
        return self.store.get(hash_did(did))

    def is_news(self, did: str, rev: str) -> bool:
        """Tell whether a `rev` is newer than the last one of its account."""
        account = self.find(did)
        return account is None or tid_to_int(rev) > account.rev

    def enter(self, message: Message, host_id: int, claim: Claim | None = None) -> RejectReason | None:
        """Take note of an event that is true in itself; if it comes too late, nothing is noted, and why is returned."""
        key = hash_did(message.did)
        judgement = judge(self.store.get(key) or Account(key, host_id), message, host_id, claim)
        if isinstance(judgement, RejectReason):
            return judgement
        self.chain_breaks += judgement.breaks_chain
        self._put(judgement.account)
        return None

    def set_status(self, did: str, *, active: bool, status: str | None) -> dict[str, Value] | None:
        """Take note of a status; returns what an `#account` must say now, if that is something else than before.

        Accounts that were never heard of stay unknown.
        """
        before = self.find(did)
        if before is None:
            return None
        told = AccountStatus.from_message(active=active, status=status)
        after = before._replace(upstream_active=active, upstream_status=told)
        self._put(after)
        return _statement(after) if _statement(after) != _statement(before) else None

    def set_local_status(self, did: str, status: AccountStatus, host_id: int) -> dict[str, Value]:
        """Take note of a decision of this relay; returns what an `#account` must say now.

        Accounts that were never heard of become known by it: what they write later must not pass.
        """
        key = hash_did(did)
        before = self.store.get(key) or Account(key, host_id)
        after = before._replace(local_status=status)
        self._put(after)
        return _statement(after)

    def restated(self, message: AccountMessage, body: dict[str, Value]) -> dict[str, Value]:
        """The body of an `#account` as we pass it on: the same, unless this relay has decided otherwise."""
        account = self.find(message.did)
        if account is None or account.local_status is AccountStatus.ACTIVE:
            return body
        return {name: value for name, value in body.items() if name != "status"} | _statement(account)

    def _put(self, account: Account) -> None:
        self.store.put(account)
        self._changed[account.did_hash] = account

    @property
    def changes_bytes(self) -> int:
        """What `take_changes` would return, in bytes."""
        return len(self._changed) * RECORD_BYTES

    def take_changes(self) -> bytes:
        """The records of all accounts that changed since the last call."""
        records = b"".join([account.encode() for account in self._changed.values()])
        self._changed.clear()
        return records


def _statement(account: Account) -> dict[str, Value]:
    """`active` and `status` of an account as messages write them."""
    word = account.status.word
    return {"active": account.active} if word is None else {"active": account.active, "status": word}
