"""Accounts: what the relay remembers of each one, as a value, and the port of the store that keeps them.

A relay needs the same few facts of every account whatever its size (atproto sync specification, "Relays"): its host,
the status there and here, and the `rev`, commit and tree root of its newest commit. They fit 96 bytes. Accounts that
were deleted stay known. What follows from these facts is decided in `verify`; where they are stored is `runtime`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple, Protocol

from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.errors import InvariantError

__all__ = [
    "DIGEST_BYTES",
    "NO_DIGEST",
    "NO_REV",
    "RECENT_DIDS",
    "RECORD_BYTES",
    "Account",
    "AccountRecordError",
    "AccountStatus",
    "AccountStore",
    "MemoryAccounts",
    "hash_did",
]

RECORD_BYTES: Final = 96
"""Bytes of an account as it is stored, its key included."""

DIGEST_BYTES: Final = 32
"""Bytes of a SHA-256; the rest of a CID of a commit or a tree node is always the same (atproto data model: blessed)."""

RECENT_DIDS: Final = 1_024
"""DIDs whose hash is remembered, 0.25 MB: an event asks for it up to four times, before its signature is checked and
after, and a few hundred others come between."""

NO_REV: Final = 0
"""The rev of an account without a commit yet. No commit can have it: a commit's rev must be newer than the stored."""

NO_DIGEST: Final = bytes(DIGEST_BYTES)
"""The commit and data of an account without a commit yet."""

# hash, rev, commit, data, host, upstream and local status, flags, key id
_RECORD: Final = Struct(f"<{KEY_BYTES}sQ{DIGEST_BYTES}s{DIGEST_BYTES}sIBBH")
_UPSTREAM_ACTIVE: Final = 1
_DESYNCHRONIZED: Final = 2


class AccountRecordError(InvariantError):
    """A stored account has fields that this code does not write."""


class AccountStatus(IntEnum):
    """A hosting status (atproto account specification). The numbers are stored: they never change."""

    UNKNOWN = 0
    """Nothing heard yet, or a word that the specification does not list: `active` alone decides."""
    ACTIVE = 1
    DELETED = 2
    DEACTIVATED = 3
    TAKENDOWN = 4
    SUSPENDED = 5
    DESYNCHRONIZED = 6
    THROTTLED = 7

    @property
    def word(self) -> str | None:
        """The status as messages write it; None where they leave it out."""
        return _WORDS[self]

    @classmethod
    def from_message(cls, *, active: bool, status: str | None) -> AccountStatus:
        """Read `active` and `status` of an `#account` message or of `getRepoStatus`."""
        if status is None:
            return cls.ACTIVE if active else cls.UNKNOWN
        return _STATUS_OF_WORD.get(status, cls.UNKNOWN)


_STATUSES: Final = tuple(AccountStatus)
_WORDS: Final = tuple(None if status <= AccountStatus.ACTIVE else status.name.lower() for status in _STATUSES)
_STATUS_OF_WORD: Final = {word: status for status, word in zip(_STATUSES, _WORDS, strict=True) if word}
_INACTIVE: Final = frozenset(
    {AccountStatus.DELETED, AccountStatus.DEACTIVATED, AccountStatus.TAKENDOWN, AccountStatus.SUSPENDED}
)
# The two that the specification allows beside `active`.
_MILD: Final = frozenset({AccountStatus.DESYNCHRONIZED, AccountStatus.THROTTLED})


class Account(NamedTuple):
    """One account as the relay knows it; change it with `_replace`."""

    did_hash: bytes
    """`hash_did` of the account's DID."""

    host_id: int
    """The host that it was last accepted from (32 bits)."""

    rev: int = NO_REV
    """The `rev` of the newest commit or `#sync`, as the 64-bit number that the TID writes."""

    commit: bytes = NO_DIGEST
    """Digest of that commit's CID."""

    data: bytes = NO_DIGEST
    """Digest of the CID of that commit's tree root: what the next commit's `prevData` should be."""

    upstream_active: bool = True
    """`active` as the host said last; an account is taken for active until its host says otherwise."""

    upstream_status: AccountStatus = AccountStatus.UNKNOWN
    """`status` as the host said last."""

    local_status: AccountStatus = AccountStatus.ACTIVE
    """What this relay decided: taken down, suspended, throttled, or active."""

    desynchronized: bool = False
    """A commit did not continue the chain; cleared by the next `#sync` or continuous commit."""

    key_id: int = 0
    """Free for the identity layer to tell which signing key it used last (16 bits)."""

    @property
    def has_commit(self) -> bool:
        """Whether `rev`, `commit` and `data` mean anything yet."""
        return self.rev != NO_REV

    @property
    def active(self) -> bool:
        """Whether commits are passed on: neither this relay nor the host took the account out."""
        return self.upstream_active and self.local_status not in _INACTIVE

    @property
    def status(self) -> AccountStatus:
        """The status to publish beside `active`.

        The local one wins, except that a mild one does not hide why the host took the account out.
        """
        local, upstream = self.local_status, self.upstream_status
        if local in _INACTIVE:
            return local
        if not self.upstream_active:
            return upstream
        if local != AccountStatus.ACTIVE:
            return local
        if self.desynchronized:
            return AccountStatus.DESYNCHRONIZED
        return upstream if upstream in _MILD else AccountStatus.ACTIVE

    def encode(self) -> bytes:
        """Return the record of the account."""
        if (len(self.did_hash), len(self.commit), len(self.data)) != (KEY_BYTES, DIGEST_BYTES, DIGEST_BYTES):
            raise AccountRecordError("an account with a hash of the wrong length")
        return _RECORD.pack(
            self.did_hash,
            self.rev,
            self.commit,
            self.data,
            self.host_id,
            self.upstream_status << 4 | self.local_status,
            self.upstream_active * _UPSTREAM_ACTIVE | self.desynchronized * _DESYNCHRONIZED,
            self.key_id,
        )

    @classmethod
    def decode(cls, record: bytes) -> Account:
        """Read a record that `encode` wrote."""
        if len(record) != RECORD_BYTES:
            raise AccountRecordError(f"an account of {len(record)} bytes")
        did_hash, rev, commit, data, host_id, statuses, flags, key_id = _RECORD.unpack(record)
        try:
            upstream_status, local_status = _STATUSES[statuses >> 4], _STATUSES[statuses & 15]
        except IndexError as error:
            raise AccountRecordError(f"an account with the statuses {statuses:#04x}") from error
        if flags > _UPSTREAM_ACTIVE | _DESYNCHRONIZED:
            raise AccountRecordError(f"an account with the flags {flags:#04x}")
        return cls(
            did_hash,
            host_id,
            rev,
            commit,
            data,
            bool(flags & _UPSTREAM_ACTIVE),
            upstream_status,
            local_status,
            bool(flags & _DESYNCHRONIZED),
            key_id,
        )


class AccountStore(Protocol):
    """Where accounts are kept.

    `put` does not make an account durable: the event log does, in which the owner wrote the event that changed the
    account. After a restart the owner reads the log from `checkpoint_seq` on and puts those accounts again, in order;
    putting one twice, or one that is in the store already, is harmless.
    """

    @property
    def checkpoint_seq(self) -> int:
        """All accounts put for events up to this seq survive a restart; 0 before the first checkpoint."""

    @property
    def checkpoint_due(self) -> bool:
        """Whether to call `checkpoint` now because too many accounts wait for it."""

    def get(self, did_hash: bytes) -> Account | None:
        """Return the account as it was put last; None if it never was."""

    def put(self, account: Account) -> None:
        """Add or replace an account."""

    def checkpoint(self, at_seq: int) -> None:
        """Make all accounts put so far durable, and `at_seq`, the seq of the last event in the log, with them."""

    def merge_step(self) -> bool:
        """Do a short, bounded piece of tidying up, and say whether to call again soon."""

    def page(self, after: bytes, limit: int) -> list[Account]:
        """Return the first `limit` accounts whose hash is larger than `after` (b"" to begin), in order of the hash."""


class MemoryAccounts:
    """The account store of a relay that forgets when it stops; also what the durable one is compared with."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Account] = {}
        self._checkpoint_seq = 0

    @property
    def checkpoint_seq(self) -> int:
        return self._checkpoint_seq

    @property
    def checkpoint_due(self) -> bool:
        return False

    def get(self, did_hash: bytes) -> Account | None:
        return self._accounts.get(did_hash)

    def put(self, account: Account) -> None:
        self._accounts[account.did_hash] = account

    def checkpoint(self, at_seq: int) -> None:
        if at_seq < self._checkpoint_seq:
            raise InvariantError(f"a checkpoint at {at_seq}, the last one was at {self._checkpoint_seq}")
        self._checkpoint_seq = at_seq

    def merge_step(self) -> bool:
        return False

    def page(self, after: bytes, limit: int) -> list[Account]:
        ordered = sorted(self._accounts)
        start = bisect_right(ordered, after)
        return [self._accounts[did_hash] for did_hash in ordered[start : start + limit]]


@lru_cache(RECENT_DIDS)
def hash_did(did: str) -> bytes:
    """Return the key of an account: the first half of the SHA-256 of its DID."""
    return sha256(did.encode()).digest()[:KEY_BYTES]
