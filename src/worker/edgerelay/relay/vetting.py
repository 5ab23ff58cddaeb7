"""Vetting: what an event waits for between its arrival and its verdict.

    candidate ─▶ its blocks ─▶ an identity ─▶ the host ─▶ the signature ─▶ verdict
                 (at once)       │    ▲          │             │
                                 ▼    └──────────┴─ suspicion ─┘
                              look-ups

Checks that need nothing but the event are made at once. Those that need an identity wait for it; signatures of one turn
are checked as one batch. What does not fit an identity that was known before the event arrived is a *suspicion*: the
account may have moved, or changed its key, a moment ago. The identity is then asked for once more, and what does not
fit the answer either is refused. An `#identity` makes everything known about its account be asked for anew, and so does
an `#account`: the host that an account has left has something to say about it, too.

With a PDS as upstream, every event must come from the host that the identity names. With a relay, `#account` and
`#identity` are taken as that relay's word. Nothing passes unverified but in `trusted` mode, and what `lenient` counts.

It keeps no order: that is `inflight`'s. What becomes of an event that is true in itself is `relay`'s.

Spec: atproto sync, "Commit Validation"; atproto DID; account hosting ("Account Migration").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias, assert_never

from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Sync
from edgerelay.atproto.messages import Identity as IdentityMessage
from edgerelay.atproto.origin import origin_of_host_url, same_origin
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.config import Settings
from edgerelay.relay.accounts import AccountStore, hash_did
from edgerelay.relay.host import Host
from edgerelay.relay.identities import IdentityStore, KnownIdentity
from edgerelay.relay.intake import Candidate
from edgerelay.relay.lookups import Inquiry, LookupAnswer, LookupPolicy, Lookups, Outcome
from edgerelay.relay.reject import TOLERABLE, RejectReason
from edgerelay.relay.verify import Refusal, check_rev, examine

__all__ = [
    "CheckSignatures",
    "IdentitiesResolved",
    "LookUp",
    "LookupsDue",
    "SetLookupTimer",
    "SignaturesChecked",
    "Vetting",
    "VettingCommand",
    "VettingEvent",
]


BATCH: Final = 256
"""Signatures of one batch: the object does nothing else meanwhile, for some 50 ms."""


class CheckSignatures(NamedTuple):
    """Check signatures, as one batch. Answered by `SignaturesChecked`."""

    candidates: list[Candidate]
    checks: list[SignatureCheck]
    """One for each candidate."""


class LookUp(NamedTuple):
    """Ask for identities. Answered by `IdentitiesResolved`."""

    inquiry: Inquiry


class SetLookupTimer(NamedTuple):
    """Come back with `LookupsDue` at this time; replaces the timer set before."""

    at_us: int


class SignaturesChecked(NamedTuple):
    """The signatures of a batch are right, or not."""

    batch: CheckSignatures
    right: list[bool]


class IdentitiesResolved(NamedTuple):
    """Answers to an inquiry, one for each of its DIDs."""

    inquiry: Inquiry
    answers: list[LookupAnswer]


class LookupsDue(NamedTuple):
    """The timer of the look-ups fired."""


VettingCommand: TypeAlias = "CheckSignatures | LookUp | SetLookupTimer"
VettingEvent: TypeAlias = "SignaturesChecked | IdentitiesResolved | LookupsDue"


class Vetting:
    """Gives the candidates of one host their verdicts."""

    def __init__(
        self, settings: Settings, host: Host, accounts: AccountStore, identities: IdentityStore, now_us: int
    ) -> None:
        self._mode: Final = settings.verify
        self._allows_local: Final = settings.environment != "production"
        self._origin: Final = origin_of_host_url(host.url) if host.url else ""
        self._host = host
        self._accounts = accounts
        self._identities = identities
        self.lookups = Lookups(LookupPolicy(settings.plc_rps, settings.identity_deadline_s), now_us)
        self._waiting: dict[str, list[Candidate]] = {}
        """Events that wait for the identity of their account."""

        self._settled: list[Candidate] = []
        self._batch = CheckSignatures([], [])
        self._timer_us = 0
        self.tolerated = dict.fromkeys(sorted(TOLERABLE), 0)
        """What passed only because the relay is lenient."""

    def begin(self, candidates: Sequence[Candidate], now_us: int) -> None:
        """Events arrive, in their order."""
        for candidate in candidates:
            self._begin(candidate, now_us)

    def handle(self, event: VettingEvent, now_us: int) -> None:
        """An answer arrives, or it is time to ask."""
        match event:
            case SignaturesChecked(batch, right):
                self._signatures_checked(batch, right, now_us)
            case IdentitiesResolved(inquiry, answers):
                self._resolved(self.lookups.answered(inquiry, answers, now_us), now_us)
            case LookupsDue():
                self._timer_us = 0
            case _:
                assert_never(event)

    def take_settled(self) -> list[Candidate]:
        """The events that have got their verdict since the last call."""
        settled, self._settled = self._settled, []
        return settled

    def take_commands(self, now_us: int) -> list[VettingCommand]:
        """What is to be done now. Call it after `begin` and `handle`."""
        self._resolved(self.lookups.take_lost(now_us), now_us)
        commands: list[VettingCommand] = []
        for inquiry in self.lookups.take_due(now_us):
            commands.append(LookUp(inquiry))
            for did in inquiry.dids:
                for candidate in self._waiting.get(did, ()):
                    candidate.asked_for = True
        commands += self._take_batches()
        wake_us = self.lookups.wake_us() or 0
        if wake_us and wake_us != self._timer_us:
            commands.append(SetLookupTimer(wake_us))
        self._timer_us = wake_us
        return commands

    def _take_batches(self) -> Iterator[CheckSignatures]:
        candidates, checks = self._batch
        self._batch = CheckSignatures([], [])
        for start in range(0, len(candidates), BATCH):
            yield CheckSignatures(candidates[start : start + BATCH], checks[start : start + BATCH])

    # --- one event ------------------------------------------------------------------------------------------------

    def _begin(self, candidate: Candidate, now_us: int) -> None:
        message = candidate.message
        try:
            if isinstance(message, Commit | Sync):
                check_rev(message, self._accounts.get(hash_did(message.did)), now_us)
                if self._mode != "trusted":
                    candidate.claim = examine(message, partial(self._tolerates, candidate))
        except Refusal as refusal:
            self._refuse(candidate, refusal.reason, str(refusal))
            return
        is_notice = isinstance(message, IdentityMessage | AccountMessage)
        is_hearsay = is_notice and self._host.kind == "relay"
        if isinstance(message, IdentityMessage) or (is_notice and not is_hearsay):
            self._forget(message.did)
        if self._mode == "trusted" or is_hearsay:
            self._pass(candidate)
        else:
            self._identify(candidate, now_us)

    def _forget(self, did: str) -> None:
        self._identities.forget(hash_did(did))
        self.lookups.forget(did)

    def _identify(self, candidate: Candidate, now_us: int) -> None:
        did = candidate.message.did
        known = self._identities.get(hash_did(did))
        if known is not None and known.is_fresh(now_us):
            self.lookups.directory.knows(did)
            self._compare(candidate, known, now_us)
            return
        reason = self.lookups.refusal(did, now_us)
        if reason is not None:
            self._refuse_or_pass(candidate, reason, "known for minutes")
        else:
            self._wait(candidate, now_us)

    def _wait(self, candidate: Candidate, now_us: int) -> None:
        self._waiting.setdefault(candidate.message.did, []).append(candidate)
        self.lookups.want(candidate.message.did, now_us)

    def _compare(self, candidate: Candidate, known: KnownIdentity, now_us: int) -> None:
        """The event against the identity of its account."""
        candidate.known = known
        if self._host.kind != "relay" and not self._is_host(known.pds):
            self._suspect(candidate, RejectReason.WRONG_HOST, now_us)
        elif candidate.claim is None:
            self._pass(candidate)
        elif known.key is None:
            self._suspect(candidate, RejectReason.NO_SIGNING_KEY, now_us)
        else:
            self._batch.candidates.append(candidate)
            self._batch.checks.append(
                SignatureCheck(known.key, candidate.claim.signed_bytes, candidate.claim.signature)
            )

    def _is_host(self, pds: str | None) -> bool:
        # Nearly always they are written alike, and need not be taken apart.
        return pds == self._origin or (
            pds is not None and same_origin(pds, self._origin, allow_local=self._allows_local)
        )

    def _suspect(self, candidate: Candidate, reason: RejectReason, now_us: int) -> None:
        """What is known does not fit: ask once more, unless it was asked for after the event had arrived."""
        if candidate.asked_for:
            self._refuse(candidate, reason, "also by the identity as it is now")
        else:
            self._wait(candidate, now_us)

    def _signatures_checked(self, batch: CheckSignatures, right: list[bool], now_us: int) -> None:
        for candidate, check, is_right in zip(batch.candidates, batch.checks, right, strict=True):
            if is_right:
                self._pass(candidate)
                continue
            present = self._identities.get(hash_did(candidate.message.did))
            if present is not None and present.key != check.key:
                self._compare(candidate, present, now_us)
            else:
                self._suspect(candidate, RejectReason.BAD_SIGNATURE, now_us)

    def _resolved(self, outcomes: Sequence[Outcome], now_us: int) -> None:
        for did, outcome in outcomes:
            waiting = self._waiting.pop(did, [])
            if isinstance(outcome, KnownIdentity):
                self._identities.put(hash_did(did), outcome)
                for candidate in waiting:
                    self._compare(candidate, outcome, now_us)
            else:
                if waiting:  # a control may fail, and its account has still the identity that it had
                    self._identities.forget(hash_did(did))
                for candidate in waiting:
                    self._refuse_or_pass(candidate, outcome, "no answer, or none that can be used")

    # --- verdicts -------------------------------------------------------------------------------------------------

    def _pass(self, candidate: Candidate) -> None:
        for reason in candidate.tolerated:
            self.tolerated[reason] += 1
        candidate.verdict = True
        self._settled.append(candidate)

    def _refuse(self, candidate: Candidate, reason: RejectReason, detail: str) -> None:
        candidate.verdict = reason
        candidate.detail = detail
        self._settled.append(candidate)

    def _refuse_or_pass(self, candidate: Candidate, reason: RejectReason, detail: str) -> None:
        if self._tolerates(candidate, reason):
            self._pass(candidate)
        else:
            self._refuse(candidate, reason, detail)

    def _tolerates(self, candidate: Candidate, reason: RejectReason) -> bool:
        tolerates = self._mode == "lenient" and reason in TOLERABLE
        if tolerates:
            candidate.tolerated += (reason,)
        return tolerates
