"""The account book: what each event says about its account, and whether it comes in order.

Reads and writes the account store, and remembers what changed since the last batch, so that the batch can carry it: a
restart puts those changes into the store again.

Spec: sync, "Commit Validation" (a `rev` that is not newer is ignored); account hosting, for `#account`.
"""

from __future__ import annotations

from edgerelay.atproto.cid import CBOR_PREFIX
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Message, Sync
from edgerelay.atproto.tid import tid_to_int
from edgerelay.relay.accounts import NO_DIGEST, RECORD_BYTES, Account, AccountStatus, AccountStore, hash_did

__all__ = ["AccountBook"]


class AccountBook:
    """Keeps accounts in step with the events that are passed on."""

    def __init__(self, store: AccountStore) -> None:
        self.store = store
        self._changed: dict[bytes, Account] = {}

    def is_news(self, did: str, rev: str) -> bool:
        """Tell whether a `rev` is newer than the last one of its account."""
        account = self.store.get(hash_did(did))
        return account is None or tid_to_int(rev) > account.rev

    def enter(self, message: Message, host_id: int) -> bool:
        """Take note of an event; False, and nothing is noted, if its `rev` is older than what is known.

        A `#sync` may repeat the `rev` of the commit before it: that is how accounts begin.
        """
        key = hash_did(message.did)
        account = self.store.get(key) or Account(key, host_id)
        match message:
            case Commit():
                rev = tid_to_int(message.rev)
                if rev <= account.rev:
                    return False
                commit = message.commit[len(CBOR_PREFIX) :]
                account = account._replace(host_id=host_id, rev=rev, commit=commit, data=NO_DIGEST)
            case Sync():
                rev = tid_to_int(message.rev)
                if rev < account.rev:
                    return False
                if rev > account.rev:
                    account = account._replace(host_id=host_id, rev=rev, commit=NO_DIGEST, data=NO_DIGEST)
            case AccountMessage():
                status = AccountStatus.from_message(active=message.active, status=message.status)
                account = account._replace(upstream_active=message.active, upstream_status=status)
        self.store.put(account)
        self._changed[key] = account
        return True

    @property
    def changes_bytes(self) -> int:
        """What `take_changes` would return, in bytes."""
        return len(self._changed) * RECORD_BYTES

    def take_changes(self) -> bytes:
        """The records of all accounts that changed since the last call."""
        records = b"".join([account.encode() for account in self._changed.values()])
        self._changed.clear()
        return records
