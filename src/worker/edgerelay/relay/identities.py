"""Identities: what the relay remembers of each account's DID document, as a value, and the port of the store of them.

An identity that was looked up is kept so that it need not be looked up again: losing one costs a look-up, keeping one
too long costs trust. Looking them up is the resolver's business, what follows from them is decided in `vetting`, and
where they are stored is `runtime`'s.

Spec: atproto identity guide, "Caching"; sync, "Identity Events" (`#identity` asks for a document to be read again).
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from edgerelay.atproto.keys import PublicKey

__all__ = ["IDENTITY_TTL_US", "IdentityStore", "KnownIdentity", "MemoryIdentities"]

_SECOND_US: Final = 1_000_000

IDENTITY_TTL_US: Final = 24 * 3_600 * _SECOND_US
"""How long an identity may be used: a day at most (Bluesky's documentation for operators, "Resolving Identities").

`#identity` is sent on a best effort, so that without an end to it a change could be missed for ever."""


class KnownIdentity(NamedTuple):
    """What a DID document said when it was read."""

    key: PublicKey | None
    """The signing key; None if the document has none that can be used."""

    pds: str | None
    """The account's host as an origin, `https://host[:port]`; None if the document names none."""

    resolved_us: int
    """When the document was read, in unix microseconds. A store keeps the second."""

    def is_fresh(self, now_us: int) -> bool:
        """Tell whether it may still be used. One from the future was read under a clock that has been put right."""
        return abs(now_us - self.resolved_us) <= IDENTITY_TTL_US


class IdentityStore(Protocol):
    """Where identities are kept, by `hash_did` of their DID.

    Only `checkpoint` makes anything durable. What was put since the last one is looked up again after a crash; what was
    *forgotten* since then is back, and has to be forgotten again by the owner, from the `#identity` events in its log.
    """

    @property
    def checkpoint_due(self) -> bool:
        """Whether to call `checkpoint` now because too many identities wait for it."""

    def get(self, did_hash: bytes) -> KnownIdentity | None:
        """Return the identity that was put last, whatever its age; None if it is not, or no longer, known."""

    def put(self, did_hash: bytes, identity: KnownIdentity) -> None:
        """Add or replace an identity."""

    def forget(self, did_hash: bytes) -> None:
        """Make an identity unknown until it is put again."""

    def checkpoint(self, now_us: int) -> None:
        """Make durable what was put and forgotten. Identities that are not fresh `now` may go from here on."""

    def merge_step(self) -> bool:
        """Do a short, bounded piece of tidying up, and say whether to call again soon."""


class MemoryIdentities:
    """The identities of a relay that forgets when it stops; also what the durable store is compared with."""

    def __init__(self) -> None:
        self._identities: dict[bytes, KnownIdentity] = {}

    @property
    def checkpoint_due(self) -> bool:
        return False

    def get(self, did_hash: bytes) -> KnownIdentity | None:
        return self._identities.get(did_hash)

    def put(self, did_hash: bytes, identity: KnownIdentity) -> None:
        second_us = identity.resolved_us // _SECOND_US * _SECOND_US
        self._identities[did_hash] = identity._replace(resolved_us=second_us)

    def forget(self, did_hash: bytes) -> None:
        self._identities.pop(did_hash, None)

    def checkpoint(self, now_us: int) -> None:
        self._identities = {key: known for key, known in self._identities.items() if known.is_fresh(now_us)}

    def merge_step(self) -> bool:
        return False
