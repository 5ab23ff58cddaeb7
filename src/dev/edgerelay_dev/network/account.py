"""An account: an identity, a key, a repository and a status, at one host at a time."""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from edgerelay.atproto.cid import cid_for_raw, cid_to_link, cid_to_text
from edgerelay_dev.network.key import SigningKey, derive_key
from edgerelay_dev.network.repository import Record, Repository
from edgerelay_dev.network.tid import TidClock

__all__ = ["Account", "StoredBlob", "open_account", "plc_did"]

_PLC_CHARS: Final = 24
_CLOCK_IDS: Final = 1024


class StoredBlob(NamedTuple):
    """What a host answers when it is asked for a blob."""

    data: bytes
    mime_type: str


@dataclass(slots=True)
class Account:
    """One account; everything about it that is not in its repository."""

    did: str
    handle: str
    key: SigningKey
    host_url: str
    """Where its identity document says that its data is."""
    repository: Repository
    clock: TidClock
    """Source of its revs and record keys, which therefore never collide."""
    status: str | None = None
    """None while active, else `deactivated`, `takendown`, `suspended` or `deleted`."""
    key_version: int = 0
    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    """By their CIDs; what lies there may be something else."""

    @property
    def active(self) -> bool:
        """Whether the account may write and be read."""
        return self.status is None

    def store_blob(self, data: bytes, mime_type: str) -> Record:
        """Keep a blob; returns what a record says of it."""
        cid = cid_for_raw(data)
        self.blobs[cid_to_text(cid)] = StoredBlob(data, mime_type)
        return {"$type": "blob", "ref": cid_to_link(cid), "mimeType": mime_type, "size": len(data)}

    def next_key(self, seed: str, curve: str | None = None) -> SigningKey:
        """Change to the next key of this account, on the same curve unless told otherwise."""
        self.key_version += 1
        self.key = derive_key(curve or self.key.curve.name, f"{seed}/{self.did}/{self.key_version}")
        return self.key


def plc_did(label: str) -> str:
    """Make a DID of the form that the PLC directory gives out; the same label gives the same DID."""
    return "did:plc:" + b32encode(sha256(label.encode()).digest()).decode().lower()[:_PLC_CHARS]


def open_account(did: str, handle: str, curve: str, seed: str, host_url: str) -> Account:
    """Make a new account with its first key and an empty repository."""
    clock_id = int.from_bytes(sha256(did.encode()).digest()[:2], "big") % _CLOCK_IDS
    key = derive_key(curve, f"{seed}/{did}/0")
    return Account(did, handle, key, host_url, Repository(did), TidClock(clock_id))
