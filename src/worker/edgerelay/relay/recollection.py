"""What events that are kept tell of their accounts, read from the newest to the oldest.

For a relay whose account store is lost. The newest commit of an account has its `rev` and the root of its tree, the
newest `#account` its status; whatever is older says nothing more. The events were verified before they were kept.
"""

from __future__ import annotations

from typing import Final

from edgerelay.archive.batch import Batch
from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import CBOR_PREFIX, Cid
from edgerelay.atproto.commit import announced_commit
from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Sync, parse_message
from edgerelay.atproto.tid import tid_to_int
from edgerelay.errors import WireError
from edgerelay.relay.accounts import NO_DIGEST, Account, AccountStatus, hash_did

__all__ = ["MAX_RECALLED", "Recollection"]

MAX_RECALLED: Final = 65_536
"""Accounts that are held in memory at once, 25 MB. More are not recalled: their next event is taken as the first."""

_REV_KINDS: Final = ("#commit", "#sync")


class Recollection:
    """Accounts, as far as the events so far tell."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Account] = {}
        self.told: dict[bytes, int] = {}
        """The number of the newest `#account` of each account that has one."""

    @property
    def is_full(self) -> bool:
        """No further account is taken in."""
        return len(self._accounts) >= MAX_RECALLED

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All that are recalled."""
        return tuple(self._accounts.values())

    def read(self, batch: Batch, host_id: int) -> None:
        """Take in events that are older than all before; they came from this host."""
        head, events = batch.head, list(batch.split())
        for kind, did, (seq, raw) in zip(reversed(head.kinds), reversed(head.dids), reversed(events), strict=True):
            if not raw:
                continue  # purged
            key = hash_did(did)
            account = self._accounts.get(key)
            if account is None:
                if self.is_full:
                    continue
                account = Account(key, host_id)
            if kind == "#account" and key not in self.told:
                self.told[key] = seq
                self._accounts[key] = _told(account, kind, raw)
            elif kind in _REV_KINDS and not account.has_commit:
                self._accounts[key] = _told(account, kind, raw)


def _told(account: Account, kind: str, raw: bytes) -> Account:
    """The account with what an event says of it; one that cannot be read says nothing."""
    try:
        frame = decode_frame(raw)
        message = parse_message(kind, frame.body) if isinstance(frame, Frame) else None
    except WireError:
        return account
    match message:
        case AccountMessage():
            status = AccountStatus.from_message(active=message.active, status=message.status)
            return account._replace(upstream_active=message.active, upstream_status=status)
        case Commit() | Sync():
            return _with_commit(account, message)
    return account


def _with_commit(account: Account, message: Commit | Sync) -> Account:
    cid = message.commit if isinstance(message, Commit) else None
    known = account._replace(rev=tid_to_int(message.rev), commit=NO_DIGEST if cid is None else _digest(cid))
    try:
        car = parse_car(message.blocks)
        commit = announced_commit(car, message.did, message.rev, cid)
    except WireError:  # a relay that trusts its host passes it on; the next commit is compared by its `since`
        return known
    return known._replace(commit=_digest(car.root), data=_digest(commit.data))


def _digest(cid: Cid) -> bytes:
    return cid[len(CBOR_PREFIX) :]
