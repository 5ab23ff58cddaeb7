"""What vetting asks for, on the platform: signatures here in the object, identities and statuses by the resolver.

Every question is a task of its own, which ends with an event. A defect of ours in one of them ends the object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.lookup import HASTE_S, PATIENCE_S, Answer, IdentityQuestion, StatusQuestion
from edgerelay.cloudflare.resolutions import ResolverClient
from edgerelay.cloudflare.tasks import Tasks
from edgerelay.errors import InvariantError
from edgerelay.relay.events import Event, StatusTold
from edgerelay.relay.lookups import Inquiry, LookupAnswer
from edgerelay.relay.vetting import CheckSignatures, IdentitiesResolved, SignaturesChecked, VettingEvent
from edgerelay.runtime.signatures import SignatureChecker

__all__ = ["Identities", "Signatures"]

Deliver: TypeAlias = "Callable[[Event | VettingEvent], None]"


class Signatures:
    """`SignaturePort` on the platform."""

    def __init__(self, checker: SignatureChecker, tasks: Tasks, deliver: Deliver) -> None:
        self._checker = checker
        self._tasks = tasks
        self._deliver = deliver

    def check(self, batch: CheckSignatures) -> None:
        """Begin to check a batch."""
        self._tasks.spawn(self._check(batch))

    async def _check(self, batch: CheckSignatures) -> None:
        self._deliver(SignaturesChecked(batch, await self._checker.check(batch.checks)))


class Identities:
    """`IdentityPort` on the platform."""

    def __init__(self, resolver: ResolverClient, tasks: Tasks, deliver: Deliver) -> None:
        self._resolver = resolver
        self._tasks = tasks
        self._deliver = deliver

    def look_up(self, inquiry: Inquiry) -> None:
        """Begin to ask for identities."""
        self._tasks.spawn(self._look_up(inquiry))

    def ask_status(self, did: str, origin: str) -> None:
        """Begin to ask a host about an account."""
        self._tasks.spawn(self._ask_status(did, origin))

    async def _look_up(self, inquiry: Inquiry) -> None:
        patience_s = PATIENCE_S if inquiry.patient else HASTE_S
        answers = await self._resolver.ask([IdentityQuestion(did, patience_s) for did in inquiry.dids])
        self._deliver(IdentitiesResolved(inquiry, [_identity(each) for each in answers]))

    async def _ask_status(self, did: str, origin: str) -> None:
        [answer] = await self._resolver.ask([StatusQuestion(did, origin)])
        if isinstance(answer, HostingStatus):
            self._deliver(StatusTold(did, answer.active, answer.status))
        else:
            self._deliver(StatusTold(did, None))


def _identity(answer: Answer) -> LookupAnswer:
    if isinstance(answer, HostingStatus):
        raise InvariantError("the resolver answered another question")
    return answer
