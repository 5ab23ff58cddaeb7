"""Look-ups: who is asked for and when, whose fault a failure is, and what comes of histories that chance writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.relay.directory import DOWN_AT, PROBE_CAP_US, PROBE_US
from edgerelay.relay.identities import KnownIdentity
from edgerelay.relay.lookups import (
    BATCH,
    LOST_US,
    MAX_CALLS,
    MAX_PATIENT_CALLS,
    MAX_REFUSED,
    REFUSED_US,
    RETRY_AFTER_CAP_US,
    RETRY_CAP_US,
    Inquiry,
    LookupAnswer,
    LookupPolicy,
    Lookups,
    Outcome,
)
from edgerelay.relay.reject import RejectReason
from tests.oracle import frames
from tests.oracle.repo import key

NOW_US, S_US = frames.NOW_US, 1_000_000
DEADLINE_S = 60
ALICE, BOB, CAROL, DAVE = (frames.did(number) for number in (1, 2, 3, 4))
WEB = "did:web:alice.test"

NO_HOST = LookupFailure("the host does not answer", is_directory=False, is_final=False, retry_after_s=0)
UNUSABLE = LookupFailure("a document that is too large", is_directory=False, is_final=True, retry_after_s=0)
DOWN = LookupFailure("status 502", is_directory=True, is_final=False, retry_after_s=0)
ABSENT, TOMBSTONED = Absence.NOT_FOUND, Absence.TOMBSTONED
NO_IDENTITY = RejectReason.NO_IDENTITY


def identity(did: str) -> Identity:
    return Identity(did, key(1), "https://pds.test", None)


class Desk:
    """Look-ups with a clock of their own, and everything that they asked for and that came of it."""

    def __init__(self, per_second: int = 100, deadline_s: int = DEADLINE_S) -> None:
        self.now_us = NOW_US
        self.lookups = Lookups(LookupPolicy(per_second, deadline_s), NOW_US)
        self.open: list[Inquiry] = []
        self.outcomes: list[Outcome] = []

    def want(self, *dids: str) -> list[Inquiry]:
        for did in dids:
            self.lookups.want(did, self.now_us)
        return self.ask()

    def ask(self) -> list[Inquiry]:
        """What is asked for now."""
        self.outcomes += self.lookups.take_lost(self.now_us)
        asked = self.lookups.take_due(self.now_us)
        self.open += asked
        wake_us = self.lookups.wake_us()
        assert wake_us is None or wake_us > self.now_us
        return asked

    def after(self, seconds: float) -> list[Inquiry]:
        self.now_us += int(seconds * S_US)
        return self.ask()

    def sleep(self) -> list[Inquiry]:
        """Time passes until it matters."""
        wake_us = self.lookups.wake_us()
        assert wake_us is not None
        self.now_us = wake_us
        return self.ask()

    def answer(self, answer: LookupAnswer | Callable[[str], LookupAnswer] = identity) -> list[Inquiry]:
        """Answer everything that was asked for; returns what is asked for then."""
        inquiries, self.open = self.open, []
        for inquiry in inquiries:
            answers = [answer(did) if callable(answer) else answer for did in inquiry.dids]
            self.outcomes += self.lookups.answered(inquiry, answers, self.now_us)
        return self.ask()

    def fail(self, answer: LookupAnswer, *, until_us: int) -> None:
        """Everything fails until then, or until nothing is wanted any more."""
        while self.lookups.waiting and (self.lookups.wake_us() or until_us) < until_us:
            self.sleep()
            self.answer(answer)

    def bring_down(self) -> None:
        """The directory fails for two accounts, and nobody else is known."""
        self.want(ALICE, BOB)
        while not self.lookups.is_down:
            self.answer(DOWN)
            if not self.lookups.is_down:
                self.sleep()

    def known(self, did: str, asked_us: int = NOW_US) -> Outcome:
        return did, KnownIdentity(key(1), "https://pds.test", asked_us)


def dids(inquiries: Sequence[Inquiry]) -> list[str]:
    return [did for inquiry in inquiries for did in inquiry.dids]


def numbered(count: int) -> list[str]:
    return [frames.did(100 + number) for number in range(count)]


class TestAsking:
    def test_a_did_is_asked_for_once_and_the_answer_is_as_of_the_question(self) -> None:
        desk = Desk()
        assert desk.want(ALICE, ALICE) == [Inquiry([ALICE], False, NOW_US)]
        assert desk.want(ALICE) == []
        desk.now_us += 5
        assert desk.answer() == []
        assert desk.outcomes == [desk.known(ALICE)]
        assert (desk.lookups.waiting, desk.lookups.wake_us(), desk.lookups.asked) == (0, None, 1)

    def test_it_may_be_asked_for_again(self) -> None:
        desk = Desk()
        for _ in range(3):
            assert dids(desk.want(ALICE)) == [ALICE]
            desk.answer()
        assert len(desk.outcomes) == 3

    def test_many_go_in_batches_and_no_more_at_once_than_there_are_calls(self) -> None:
        desk = Desk(per_second=10_000)
        wanted = numbered(BATCH * MAX_CALLS + 1)
        assert [len(inquiry.dids) for inquiry in desk.want(*wanted)] == [BATCH] * MAX_CALLS
        assert desk.lookups.wake_us() == NOW_US + LOST_US
        assert dids(desk.answer()) == wanted[-1:]

    def test_no_more_than_the_budget_in_any_second(self) -> None:
        desk = Desk(per_second=3)
        wanted = numbered(8)
        assert dids(desk.want(*wanted[:2])) == wanted[:2]
        desk.answer()
        desk.now_us += 400_000
        assert dids(desk.want(*wanted[2:])) == wanted[2:3]
        assert dids(desk.answer()) == []
        assert [(dids(desk.sleep()), desk.now_us - NOW_US) for _ in range(3)] == [
            (wanted[3:5], S_US),
            (wanted[5:6], 1_400_000),
            (wanted[6:8], 2 * S_US),
        ]

    def test_what_failed_before_goes_in_batches_of_its_own_and_with_patience(self) -> None:
        desk = Desk()
        desk.want(ALICE, BOB)
        desk.answer(ABSENT)
        desk.now_us += S_US
        assert desk.want(CAROL) == [Inquiry([CAROL], False, desk.now_us), Inquiry([ALICE, BOB], True, desk.now_us)]

    def test_what_failed_before_never_takes_all_calls(self) -> None:
        desk = Desk(per_second=10_000)
        desk.want(*numbered(BATCH * MAX_CALLS))
        desk.answer(ABSENT)
        assert len(desk.after(1)) == MAX_PATIENT_CALLS
        room = MAX_CALLS - MAX_PATIENT_CALLS
        assert [dids([each]) for did in numbered(900)[900 - room :] for each in desk.want(did)] == [
            [did] for did in numbered(900)[900 - room :]
        ]
        assert desk.want(CAROL) == []

    def test_batches_of_both_sorts_share_the_calls(self) -> None:
        desk = Desk(per_second=10_000)
        slow, quick = numbered(2), numbered(BATCH * MAX_CALLS + 2)[2:]
        desk.want(*slow)
        desk.answer(ABSENT)
        desk.now_us += S_US
        assert [(len(each.dids), each.patient) for each in desk.want(*quick)] == [(BATCH, False)] * MAX_CALLS


class TestFailures:
    def test_an_account_that_fails_is_tried_again_and_refused_when_its_time_is_over(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        tried = []
        while not desk.outcomes:
            tried.append((desk.now_us - NOW_US) // S_US)
            desk.answer(NO_HOST)
            if not desk.outcomes:
                desk.sleep()
        assert tried == [0, 1, 3, 7, 15, 31, 47, 63]
        assert desk.outcomes == [(ALICE, NO_IDENTITY)]
        assert (desk.lookups.waiting, desk.lookups.failed) == (0, 8)

    @pytest.mark.parametrize("answer", [ABSENT, NO_HOST])
    def test_the_deadline_runs_from_the_first_failure(self, answer: LookupAnswer) -> None:
        desk = Desk(deadline_s=1)
        desk.want(ALICE)
        desk.now_us += 50 * S_US
        desk.answer(answer)
        assert desk.outcomes == []
        desk.now_us += 50 * S_US
        desk.ask()
        desk.answer(answer)
        assert desk.outcomes == [(ALICE, NO_IDENTITY)]

    @pytest.mark.parametrize(
        ("answer", "reason"), [(TOMBSTONED, RejectReason.TOMBSTONED), (UNUSABLE, RejectReason.UNUSABLE_IDENTITY)]
    )
    def test_what_is_final_is_refused_at_once(self, answer: LookupAnswer, reason: RejectReason) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(answer)
        assert desk.outcomes == [(ALICE, reason)]

    def test_what_the_directory_finds_final_is_no_accounts_fault(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(DOWN._replace(is_final=True))
        assert (desk.outcomes, desk.lookups.waiting) == ([], 1)

    def test_a_failure_is_remembered_for_a_while(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(TOMBSTONED)
        assert desk.lookups.refusal(ALICE, NOW_US) is RejectReason.TOMBSTONED
        assert desk.lookups.refusal(BOB, NOW_US) is None
        assert desk.lookups.refusal(ALICE, NOW_US + REFUSED_US - 1) is RejectReason.TOMBSTONED
        assert desk.lookups.refusal(ALICE, NOW_US + REFUSED_US) is None
        assert desk.lookups.refusing == 0

    def test_a_change_ends_it_and_so_does_an_answer(self) -> None:
        desk = Desk()
        desk.want(ALICE, BOB)
        desk.answer(TOMBSTONED)
        desk.lookups.forget(ALICE)
        desk.want(BOB)
        desk.answer()
        assert [desk.lookups.refusal(did, NOW_US) for did in (ALICE, BOB)] == [None, None]

    def test_the_oldest_is_forgotten_beyond_the_limit(self) -> None:
        desk = Desk(per_second=10_000)
        many = numbered(MAX_REFUSED + 1)
        for start in range(0, len(many), BATCH * MAX_CALLS):
            desk.now_us += S_US
            desk.want(*many[start : start + BATCH * MAX_CALLS])
            desk.answer(TOMBSTONED)
        assert desk.lookups.refusing == MAX_REFUSED
        refused = [desk.lookups.refusal(did, desk.now_us) for did in (many[0], many[1], many[-1])]
        assert refused == [None, RejectReason.TOMBSTONED, RejectReason.TOMBSTONED]

    def test_whoever_wants_to_be_left_alone_is(self) -> None:
        desk = Desk()
        desk.want(WEB)
        desk.answer(NO_HOST._replace(retry_after_s=30))
        assert (dids(desk.sleep()), desk.now_us) == ([WEB], NOW_US + 30 * S_US)

    def test_whoever_wants_it_beyond_the_deadline_lets_it_pass(self) -> None:
        """Else a host could hold events here for as long as it likes."""
        for retry_after_s, is_refused in ((76, False), (77, True), (10**9, True)):
            desk = Desk()
            desk.want(WEB)
            desk.answer(NO_HOST._replace(retry_after_s=retry_after_s))
            assert desk.outcomes == [(WEB, NO_IDENTITY)] * is_refused

    def test_nobody_is_left_alone_for_longer_than_the_longest_pause(self) -> None:
        desk = Desk(deadline_s=3_600)
        desk.want(ALICE)
        desk.answer(DOWN._replace(retry_after_s=10**9))
        assert desk.lookups.wake_us() == NOW_US + RETRY_AFTER_CAP_US


class TestChanges:
    def test_what_was_asked_before_a_change_is_asked_again(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.lookups.forget(ALICE)
        desk.now_us += 7
        assert dids(desk.answer()) == [ALICE]
        assert desk.outcomes == []
        desk.answer()
        assert desk.outcomes == [desk.known(ALICE, NOW_US + 7)]

    @pytest.mark.parametrize("answer", [TOMBSTONED, ABSENT])
    def test_that_there_was_none_counts_as_little(self, answer: LookupAnswer) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.lookups.forget(ALICE)
        assert dids(desk.answer(answer)) == [ALICE]
        assert desk.outcomes == []

    def test_many_changes_make_one_more_question(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        for _ in range(100):
            desk.lookups.forget(ALICE)
            assert desk.ask() == []
        assert dids(desk.answer()) == [ALICE]
        assert desk.answer() == []

    def test_a_change_before_the_question_is_in_the_answer(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(ABSENT)
        desk.lookups.forget(ALICE)
        desk.sleep()
        desk.answer()
        assert [did for did, _ in desk.outcomes] == [ALICE]


class TestLost:
    def test_a_call_without_an_answer_is_given_up_and_everything_in_it_tried_again(self) -> None:
        desk = Desk()
        desk.want(ALICE, BOB)
        assert desk.lookups.wake_us() == NOW_US + LOST_US
        assert desk.after(LOST_US / S_US - 0.001) == []
        assert desk.sleep() == []
        assert dids(desk.after(1)) == [ALICE, BOB]

    def test_a_late_answer_is_for_nobody(self) -> None:
        """Also if the same DID is asked for anew: what the answer says is older than the second question."""
        desk = Desk()
        desk.want(ALICE)
        [late], desk.open = desk.open, []
        desk.sleep()
        assert dids(desk.after(1)) == [ALICE]
        assert desk.lookups.answered(late, [identity(ALICE)], desk.now_us) == []
        desk.answer()
        assert desk.outcomes == [desk.known(ALICE, NOW_US + LOST_US + S_US)]

    def test_an_inquiry_of_somebody_else_is_no_inquiry(self) -> None:
        desk = Desk()
        [inquiry] = desk.want(ALICE)
        twin = Inquiry(list(inquiry.dids), inquiry.patient, inquiry.asked_us)
        assert (twin, desk.lookups.answered(twin, [identity(ALICE)], NOW_US)) == (inquiry, [])

    def test_whoever_loses_everything_is_refused_if_others_are_answered(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.open = []
        while (ALICE, NO_IDENTITY) not in desk.outcomes:
            assert desk.now_us < NOW_US + 300 * S_US
            desk.want(BOB)
            desk.open = [inquiry for inquiry in desk.open if ALICE not in inquiry.dids]
            desk.answer()
            desk.sleep()
        assert not desk.lookups.is_down

    def test_if_all_calls_are_lost_the_way_to_the_directory_is_closed(self) -> None:
        desk = Desk()
        desk.want(*numbered(DOWN_AT))
        desk.sleep()
        assert (desk.lookups.is_down, desk.outcomes) == (True, [])


class TestControl:
    def test_when_the_directory_fails_for_one_another_is_asked_for(self) -> None:
        desk = Desk()
        desk.want(BOB)
        desk.answer()
        desk.want(ALICE)
        assert dids(desk.answer(DOWN)) == [BOB]

    def test_an_identity_that_was_known_before_will_do(self) -> None:
        desk = Desk()
        desk.lookups.directory.knows(BOB)
        desk.want(ALICE)
        assert dids(desk.answer(DOWN)) == [BOB]

    @pytest.mark.parametrize("failing", [[ALICE], [ALICE, CAROL], [ALICE, CAROL, *numbered(40)]])
    def test_those_for_which_alone_it_fails_are_refused_and_it_is_not_down(self, failing: list[str]) -> None:
        desk = Desk(per_second=10_000)
        desk.want(BOB)
        desk.answer()
        desk.want(*failing)
        refused = set[str]()
        while refused != {*failing}:
            desk.answer(lambda did: DOWN if did in failing else identity(did))
            refused |= {did for did, outcome in desk.outcomes if outcome is NO_IDENTITY}
            assert not desk.lookups.is_down
            assert not refused or desk.now_us >= NOW_US + DEADLINE_S * S_US
            assert desk.now_us <= NOW_US + DEADLINE_S * S_US + RETRY_CAP_US
            if not desk.open and desk.lookups.waiting:
                desk.sleep()

    def test_without_one_it_is_refused_only_when_others_are_answered(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.fail(DOWN, until_us=NOW_US + 600 * S_US)
        assert (desk.outcomes, desk.lookups.is_down) == ([], False)
        began_us = desk.now_us
        desk.want(BOB)
        while desk.lookups.waiting:
            desk.answer(lambda did: DOWN if did == ALICE else identity(did))
            if not desk.open and desk.lookups.waiting:
                desk.sleep()
        assert (ALICE, NO_IDENTITY) in desk.outcomes
        assert DEADLINE_S * S_US <= desk.now_us - began_us <= DEADLINE_S * S_US + 2 * RETRY_CAP_US

    @pytest.mark.parametrize("answer", [identity, ABSENT, UNUSABLE])
    def test_what_is_said_of_a_did_of_another_method_is_none_of_its_answers(
        self, answer: LookupAnswer | Callable[[str], LookupAnswer]
    ) -> None:
        desk = Desk()
        desk.want(ALICE)
        while desk.now_us < NOW_US + 3 * DEADLINE_S * S_US:
            desk.want(WEB)
            desk.answer(lambda did: DOWN if did == ALICE else answer(did) if callable(answer) else answer)
            desk.after(5)
        assert ALICE not in dict(desk.outcomes)

    def test_one_that_fails_is_refused_like_any_other(self) -> None:
        desk = Desk()
        desk.want(BOB)
        desk.answer()
        desk.want(ALICE)
        desk.answer(DOWN)
        desk.fail(ABSENT, until_us=NOW_US + 600 * S_US)
        assert desk.outcomes[1:] == [(ALICE, NO_IDENTITY), (BOB, NO_IDENTITY)]


class TestDown:
    def test_nothing_is_refused_and_one_at_a_time_is_asked_for(self) -> None:
        desk = Desk()
        desk.bring_down()
        asked = []
        for _ in range(40):
            [inquiry] = desk.sleep()
            asked.append(inquiry.dids)
            desk.answer(DOWN)
        assert asked[:2] in ([[ALICE], [BOB]], [[BOB], [ALICE]])
        assert asked == asked[:2] * 20
        assert desk.outcomes == []
        assert desk.want(CAROL) == []

    def test_the_pauses_grow_up_to_a_cap(self) -> None:
        desk = Desk()
        desk.bring_down()
        times = []
        for _ in range(7):
            before_us = desk.now_us
            desk.sleep()
            desk.answer(DOWN)
            times.append(desk.now_us - before_us)
        assert times == [PROBE_US, PROBE_US * 2, PROBE_US * 4, PROBE_US * 8, *[PROBE_CAP_US] * 3]

    def test_many_failures_at_once_make_one_short_pause(self) -> None:
        desk = Desk()
        desk.want(*numbered(2 * BATCH))
        desk.answer(DOWN)
        assert desk.lookups.wake_us() == NOW_US + PROBE_US

    def test_it_is_left_alone_for_as_long_as_it_wants(self) -> None:
        desk = Desk()
        desk.want(*numbered(2 * BATCH))
        desk.answer(lambda did: DOWN._replace(retry_after_s=90 if did == numbered(2 * BATCH)[-1] else 5))
        assert desk.lookups.wake_us() == NOW_US + 90 * S_US

    def test_while_calls_are_out_it_is_not_asked(self) -> None:
        desk = Desk()
        desk.want(CAROL)
        [slow], desk.open = desk.open, []
        desk.bring_down()
        assert desk.after(60) == []
        desk.open = [slow]
        assert dids(desk.answer()) == [ALICE, BOB], "also such a call tells that it is back"

    def test_when_it_is_back_everything_is_asked_anew_and_its_time_runs_anew(self) -> None:
        desk = Desk()
        desk.bring_down()
        desk.fail(DOWN, until_us=NOW_US + 300 * S_US)
        desk.want(CAROL)
        [probe] = desk.sleep()
        back = desk.answer(lambda did: ABSENT)
        assert not desk.lookups.is_down
        assert sorted(dids(back)) == sorted({ALICE, BOB, CAROL} - {*probe.dids})
        assert not any(inquiry.patient for inquiry in back)
        began_us = desk.now_us
        desk.fail(ABSENT, until_us=desk.now_us + 50 * S_US)
        assert desk.outcomes == []
        desk.fail(ABSENT, until_us=desk.now_us + 50 * S_US)
        assert {outcome for _, outcome in desk.outcomes} == {NO_IDENTITY}
        assert desk.now_us - began_us >= DEADLINE_S * S_US

    def test_coming_back_again_and_again_asks_for_nobody_twice(self) -> None:
        desk = Desk()
        desk.want(*numbered(BATCH * MAX_CALLS))
        for _ in range(3):
            while not desk.lookups.is_down:
                desk.answer(DOWN)
                if not desk.lookups.is_down:
                    desk.sleep()
            desk.sleep()
            back = dids(desk.answer(ABSENT))
            assert len(back) == len({*back}) > BATCH

    def test_only_its_own_dids_tell_whether_it_is_back(self) -> None:
        desk = Desk()
        desk.want(WEB)
        desk.answer(NO_HOST)
        desk.bring_down()
        assert {did for _ in range(6) for did in [dids(desk.sleep())[0]] if not desk.answer(DOWN)} == {ALICE, BOB}

    def test_without_any_of_them_an_answer_for_another_shows_that_the_way_is_open(self) -> None:
        """Whoever asks was out of reach, and nobody of the directory is waiting."""
        desk = Desk()
        others = [f"did:web:host{number}.test" for number in range(DOWN_AT)]
        desk.want(*others)
        desk.answer(DOWN)
        assert desk.lookups.is_down
        [probe] = desk.sleep()
        assert sorted([*probe.dids, *dids(desk.answer())]) == others
        assert not desk.lookups.is_down
        desk.answer(NO_HOST)
        desk.fail(NO_HOST, until_us=desk.now_us + 100 * S_US)
        assert desk.lookups.waiting == 0


class TestClock:
    def test_a_clock_that_is_set_back_delays_nothing(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(NO_HOST)
        desk.now_us -= 3_600 * S_US
        assert desk.ask() == []
        assert desk.lookups.wake_us() == desk.now_us + S_US
        assert desk.after(1) == [Inquiry([ALICE], True, desk.now_us)]

    def test_nor_does_it_make_a_refusal_last(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.answer(TOMBSTONED)
        desk.now_us -= 3_600 * S_US
        assert desk.lookups.refusal(ALICE, desk.now_us) is RejectReason.TOMBSTONED
        assert desk.lookups.refusal(ALICE, desk.now_us + REFUSED_US) is None

    def test_an_answer_is_as_of_the_clock_that_there_was(self) -> None:
        desk = Desk()
        desk.want(ALICE)
        desk.now_us -= 3_600 * S_US
        desk.answer()
        desk.want(BOB)
        desk.answer()
        assert desk.outcomes == [desk.known(ALICE), desk.known(BOB, NOW_US - 3_600 * S_US)]


FAULTS: dict[str, tuple[LookupAnswer, RejectReason]] = {
    "absent": (ABSENT, NO_IDENTITY),
    "dead": (NO_HOST, NO_IDENTITY),
    "broken": (DOWN, NO_IDENTITY),
    "unusable": (UNUSABLE, RejectReason.UNUSABLE_IDENTITY),
    "tombstoned": (TOMBSTONED, RejectReason.TOMBSTONED),
}
"""What can be wrong with a DID by itself: what is answered, and for which reason it is refused."""

SLOW_US = 10 * S_US
"""The longest that an answer takes, if it comes."""

TRAFFIC_US = range(0, 1_500 * S_US, 20 * S_US)
"""When the first DID, with which nothing is wrong, is wanted: there is always somebody."""


class Setting(NamedTuple):
    """What chance decides about a world."""

    natures: list[str]
    """Of each DID: a fault, or "good"."""

    wants: list[tuple[int, int]]
    """When (us) which DID is wanted."""

    changes: list[tuple[int, int]]
    """When something is said to have changed about which DID."""

    delays_us: list[int]
    """How long calls take, one after another."""

    per_second: int
    outage_us: range
    """When the directory answers nobody."""

    lost: int
    """Which of the calls is never answered; none if negative."""

    set_back_us: int
    """By how much the clock is set back after 100 seconds."""


@st.composite
def settings(draw: st.DrawFn, *, has_accidents: bool = True) -> Setting:
    natures = ["good", *draw(st.lists(st.sampled_from(["good", "good", *FAULTS]), min_size=1, max_size=40))]
    moments = st.tuples(st.integers(0, 200).map(S_US.__mul__), st.integers(0, len(natures) - 1))
    start_us = draw(st.integers(0, 200 * S_US))
    return Setting(
        natures,
        [*((at_us, 0) for at_us in TRAFFIC_US), *draw(st.lists(moments, max_size=60))],
        draw(st.lists(moments, max_size=20)),
        draw(st.lists(st.just(80_000) | st.integers(1_000, SLOW_US), min_size=1, max_size=20)),
        draw(st.integers(1, 50)),
        range(start_us, start_us + draw(st.integers(0, 600 * S_US)) * has_accidents),
        draw(st.integers(-30, 30)) if has_accidents else -1,
        draw(st.sampled_from([0, 0, 600 * S_US])) * has_accidents,
    )


class World:
    """Look-ups, the directory and the accounts' hosts, and time that goes from one moment that matters to the next."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        # DIDs whose own hosts are dead are not the directory's.
        self.dids = [
            f"did:web:host{number}.test" if nature == "dead" else frames.did(number)
            for number, nature in enumerate(setting.natures)
        ]
        self.natures = dict(zip(self.dids, setting.natures, strict=True))
        self.desk = Desk(setting.per_second)
        self.time_us = 0
        self.numbers = count()
        self.calls: list[tuple[int, int, Inquiry]] = []
        """When a call was made, when it is answered, and for whom."""

        self.asked_us: list[int] = []
        self.failed_us: dict[str, int] = {}
        """When a DID failed by itself for the first time."""

        self.settled: dict[str, list[tuple[int, KnownIdentity | RejectReason]]] = {}
        self.downs = 0

    def run(self) -> World:
        """Let time pass until nothing will happen any more."""
        lists = (self.setting.wants, self.setting.changes)
        moments = sorted({at_us for some in lists for at_us, _ in some})
        wake_us = self.step()
        for _ in range(5_000):
            later_us = [at_us for at_us in moments if at_us > self.time_us][:1]
            later_us += [at_us for _, at_us, _ in self.calls] + ([] if wake_us is None else [wake_us])
            if not later_us:
                return self
            self.time_us = min(later_us)
            wake_us = self.step()
        raise AssertionError("it never comes to rest")

    def step(self) -> int | None:
        """Everything that happens at this moment. Returns when the timer will fire."""
        desk, lookups, setting = self.desk, self.desk.lookups, self.setting
        set_back_us = setting.set_back_us if self.time_us >= 100 * S_US else 0
        desk.now_us = NOW_US + self.time_us - set_back_us
        was_down, before = lookups.is_down, len(desk.outcomes)
        for did in self.named(setting.changes):
            lookups.forget(did)
        for did in self.named(setting.wants):
            if lookups.refusal(did, desk.now_us) is None:
                lookups.want(did, desk.now_us)
        for call in [each for each in self.calls if each[1] == self.time_us]:
            self.calls.remove(call)
            desk.outcomes += lookups.answered(call[2], [self.answer(did) for did in call[2].dids], desk.now_us)
        asked = desk.ask()
        self.calls = [each for each in self.calls if self.time_us - each[0] < LOST_US]
        for inquiry in asked:
            number = next(self.numbers)
            delay_us = 3_600 * S_US if number == setting.lost else setting.delays_us[number % len(setting.delays_us)]
            self.calls.append((self.time_us, self.time_us + delay_us, inquiry))
            self.asked_us += [self.time_us] * len(inquiry.dids)
        self.check(asked)
        for did, outcome in desk.outcomes[before:]:
            self.settled.setdefault(did, []).append((self.time_us, outcome))
            assert not (was_down and lookups.is_down and outcome is NO_IDENTITY), "while it is down nobody is refused"
        self.downs += lookups.is_down and not was_down
        wake_us = lookups.wake_us()
        assert wake_us is None or wake_us > desk.now_us, "a timer that fires for nothing would fire for ever"
        assert wake_us is not None or not lookups.waiting, "nobody who waits is left alone"
        return None if wake_us is None else wake_us - NOW_US + set_back_us

    def named(self, some: list[tuple[int, int]]) -> list[str]:
        return [self.dids[number] for at_us, number in some if at_us == self.time_us]

    def answer(self, did: str) -> LookupAnswer:
        if self.time_us in self.setting.outage_us and did.startswith("did:plc:"):
            return DOWN
        if self.natures[did] == "good":
            return identity(did)
        self.failed_us.setdefault(did, self.time_us)
        return FAULTS[self.natures[did]][0]

    def check(self, asked: list[Inquiry]) -> None:
        under_way = [did for _, _, inquiry in self.calls for did in inquiry.dids]
        assert len(under_way) == len({*under_way}), "a DID is asked for once at a time"
        assert len(self.calls) <= MAX_CALLS
        assert sum(inquiry.patient for _, _, inquiry in self.calls) <= MAX_PATIENT_CALLS
        assert all(0 < len(inquiry.dids) <= BATCH for inquiry in asked)
        lately = [at_us for at_us in self.asked_us if at_us > self.time_us - S_US]
        assert len(lately) <= self.setting.per_second, "no more than the budget in any second"


@given(settings())
def test_whatever_happens_everybody_is_settled_and_nobody_is_wronged(setting: Setting) -> None:
    world = World(setting).run()
    assert {*world.settled} >= {world.dids[number] for _, number in setting.wants}
    for did, outcomes in world.settled.items():
        for at_us, outcome in outcomes:
            if world.natures[did] == "good":
                assert isinstance(outcome, KnownIdentity), "what is right is never refused"
            else:
                assert outcome is FAULTS[world.natures[did]][1], "what is wrong is, and for its reason"
            assert outcome is not NO_IDENTITY or at_us - world.failed_us[did] >= DEADLINE_S * S_US


@given(settings(has_accidents=False))
def test_who_fails_alone_is_refused_in_time_and_the_directory_is_never_down(setting: Setting) -> None:
    """After the deadline at the earliest; at the latest a pause, the queue and an answer after it."""
    quick = setting._replace(per_second=50, delays_us=[80_000, 500_000])
    world = World(
        quick._replace(wants=[(at_us + S_US * bool(number), number) for at_us, number in setting.wants])
    ).run()
    assert world.downs == 0
    for did, outcomes in world.settled.items():
        at_us, outcome = outcomes[0]
        if outcome is NO_IDENTITY:
            late_us = at_us - world.failed_us[did] - DEADLINE_S * S_US
            assert 0 <= late_us <= RETRY_CAP_US + 2 * S_US
