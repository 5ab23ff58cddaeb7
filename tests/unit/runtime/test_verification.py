"""Verifiers: who gets a verdict at once, who waits, and what is delivered to whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.messages import parse_message
from edgerelay.config import Settings
from edgerelay.relay.accounts import MemoryAccounts
from edgerelay.relay.events import Event, EventsVerified
from edgerelay.relay.host import Host
from edgerelay.relay.identities import MemoryIdentities
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import Position, PositionRow
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.restored import Restored
from edgerelay.relay.vetting import IdentitiesResolved, LookupsDue, Vetting, VettingEvent
from edgerelay.runtime.memory import ManualClock, ManualTimer, MemoryDirectory, MemorySignatures
from edgerelay.runtime.verification import HeldVerifier, VettingVerifier
from tests import arrivals
from tests.oracle import frames
from tests.oracle.repo import Repo, is_signed

ALICE, BOB, CAROL = (frames.did(number) for number in (1, 2, 3))


def candidate(seq: int, did: str) -> Candidate:
    frame = decode_frame(frames.identity(seq, did))
    assert isinstance(frame, Frame)
    position = Position(PositionRow(1, 0, 0, (), 0, 0))
    return Candidate(position, frame, parse_message(frame.kind, frame.body))


def candidates(*dids: str) -> list[Candidate]:
    """One event of each account, in this order."""
    return [candidate(seq, did) for seq, did in enumerate(dids, 1)]


def seqs(some: Sequence[Candidate]) -> list[int]:
    return [each.message.seq for each in some]


class Credulous:
    """Passes everything at once."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        for each in candidates:
            each.verdict = True
        return list(candidates)


class SlowVerifier:
    """Answers for even numbers at once, with a refusal, and for odd ones never."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        settled = [each for each in candidates if each.message.seq % 2 == 0]
        for each in settled:
            each.verdict = RejectReason.BAD_VALUE
        return settled


class Held:
    """A verifier that holds back, and everything that it delivered."""

    def __init__(self, verifier: Credulous | SlowVerifier | None = None) -> None:
        self.events: list[Event] = []
        self.verifier = HeldVerifier(verifier or Credulous(), self.events.append)

    @property
    def delivered(self) -> list[list[int]]:
        return [seqs(event.candidates) for event in self.events if isinstance(event, EventsVerified)]


class TestHeld:
    def test_while_nobody_is_held_everything_passes_through(self) -> None:
        held = Held()
        assert seqs(held.verifier.verify(candidates(ALICE, BOB))) == [1, 2]
        assert (held.verifier.held, held.events) == (0, [])

    def test_only_who_is_named_waits(self) -> None:
        held = Held()
        held.verifier.hold(ALICE)
        held.verifier.hold(CAROL)
        some = candidates(ALICE, BOB, CAROL, BOB, ALICE)
        assert seqs(held.verifier.verify(some)) == [2, 4]
        assert [each.verdict for each in some] == [None, True, None, True, None]
        assert (held.verifier.held, held.events) == (3, [])

    def test_what_arrived_before_is_not_held(self) -> None:
        held = Held()
        some = candidates(ALICE, ALICE)
        assert seqs(held.verifier.verify(some[:1])) == [1]
        held.verifier.hold(ALICE)
        assert held.verifier.verify(some[1:]) == []
        assert held.verifier.held == 1

    def test_what_is_released_is_delivered_once_in_the_order_in_which_it_came(self) -> None:
        held = Held()
        held.verifier.hold(ALICE)
        held.verifier.hold(BOB)
        some = candidates(BOB, ALICE, CAROL, BOB, ALICE)
        for each in some:
            held.verifier.verify([each])
        held.verifier.release()
        assert held.delivered == [[1, 2, 4, 5]]
        assert all(each.verdict is True for each in some)
        held.verifier.release()
        assert (held.verifier.held, len(held.events)) == (0, 1)

    def test_after_the_release_nobody_is_held(self) -> None:
        held = Held()
        held.verifier.hold(ALICE)
        held.verifier.release()
        assert held.events == []
        assert seqs(held.verifier.verify(candidates(ALICE))) == [1]

    def test_whoever_is_held_again_waits_again(self) -> None:
        held = Held()
        for _ in range(2):
            held.verifier.hold(ALICE)
            held.verifier.verify(candidates(ALICE))
            held.verifier.release()
        assert held.delivered == [[1], [1]]

    def test_holding_twice_holds_once(self) -> None:
        held = Held()
        held.verifier.hold(ALICE)
        held.verifier.hold(ALICE)
        held.verifier.verify(candidates(ALICE))
        held.verifier.release()
        assert held.delivered == [[1]]

    def test_what_is_delivered_may_bring_more_to_verify(self) -> None:
        """The turn that a delivery starts may reach the verifier again before `release` returns."""
        later = candidate(9, ALICE)
        seen: list[list[int]] = []

        def deliver(event: Event) -> None:
            assert isinstance(event, EventsVerified)
            seen.append(seqs(event.candidates))
            seen.append(seqs(verifier.verify([later])))

        verifier = HeldVerifier(Credulous(), deliver)
        verifier.hold(ALICE)
        verifier.verify(candidates(ALICE))
        verifier.release()
        assert seen == [[1], [9]]
        assert verifier.held == 0


class TestBehindIt:
    """The verdicts are another verifier's."""

    def test_its_verdicts_are_kept_and_who_has_none_is_not_delivered(self) -> None:
        held = Held(SlowVerifier())
        some = candidates(BOB, BOB, ALICE, ALICE)
        held.verifier.hold(ALICE)
        assert seqs(held.verifier.verify(some)) == [2]
        held.verifier.release()
        assert held.delivered == [[4]]
        assert [each.verdict for each in some] == [None, RejectReason.BAD_VALUE] * 2

    @pytest.mark.parametrize("count", [0, 1])
    def test_without_a_verdict_nothing_is_delivered(self, count: int) -> None:
        held = Held(SlowVerifier())
        held.verifier.hold(ALICE)
        held.verifier.verify([candidate(1, ALICE)] * count)
        held.verifier.release()
        assert held.events == []


class Rig:
    """A verifier over a real vetting, with ports in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock(frames.NOW_US)
        self.settled: list[Candidate] = []
        settings = Settings(upstream="wss://pds.test")
        host = Host.of(settings, Restored(1), lambda did, rev: True, lambda: 0.0, frames.NOW_US)
        host.kind = "pds"
        self.signatures, self.directory = MemorySignatures(self.handle), MemoryDirectory(self.take)
        self.timer = ManualTimer(self.clock, lambda: self.handle(LookupsDue()))
        vetting = Vetting(settings, host, MemoryAccounts(), MemoryIdentities(), frames.NOW_US)
        self.verifier = VettingVerifier(vetting, self.signatures, self.directory, self.timer, self.clock)

    def take(self, event: Event | VettingEvent) -> None:
        assert isinstance(event, IdentitiesResolved)
        self.handle(event)

    def handle(self, event: VettingEvent) -> None:
        self.settled += self.verifier.handle(event)


class TestVetting:
    def test_what_is_settled_at_once_is_returned_at_once(self) -> None:
        rig = Rig()
        broken = arrivals.candidate(frames.commit(1, ALICE, frames.tid(1)))
        assert rig.verifier.verify([broken]) == [broken]
        assert broken.verdict is RejectReason.BAD_CAR

    def test_everything_that_is_asked_for_reaches_its_port(self) -> None:
        rig, alice = Rig(), Repo(1)
        waiting = arrivals.candidate(alice.write().frame())
        assert rig.verifier.verify([waiting]) == []
        assert [each.dids for each in rig.directory.inquiries] == [[alice.did]]
        assert rig.timer.at_us is not None, "an answer may get lost"
        rig.directory.answer(lambda did: Identity(did, alice.key, "https://pds.test", None))
        [batch] = rig.signatures.batches
        assert (batch.candidates, rig.settled) == ([waiting], [])
        rig.signatures.answer(is_signed)
        assert (rig.settled, waiting.verdict) == ([waiting], True)

    def test_a_failed_lookup_is_repeated_when_the_timer_goes_off(self) -> None:
        rig = Rig()
        rig.verifier.verify([arrivals.candidate(Repo(1).write().frame())])
        rig.directory.answer(lambda did: Absence.NOT_FOUND)
        assert (rig.directory.inquiries, rig.timer.go_off()) == ([], False)
        rig.clock.now_us += 1_000_000
        assert rig.timer.go_off()
        assert len(rig.directory.inquiries) == 1
