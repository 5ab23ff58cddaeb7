"""Verifiers: what gives candidates their verdicts.

`EnvelopeVerifier` passes what the intake let through: frames whose envelope is right. Trees, signatures and identities
are for verifiers behind the same port. `HeldVerifier` is for rehearsals: it keeps the events of chosen accounts
waiting, as a directory that does not answer would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgerelay.relay.events import Event, EventsVerified
from edgerelay.relay.intake import Candidate
from edgerelay.runtime.ports import Verifier

__all__ = ["EnvelopeVerifier", "HeldVerifier"]


class EnvelopeVerifier:
    """Passes every candidate."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        for candidate in candidates:
            candidate.verdict = True
        return list(candidates)


class HeldVerifier:
    """Holds the events of some accounts back until they are released; the others pass on to another verifier."""

    def __init__(self, verifier: Verifier, deliver: Callable[[Event], None]) -> None:
        self._verifier = verifier
        self._deliver = deliver
        self._dids: set[str] = set()
        self._held: list[Candidate] = []

    @property
    def held(self) -> int:
        """How many events wait here."""
        return len(self._held)

    def hold(self, did: str) -> None:
        """Hold this account's events back from now on."""
        self._dids.add(did)

    def release(self) -> None:
        """Let everything go, and hold nothing any more."""
        self._dids.clear()
        held, self._held = self._held, []
        settled = self._verifier.verify(held) if held else []
        if settled:
            self._deliver(EventsVerified(settled))

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        if not self._dids:
            return self._verifier.verify(candidates)
        self._held += [each for each in candidates if each.message.did in self._dids]
        return self._verifier.verify([each for each in candidates if each.message.did not in self._dids])
