"""What malformed frames are made of: right events of a real account, and a hand that can write wrong CBOR.

Nothing that is made here happened: commits are made on a fork of the repository, so that the account's next right
commit follows the last right one. Frames that a relay keeps are the exception (`lasting`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edgerelay.atproto.dagcbor import Value, encode
from edgerelay_dev.network.account import Account, open_account, plc_did
from edgerelay_dev.network.event import Event, account_event, commit_event, identity_event, sync_event
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.repository import Change, Create, Record, Repository, Update, Write

__all__ = [
    "ARRAY",
    "BYTES",
    "INTEGER",
    "MAP",
    "TAG",
    "TEXT",
    "Body",
    "Material",
    "canonical_keys",
    "cbor_head",
    "header_bytes",
    "raw_map",
]

Body = dict[str, Value]

INTEGER: Final = 0
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4
MAP: Final = 5
TAG: Final = 6
"""Major types of CBOR (RFC 8949, section 3.1)."""

_WIDTHS: Final = {1: 24, 2: 25, 4: 26, 8: 27}
"""Additional information that announces an argument of so many bytes."""

NOTE_COLLECTION: Final = "app.bsky.feed.post"


@dataclass(slots=True)
class Material:
    """One account at one host, about to say something."""

    host: Host
    account: Account
    lasting: bool
    """Whether what is made really happens to the account."""

    @property
    def seq(self) -> int:
        """The number that the frame will stand at; grows when a builder lets the host emit something first."""
        return self.host.log.newest + 1

    def change(self, *writes: Write) -> Change:
        """Make a right commit, of one new record unless told otherwise."""
        repository = self.account.repository if self.lasting else self.fork()
        return repository.commit(writes or [self.create()], self.next_tid(), self.account.key)

    def fork(self) -> Repository:
        """Copy the account's repository."""
        return self.account.repository.fork()

    def create(self, text: str = "a note") -> Create:
        """A write that adds a record."""
        return Create(f"{NOTE_COLLECTION}/{self.next_tid()}", self.note(text))

    def update(self, text: str = "another note") -> Update:
        """A write that changes a record; one is written first, for good, if there is none."""
        if not self.account.repository.records:
            self.host.commit(self.account, self.create())
        return Update(next(iter(self.account.repository.records)), self.note(text))

    def note(self, text: str) -> Record:
        """A record's content."""
        return {"$type": NOTE_COLLECTION, "text": text, "createdAt": self.host.now_text()}

    def next_tid(self) -> str:
        """A rev or a record key."""
        return self.host.next_tid(self.account)

    def commit_body(self, change: Change | None = None) -> Body:
        """The body of a right `#commit`."""
        return self._numbered(commit_event(self.account.did, change or self.change(), self.host.now_text()))

    def body(self, kind: str) -> Body:
        """The body of a right event of any kind."""
        did, time = self.account.did, self.host.now_text()
        if kind == "#commit":
            return self.commit_body()
        if kind == "#identity":
            return self._numbered(identity_event(did, self.account.handle, time))
        if kind == "#account":
            return self._numbered(account_event(did, None, time))
        repository = self.account.repository if self.lasting else self.fork()
        return self._numbered(sync_event(did, repository.sign_again(self.next_tid(), self.account.key), time))

    def frame(self, kind: str, **changes: Value) -> bytes:
        """The frame of a right event with some fields replaced."""
        return self.write(kind, self.body(kind) | changes)

    def write(self, kind: str, body: Body) -> bytes:
        """The frame of any body."""
        return header_bytes(kind) + encode(body)

    def stranger(self, host_url: str | None, status: int | None = None) -> Material:
        """Material of an account that this host does not have.

        Its document names another host, or does not exist (None), or is tombstoned with a status.
        """
        did = plc_did(f"{self.host.seed}/stranger/{self.host.index}/{self.seq}")
        account = open_account(did, "stranger.test", "k256", self.host.seed, host_url or "")
        if host_url is not None:
            self.host.directory.publish(account)
        if status is not None:
            self.host.directory.tombstone(did, status)
        return Material(self.host, account, lasting=True)

    def _numbered(self, event: Event) -> Body:
        return event.body | {"seq": self.seq}


def header_bytes(kind: str) -> bytes:
    """The header of a message."""
    return encode({"t": kind, "op": 1})


def cbor_head(major: int, value: int, width: int | None = None) -> bytes:
    """Write the head of an item, in the shortest form or with an argument of `width` bytes."""
    if width is None and value < _WIDTHS[1]:
        return bytes((major << 5 | value,))
    width = width or next(size for size in _WIDTHS if value < 1 << 8 * size)
    return bytes((major << 5 | _WIDTHS[width],)) + value.to_bytes(width, "big")


def raw_map(body: Body, replaced: Mapping[str, bytes] | None = None, order: Sequence[str] | None = None) -> bytes:
    """Write a map with the keys in canonical or in a given order, and some values as the bytes given.

    A key that occurs twice in `order` is written twice.
    """
    keys = canonical_keys(body) if order is None else order
    values = {key: encode(value) for key, value in body.items()} | dict(replaced or {})
    return cbor_head(MAP, len(keys)) + b"".join(encode(key) + values[key] for key in keys)


def canonical_keys(body: Body) -> list[str]:
    """The keys of a map in the only right order."""
    return sorted(body, key=lambda key: (len(key), key))
