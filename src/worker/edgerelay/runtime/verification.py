"""Verifiers: what gives candidates their verdicts.

`VettingVerifier` is the real one: `relay.vetting` decides, and this carries out what it asks for. `HeldVerifier` is for
rehearsals: it keeps the events of chosen accounts waiting, as a directory that does not answer would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

from edgerelay.relay.events import Event, EventsVerified
from edgerelay.relay.intake import Candidate
from edgerelay.relay.vetting import CheckSignatures, LookUp, SetLookupTimer, Vetting, VettingEvent
from edgerelay.runtime.ports import IdentityPort, SignaturePort, Timer, Verifier

__all__ = ["HeldVerifier", "VettingVerifier"]


class VettingVerifier:
    """Binds a `Vetting` to its ports. Whatever it settles later is returned by the call that settles it."""

    def __init__(
        self,
        vetting: Vetting,
        signatures: SignaturePort,
        identities: IdentityPort,
        timer: Timer,
        clock: Callable[[], int],
    ) -> None:
        self.vetting = vetting
        self._signatures = signatures
        self._identities = identities
        self._timer = timer
        self._clock = clock

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        self.vetting.begin(candidates, self._clock())
        return self._proceed()

    def handle(self, event: VettingEvent) -> list[Candidate]:
        """Take an answer; returns the events that have their verdict now."""
        self.vetting.handle(event, self._clock())
        return self._proceed()

    def _proceed(self) -> list[Candidate]:
        for command in self.vetting.take_commands(self._clock()):
            match command:
                case CheckSignatures():
                    self._signatures.check(command)
                case LookUp(inquiry):
                    self._identities.look_up(inquiry)
                case SetLookupTimer(at_us):
                    self._timer.set(at_us)
                case _:
                    assert_never(command)
        return self.vetting.take_settled()


class HeldVerifier:
    """Holds the events of some accounts back until they are released; the others pass on to another verifier."""

    def __init__(self, verifier: Verifier, deliver: Callable[[Event], None], dids: Iterable[str] = ()) -> None:
        self._verifier = verifier
        self._deliver = deliver
        self._dids = set(dids)
        self._held: list[Candidate] = []

    @property
    def dids(self) -> frozenset[str]:
        """The accounts that are held."""
        return frozenset(self._dids)

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
