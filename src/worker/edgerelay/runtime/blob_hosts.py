"""Where an account's blobs are to be had: at the host that its identity names.

RelayState is asked first: it knows whether the account is active, and mostly its identity. Accounts of which no event
was seen have no answer, so that a stranger cannot make the relay look up whatever he likes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from edgerelay.api.blobs import BlobProblem
from edgerelay.atproto.identity import Identity
from edgerelay.atproto.lookup import Answer, IdentityQuestion, LookupFailure, Question
from edgerelay.atproto.origin import is_public_origin

__all__ = ["BlobHosts"]

_INACTIVE: Final = {
    "deleted": BlobProblem.REPO_DELETED,
    "takendown": BlobProblem.REPO_TAKENDOWN,
    "suspended": BlobProblem.REPO_SUSPENDED,
}


class BlobHosts:
    """Finds hosts."""

    def __init__(
        self,
        hosting: Callable[[str], Awaitable[Mapping[str, Any]]],
        ask: Callable[[Sequence[Question]], Awaitable[list[Answer]]],
        *,
        allow_local: bool,
    ) -> None:
        """`hosting` asks RelayState about a DID, `ask` the resolver; `allow_local` is for development."""
        self._hosting = hosting
        self._ask = ask
        self._allow_local = allow_local

    async def find(self, did: str) -> str | BlobProblem:
        """The origin of the account's host, or why there is none. Raises whatever `hosting` raises."""
        known = await self._hosting(did)
        if not known:
            return BlobProblem.REPO_NOT_FOUND
        if not known["active"]:
            return _INACTIVE.get(known.get("status", ""), BlobProblem.REPO_DEACTIVATED)
        host = known.get("host") or await self._look_up(did)
        if isinstance(host, BlobProblem) or is_public_origin(host, allow_local=self._allow_local):
            return host
        return BlobProblem.HOST_NOT_FOUND

    async def _look_up(self, did: str) -> str | BlobProblem:
        [answer] = await self._ask([IdentityQuestion(did)])
        match answer:
            case Identity(pds=str(host)):
                return host
            case LookupFailure(is_final=False):
                return BlobProblem.IDENTITY_UNAVAILABLE
            case _:
                return BlobProblem.HOST_NOT_FOUND
