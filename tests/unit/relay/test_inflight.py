"""Events in flight: in order for each account, and no account waits for another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.frames import Frame
from edgerelay.atproto.messages import Identity
from edgerelay.errors import InvariantError
from edgerelay.relay.inflight import InFlight
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import Position, PositionRow
from edgerelay.relay.reject import RejectReason


def candidate(seq: int, did: str, size_bytes: int = 10) -> Candidate:
    position = Position(PositionRow(1, 0, 0, (), 0, 0))
    return Candidate(position, Frame("#identity", {}, bytes(size_bytes)), Identity(seq, did, None, ""))


def flight_of(max_count: int = 1_000, max_bytes: int = 1_000_000) -> InFlight:
    return InFlight(max_count, max_bytes)


def complete(flight: InFlight, each: Candidate) -> list[Candidate]:
    """Note a verdict; returns the events that leave."""
    left: list[Candidate] = []
    if flight.complete(each):
        while (ready := flight.next_ready(each.message.did)) is not None:
            flight.leave(ready)
            left.append(ready)
    return left


def settle(flight: InFlight, each: Candidate, verdict: RejectReason | bool = True) -> list[Candidate]:
    each.verdict = verdict
    return complete(flight, each)


class TestOrder:
    def test_an_event_that_waits_for_nobody_leaves_at_once(self) -> None:
        flight, first = flight_of(), candidate(1, "a")
        flight.begin(first)
        assert settle(flight, first) == [first]

    def test_an_event_waits_for_those_before_it_of_its_account(self) -> None:
        flight, (first, second, other) = flight_of(), (candidate(1, "a"), candidate(2, "a"), candidate(3, "b"))
        for each in (first, second, other):
            flight.begin(each)
        assert settle(flight, second) == []
        assert settle(flight, other) == [other]
        assert settle(flight, first) == [first, second]

    def test_an_event_that_asks_for_something_leaves_after_the_answer(self) -> None:
        flight, (first, second) = flight_of(), (candidate(1, "a"), candidate(2, "a"))
        for each in (first, second):
            flight.begin(each)
        first.is_asking = True
        assert [settle(flight, each) for each in (first, second)] == [[], []]
        first.is_asking = False
        assert flight.next_ready("a") is first

    def test_a_refused_event_leaves_like_any_other(self) -> None:
        flight, first = flight_of(), candidate(1, "a")
        flight.begin(first)
        assert settle(flight, first, RejectReason.STALE_REV) == [first]

    def test_verdicts_that_come_together_leave_in_their_own_order(self) -> None:
        """Both have a verdict before the first is taken note of."""
        flight, (first, second) = flight_of(), (candidate(1, "a"), candidate(2, "a"))
        for each in (first, second):
            flight.begin(each)
            each.verdict = True
        assert [complete(flight, first), complete(flight, second)] == [[first], [second]]

    def test_a_verdict_for_an_event_that_began_elsewhere_means_nothing(self) -> None:
        """Storage failed, and a new relay took over: what the old one had in flight is read again."""
        flight, former, now = flight_of(), flight_of(), candidate(1, "a")
        old = [candidate(1, "a"), candidate(1, "b")]
        for each in old:
            former.begin(each)
        assert settle(former, old[0]) == [old[0]], "told once more, it is nobody's defect"
        flight.begin(now)
        assert [settle(flight, each) for each in old] == [[], []]
        assert not old[1].complete
        assert (flight.count, flight.accounts) == (1, 1)
        assert settle(flight, now) == [now]

    def test_an_event_without_a_verdict_or_with_two_is_ours_to_blame(self) -> None:
        flight, first, second = flight_of(), candidate(1, "a"), candidate(2, "a")
        flight.begin(first)
        flight.begin(second)
        with pytest.raises(InvariantError, match="does not await one"):
            flight.complete(second)
        settle(flight, second)
        with pytest.raises(InvariantError, match="does not await one"):
            flight.complete(second)

    def test_an_event_may_go_back_to_waiting_and_holds_up_its_account_alone(self) -> None:
        flight, (first, second, other) = flight_of(), (candidate(1, "a"), candidate(2, "a"), candidate(3, "b"))
        for each in (first, second, other):
            flight.begin(each)
            each.verdict = True
            assert flight.complete(each)
        first.complete = False
        assert (flight.next_ready("a"), flight.oldest("a"), flight.next_ready("b")) == (None, first, other)
        assert complete(flight, first) == [first, second]
        assert flight.oldest("a") is None

    def test_to_leave_before_an_older_event_is_ours_to_blame(self) -> None:
        flight, (first, second) = flight_of(), (candidate(1, "a"), candidate(2, "a"))
        for each in (first, second):
            flight.begin(each)
        with pytest.raises(InvariantError, match="before an older one"):
            flight.leave(second)


@pytest.mark.parametrize(("count", "size_bytes"), [(3, 1), (1, 300)])
def test_what_may_be_here_is_bounded_in_events_and_in_bytes(count: int, size_bytes: int) -> None:
    flight = flight_of(4, 400)
    for seq in range(count):
        flight.begin(candidate(seq, "a", size_bytes))
    assert (flight.is_above(1), flight.is_above(2)) == (False, True)
    flight.begin(candidate(8, "b", size_bytes))
    flight.begin(candidate(9, "b", size_bytes))
    assert flight.is_above(1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50))), st.randoms(use_true_random=False))
def test_in_whatever_order_verdicts_come(some: list[tuple[str, int]], random: Any) -> None:
    flight, candidates = flight_of(), [candidate(seq, did, size) for seq, (did, size) in enumerate(some)]
    for each in candidates:
        flight.begin(each)
    left: list[Candidate] = []
    for each in random.sample(candidates, len(candidates)):
        left += settle(flight, each)
        waiting = [other for other in candidates if other not in left]
        assert flight.count == len(waiting)
        assert flight.size_bytes == sum(other.size_bytes for other in waiting)
        assert flight.accounts == len({other.message.did for other in waiting})
        # Nobody waits but behind one of their own account without a verdict.
        assert all(
            any(before.verdict is None for before in waiting if before.message.did == other.message.did)
            for other in waiting
        )
    for did in "abc":
        seqs = [each.message.seq for each in left if each.message.did == did]
        assert seqs == sorted(seqs)
    assert len(left) == len(candidates)
