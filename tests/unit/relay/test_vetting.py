"""Vetting: what an event waits for, what it is held against, and that nothing wrong passes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.keys import PublicKey
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.config import Settings
from edgerelay.relay.accounts import Account, MemoryAccounts, hash_did
from edgerelay.relay.host import Host
from edgerelay.relay.identities import IDENTITY_TTL_US, KnownIdentity, MemoryIdentities
from edgerelay.relay.intake import Candidate
from edgerelay.relay.lookups import LOST_US, LookupAnswer
from edgerelay.relay.reject import TOLERABLE, RejectReason
from edgerelay.relay.restored import Restored
from edgerelay.relay.vetting import (
    BATCH,
    CheckSignatures,
    IdentitiesResolved,
    LookUp,
    LookupsDue,
    SetLookupTimer,
    SignaturesChecked,
    Vetting,
)
from tests import arrivals
from tests.oracle import frames
from tests.oracle.repo import Repo, is_signed, key, link

NOW_US, S_US = frames.NOW_US, 1_000_000
HERE, THERE = "https://pds.test", "https://elsewhere.test"
DOWN = LookupFailure("timeout", is_directory=True, is_final=False)


class Office:
    """A vetting, a directory that can be changed, and signatures that are checked when the test says so."""

    def __init__(self, kind: str = "pds", **settings: str) -> None:
        chosen = Settings.from_mapping({"UPSTREAM": "wss://pds.test", "IDENTITY_DEADLINE_S": "10", **settings})
        host = Host.of(chosen, Restored(1), lambda did, rev: True, lambda: 0.0, NOW_US)
        host.kind = kind
        self.accounts, self.identities = MemoryAccounts(), MemoryIdentities()
        self.vetting = Vetting(chosen, host, self.accounts, self.identities, NOW_US)
        self.now_us = NOW_US
        self.documents: dict[str, LookupAnswer] = {}
        self.lookups: list[LookUp] = []
        self.batches: list[CheckSignatures] = []
        self.asked: list[str] = []
        self.timer_us: int | None = None
        self.settled: list[Candidate] = []

    def publish(self, repo: Repo, pds: str = HERE, by: PublicKey | None = None) -> None:
        """Write an account's document."""
        self.documents[repo.did] = Identity(repo.did, by or repo.key, pds, None)

    def begin(self, *raw: bytes) -> list[Candidate]:
        arrived = [arrivals.candidate(each) for each in raw]
        self.vetting.begin(arrived, self.now_us)
        self._take()
        return arrived

    def look_up(self, resolve: Callable[[str], LookupAnswer] | None = None) -> None:
        """Answer every look-up, from the directory unless told otherwise."""
        lookups, self.lookups = self.lookups, []
        self.now_us += 1
        for (inquiry,) in lookups:
            answers = [resolve(did) if resolve else self.documents.get(did, Absence.NOT_FOUND) for did in inquiry.dids]
            self.vetting.handle(IdentitiesResolved(inquiry, answers), self.now_us)
        self._take()

    def check(self) -> None:
        """Answer every batch of signatures."""
        batches, self.batches = self.batches, []
        for batch in batches:
            self.vetting.handle(SignaturesChecked(batch, [is_signed(each) for each in batch.checks]), self.now_us)
        self._take()

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * S_US)
        if self.timer_us is not None and self.timer_us <= self.now_us:
            self.timer_us = None
            self.vetting.handle(LookupsDue(), self.now_us)
            self._take()

    def work(self) -> None:
        """Answer everything until nothing more is asked at once."""
        while self.lookups or self.batches:
            self.look_up()
            self.check()

    def _take(self) -> None:
        for command in self.vetting.take_commands(self.now_us):
            match command:
                case LookUp(inquiry):
                    self.lookups.append(command)
                    self.asked += inquiry.dids
                case CheckSignatures():
                    self.batches.append(command)
                case SetLookupTimer(at_us):
                    self.timer_us = at_us
        self.settled += self.vetting.take_settled()

    def verdict(self, *raw: bytes) -> RejectReason | bool | None:
        """The verdict of the last of some events, when everything was answered."""
        arrived = self.begin(*raw)
        self.work()
        return arrived[-1].verdict


def verdicts(some: Sequence[Candidate]) -> list[RejectReason | bool | None]:
    return [each.verdict for each in some]


class TestWay:
    def test_a_commit_waits_for_identity_and_signature(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        [commit] = office.begin(alice.write({"a.b.c/1": "x"}).frame())
        assert (office.asked, office.batches, commit.verdict) == ([alice.did], [], None)
        office.look_up()
        assert ([batch.candidates for batch in office.batches], commit.verdict) == ([[commit]], None)
        office.check()
        assert (office.settled, commit.verdict) == ([commit], True)

    def test_what_is_known_is_not_asked_for_again(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        assert office.verdict(alice.write().frame(), alice.write().frame(2)) is True
        assert office.verdict(alice.write().frame(3)) is True
        assert office.asked == [alice.did]

    def test_what_was_known_yesterday_is(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        office.now_us += IDENTITY_TTL_US + 2 * S_US
        assert office.verdict(alice.write().frame(2)) is True
        assert office.asked == [alice.did] * 2

    def test_signatures_are_checked_in_batches(self) -> None:
        office, some = Office(), [Repo(number) for number in range(BATCH + 10)]
        for repo in some:
            office.publish(repo)
        office.begin(*[repo.write().frame() for repo in some])
        while office.lookups:
            office.look_up()
            office.wait(1)
        assert max(len(batch.checks) for batch in office.batches) <= BATCH
        office.check()
        assert len(office.settled) == BATCH + 10

    def test_a_sync_is_signed_too(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        assert office.verdict(alice.state(rev=5).frame()) is True
        forged = alice.state(rev=6)
        forged.key = key(99)
        assert office.verdict(forged.frame(2)) is RejectReason.BAD_SIGNATURE


def early() -> bytes:
    """A commit of a time that has not come."""
    return Repo(1).write(rev=NOW_US + 3_600 * S_US << 10).frame()


PROVOKED: dict[RejectReason, tuple[Callable[[], bytes], LookupAnswer]] = {
    RejectReason.FUTURE_REV: (early, Identity(frames.did(1), key(1), HERE, None)),
    RejectReason.NO_IDENTITY: (lambda: Repo(1).write().frame(), Absence.NOT_FOUND),
    RejectReason.UNUSABLE_IDENTITY: (
        lambda: Repo(1).state(rev=1).frame(),
        LookupFailure("no use", is_directory=False, is_final=True),
    ),
    RejectReason.TOMBSTONED: (lambda: frames.account(1, frames.did(1)), Absence.TOMBSTONED),
    RejectReason.NO_SIGNING_KEY: (lambda: Repo(1).write().frame(), Identity(frames.did(1), None, HERE, None)),
    RejectReason.WRONG_HOST: (lambda: frames.identity(1, frames.did(1)), Identity(frames.did(1), key(1), THERE, None)),
    RejectReason.BAD_SIGNATURE: (lambda: Repo(1).write().frame(), Identity(frames.did(1), key(2), HERE, None)),
}
"""What is refused, by its reason: an event, and what is said of its account."""


@pytest.mark.parametrize("reason", PROVOKED)
@pytest.mark.parametrize("is_known", [False, True])
def test_what_is_wrong_is_refused_by_its_reason_and_says_what_is_wrong(reason: RejectReason, is_known: bool) -> None:
    office = Office()
    event, office.documents[frames.did(1)] = PROVOKED[reason][0](), PROVOKED[reason][1]
    if is_known:
        office.identities.put(hash_did(frames.did(1)), KnownIdentity(key(99), HERE, NOW_US))
    [candidate] = office.begin(event)
    for _ in range(40):
        office.work()
        office.wait(1)
    assert (candidate.verdict, bool(candidate.detail)) == (reason, True)
    assert office.settled == [candidate]


class TestSuspicion:
    """What does not fit what was known is held against what the directory says now."""

    def test_a_key_that_was_changed_a_moment_ago(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        alice.key = key(77)
        office.publish(alice)
        assert office.verdict(alice.write().frame(2)) is True
        assert office.asked == [alice.did] * 2

    def test_somebody_elses_signature(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        forged = alice.write()
        forged.key = key(99)
        assert office.verdict(forged.frame(2)) is RejectReason.BAD_SIGNATURE
        assert office.asked == [alice.did] * 2, "once more, and not for ever"

    def test_an_answer_that_was_asked_for_before_the_event_arrived_proves_nothing(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.begin(frames.identity(1, alice.did))
        old = office.documents[alice.did]
        alice.key = key(77)
        office.publish(alice)
        office.now_us += S_US
        [commit] = office.begin(alice.write().frame(2))
        office.look_up(lambda did: old)
        office.check()
        assert commit.verdict is None
        office.work()
        assert commit.verdict is True

    def test_an_account_that_was_not_known_is_asked_for_once(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice, by=key(99))
        assert office.verdict(alice.write().frame()) is RejectReason.BAD_SIGNATURE
        assert office.asked == [alice.did]

    def test_a_key_that_became_known_meanwhile_is_tried_without_asking(self) -> None:
        office, alice = Office(), Repo(1)
        office.identities.put(hash_did(alice.did), KnownIdentity(key(7), HERE, NOW_US))
        office.publish(alice)
        [commit] = office.begin(alice.write().frame())
        held, office.batches = office.batches, []
        office.begin(frames.identity(2, alice.did))
        office.work()
        office.batches = held
        office.check()
        assert (commit.verdict, len(office.batches), office.asked) == (None, 1, [alice.did])
        office.check()
        assert commit.verdict is True

    def test_a_clock_that_is_set_back_makes_nobody_ask_again_and_again(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        forged = alice.write()
        forged.key = key(99)
        [commit] = office.begin(forged.frame(2))
        office.now_us -= 600 * S_US
        office.work()
        assert (commit.verdict, office.asked) == (RejectReason.BAD_SIGNATURE, [alice.did] * 2)

    def test_what_a_clock_that_was_ahead_knew_is_doubted_all_the_same(self) -> None:
        office, alice = Office(), Repo(1)
        office.identities.put(hash_did(alice.did), KnownIdentity(key(7), HERE, NOW_US + 600 * S_US))
        office.publish(alice)
        assert office.verdict(alice.write().frame()) is True

    @pytest.mark.parametrize(("environment", "verdict"), [("develop", True), ("production", RejectReason.WRONG_HOST)])
    def test_names_of_this_machine_are_one_name_in_development_only(
        self, environment: str, verdict: RejectReason | bool
    ) -> None:
        office = Office(UPSTREAM="wss://localhost:2583", ENVIRONMENT=environment)
        alice = Repo(1)
        office.publish(alice, "https://127.0.0.1:2583")
        assert office.verdict(alice.write().frame()) is verdict

    def test_an_account_that_has_just_moved_here(self) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice, THERE)
        assert office.verdict(alice.write().frame()) is RejectReason.WRONG_HOST
        office.publish(alice)
        assert office.verdict(alice.write().frame(2)) is True

    def test_a_document_without_a_key(self) -> None:
        office, alice = Office(), Repo(1)
        office.documents[alice.did] = Identity(alice.did, None, HERE, None)
        assert office.verdict(alice.write().frame()) is RejectReason.NO_SIGNING_KEY
        office.publish(alice)
        assert office.verdict(alice.write().frame(2)) is True

    def test_a_document_that_names_no_host(self) -> None:
        office, alice = Office(), Repo(1)
        office.documents[alice.did] = Identity(alice.did, alice.key, None, None)
        assert office.verdict(frames.account(1, alice.did)) is RejectReason.WRONG_HOST


class TestNotices:
    @pytest.mark.parametrize("notice", [frames.identity, frames.account])
    def test_a_notice_of_a_pds_makes_the_identity_be_asked_for_anew(self, notice: Callable[..., bytes]) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        assert office.verdict(notice(2, alice.did)) is True
        assert office.asked == [alice.did] * 2

    @pytest.mark.parametrize("notice", [frames.identity, frames.account])
    def test_who_has_left_is_not_spoken_for_by_the_host_that_it_left(self, notice: Callable[..., bytes]) -> None:
        office, alice = Office(), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        office.publish(alice, THERE)
        assert office.verdict(notice(2, alice.did)) is RejectReason.WRONG_HOST

    @pytest.mark.parametrize("notice", [frames.identity, frames.account])
    def test_a_relay_is_believed_hop_by_hop(self, notice: Callable[..., bytes]) -> None:
        office = Office("relay")
        assert verdicts(office.begin(notice(1, frames.did(1)))) == [True]
        assert office.asked == []

    def test_behind_a_relay_an_account_may_live_anywhere_but_must_sign(self) -> None:
        office, alice = Office("relay"), Repo(1)
        office.publish(alice, THERE)
        assert office.verdict(alice.write().frame()) is True
        forged = alice.write()
        forged.key = key(99)
        assert office.verdict(forged.frame(2)) is RejectReason.BAD_SIGNATURE

    def test_behind_a_relay_an_identity_is_forgotten_all_the_same(self) -> None:
        office, alice = Office("relay"), Repo(1)
        office.publish(alice)
        office.verdict(alice.write().frame())
        assert office.verdict(frames.identity(2, alice.did), alice.write().frame(3)) is True
        assert office.asked == [alice.did] * 2

    def test_a_key_that_was_taken_back_is_worth_nothing_after_an_identity_event(self) -> None:
        """Also if the question was on its way when the event arrived, so that the answer is older."""
        office, alice = Office("relay"), Repo(1)
        office.publish(alice)
        old = office.documents[alice.did]
        office.begin(alice.write().frame())
        office.publish(alice, by=key(77))
        office.begin(frames.identity(2, alice.did))
        office.look_up(lambda did: old)
        assert office.identities.get(hash_did(alice.did)) is None
        assert office.verdict(alice.write().frame(3)) is RejectReason.BAD_SIGNATURE


class TestWithoutIdentity:
    def test_events_of_calls_that_are_lost_are_settled_too(self) -> None:
        office, alice, bob = Office(), Repo(1), Repo(2)
        office.publish(bob)
        [commit] = office.begin(alice.write().frame())
        for seq in range(2, 50):
            office.lookups = [each for each in office.lookups if alice.did not in each.inquiry.dids]
            office.begin(bob.write().frame(seq), frames.identity(seq, bob.did))
            office.lookups = [each for each in office.lookups if alice.did not in each.inquiry.dids]
            office.work()
            office.wait(LOST_US / S_US / 10)
        assert commit.verdict is RejectReason.NO_IDENTITY
        assert not office.vetting.lookups.is_down

    def test_whose_identity_was_kept_from_an_earlier_run_can_be_the_control(self) -> None:
        office, alice, bob = Office(), Repo(1), Repo(2)
        office.identities.put(hash_did(bob.did), KnownIdentity(bob.key, HERE, NOW_US))
        assert office.verdict(bob.write().frame()) is True
        office.begin(alice.write().frame(2))
        office.look_up(lambda did: DOWN)
        assert office.asked == [alice.did, bob.did]

    def test_a_control_that_fails_keeps_the_identity_that_it_has(self) -> None:
        office, alice, bob = Office(), Repo(1), Repo(2)
        office.publish(bob)
        office.verdict(bob.write().frame())
        office.begin(alice.write().frame(2))
        office.look_up(lambda did: DOWN)
        assert office.asked[-1] == bob.did
        office.look_up(lambda did: Absence.TOMBSTONED)
        assert office.verdict(bob.write().frame(3)) is True

    def test_a_did_that_does_not_resolve_is_refused_after_a_deadline_and_remembered(self) -> None:
        office, alice = Office(), Repo(1)
        [commit] = office.begin(alice.write().frame())
        for _ in range(40):
            office.work()
            office.wait(1)
        assert commit.verdict is RejectReason.NO_IDENTITY
        asked = len(office.asked)
        assert verdicts(office.begin(alice.write().frame(2))) == [RejectReason.NO_IDENTITY]
        assert len(office.asked) == asked
        office.publish(alice)
        assert office.verdict(frames.identity(3, alice.did)) is True, "something has changed"

    def test_nobody_waits_for_it(self) -> None:
        office, alice, bob = Office(), Repo(1), Repo(2)
        office.publish(bob)
        arrived = office.begin(alice.write().frame(), bob.write().frame(2))
        office.work()
        assert verdicts(arrived) == [None, True]

    @pytest.mark.parametrize("reason", [RejectReason.TOMBSTONED, RejectReason.UNUSABLE_IDENTITY])
    def test_what_is_final_is_refused_at_once(self, reason: RejectReason) -> None:
        office, alice = Office(), Repo(1)
        _, office.documents[alice.did] = PROVOKED[reason]
        assert office.verdict(alice.write().frame()) is reason

    def test_a_directory_that_is_down_refuses_nothing(self) -> None:
        office, some = Office(), [Repo(number) for number in range(5)]
        arrived = office.begin(*[repo.write().frame() for repo in some])
        for _ in range(100):
            office.look_up(lambda did: DOWN)
            office.wait(1)
        assert office.vetting.lookups.is_down
        assert verdicts(arrived) == [None] * 5
        for repo in some:
            office.publish(repo)
        for _ in range(60):
            office.work()
            office.wait(1)
        assert not office.vetting.lookups.is_down
        assert verdicts(arrived) == [True] * 5


class TestModes:
    def test_trusted_asks_nobody(self) -> None:
        office, alice = Office(VERIFY="trusted"), Repo(1)
        broken = frames.commit(1, alice.did, frames.tid(1))
        arrived = office.begin(broken, frames.sync(2, alice.did, frames.tid(1)), frames.identity(3, alice.did))
        assert verdicts(arrived) == [True] * 3
        assert (office.asked, office.batches) == ([], [])

    def test_trusted_still_refuses_the_future(self) -> None:
        office = Office(VERIFY="trusted")
        future = frames.tid((NOW_US + 3_600 * S_US) << 10)
        assert verdicts(office.begin(frames.commit(1, frames.did(1), future))) == [RejectReason.FUTURE_REV]

    def test_lenient_counts_what_it_overlooks(self) -> None:
        office, alice = Office(VERIFY="lenient"), Repo(1)
        office.publish(alice)
        office.verdict(alice.write({"a.b.c/1": "x"}).frame())
        draft = alice.write({"a.b.c/2": "y"})
        del draft.body["prevData"]
        assert office.verdict(draft.frame(2)) is True
        assert office.vetting.tolerated[RejectReason.MISSING_PREV_DATA] == 1
        assert Office().verdict(draft.frame(2)) is RejectReason.MISSING_PREV_DATA

    def test_it_counts_only_what_passes(self) -> None:
        office, alice = Office(VERIFY="lenient"), Repo(1)
        office.publish(alice)
        for signed_by, verdict in ((alice.key, True), (key(99), RejectReason.BAD_SIGNATURE)):
            draft = alice.write({"a.b.c/1": str(verdict)})
            draft.key = signed_by
            draft.body["prevData"] = link(next(iter(draft.blocks)))
            assert office.verdict(draft.frame()) is verdict
            assert office.vetting.tolerated[RejectReason.INVERSION_MISMATCH] == 1

    def test_lenient_passes_who_has_no_identity_but_no_forgery(self) -> None:
        office, alice, bob = Office(VERIFY="lenient"), Repo(1), Repo(2)
        office.publish(bob)
        forged = bob.write()
        forged.key = key(99)
        [commit] = office.begin(alice.write().frame())
        for _ in range(40):
            office.work()
            office.wait(1)
        assert commit.verdict is True
        assert office.vetting.tolerated[RejectReason.NO_IDENTITY] == 1
        assert office.verdict(forged.frame(2)) is RejectReason.BAD_SIGNATURE

    @pytest.mark.parametrize("reason", [each for each in PROVOKED if each not in TOLERABLE])
    def test_lenient_refuses_whatever_else_an_identity_shows(self, reason: RejectReason) -> None:
        office = Office(VERIFY="lenient")
        event, office.documents[frames.did(1)] = PROVOKED[reason][0](), PROVOKED[reason][1]
        for _ in range(2):
            assert office.verdict(event) is reason
        assert not any(office.vetting.tolerated.values())

    def test_a_rev_that_is_not_news_is_not_looked_into(self) -> None:
        office, alice = Office(), Repo(1)
        office.accounts.put(Account(hash_did(alice.did), 1, rev=9))
        broken = frames.commit(1, alice.did, frames.tid(9))
        assert verdicts(office.begin(broken)) == [RejectReason.STALE_REV]
        assert office.asked == []


class Life:
    """Accounts of which some write, change keys, move, forge and are forged, while answers come late or never."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.office = Office(IDENTITY_DEADLINE_S="3600")
        self.repos = [Repo(number) for number in range(3)]
        self.seq = 0
        self.right: list[Candidate] = []
        self.wrong: list[Candidate] = []
        for repo in self.repos:
            self.office.publish(repo)

    def repo(self) -> Repo:
        return self.data.draw(st.sampled_from(self.repos))

    def send(self, raw: bytes, into: list[Candidate]) -> None:
        self.seq += 1
        into += self.office.begin(raw)

    def write(self) -> None:
        self.send(self.repo().write().frame(self.seq + 1), self.right)

    def forge(self) -> None:
        draft = self.repo().write()
        draft.key = key(1_000 + self.seq)
        self.send(draft.frame(self.seq + 1), self.wrong)

    def announce(self) -> None:
        self.send(frames.identity(self.seq + 1, self.repo().did), self.right)

    def rotate(self) -> None:
        """A key is changed when everything that the old one signed has its verdict: later nobody could tell."""
        repo = self.repo()
        self.office.work()
        if any(each.verdict is None and each.message.did == repo.did for each in self.right):
            return
        repo.key = key(100 + self.seq)
        self.seq += 1
        self.office.publish(repo)

    def fail(self) -> None:
        self.office.look_up(lambda did: DOWN)

    def look_up(self) -> None:
        self.office.look_up()

    def check(self) -> None:
        self.office.check()

    def wait(self) -> None:
        self.office.wait(self.data.draw(st.sampled_from([0, 0.5, 3, 40])))

    def end(self) -> None:
        for _ in range(400):
            self.office.work()
            if not any(each.verdict is None for each in self.right + self.wrong):
                return
            self.office.wait(5)


ACTS = (
    "write",
    "write",
    "write",
    "forge",
    "announce",
    "rotate",
    "fail",
    "look_up",
    "look_up",
    "check",
    "check",
    "wait",
)


@given(st.data())
def test_nothing_wrong_passes_and_nothing_right_is_refused(data: Any) -> None:
    life = Life(data)
    for _ in range(data.draw(st.integers(0, 25))):
        getattr(life, data.draw(st.sampled_from(ACTS)))()
    life.end()
    assert set(verdicts(life.right)) <= {True}
    assert set(verdicts(life.wrong)) <= {RejectReason.BAD_SIGNATURE}
    assert sorted(map(id, life.office.settled)) == sorted(map(id, life.right + life.wrong)), "one verdict for each"


class State(NamedTuple):
    """What a document says from a moment on."""

    since_us: int
    key: PublicKey
    pds: str


class Sent(NamedTuple):
    """A commit, and what has to be known to judge its verdict."""

    candidate: Candidate
    account: int
    key: PublicKey
    told_us: int
    """When the last `#identity` of its account had arrived, or the beginning."""

    arrived_us: int


CHANGES = (
    "commit",
    "commit",
    "forge",
    "revoked",
    "rotate",
    "move",
    "tell",
    "wait",
    "look_up",
    "look_up",
    "check",
    "fail",
)


class History:
    """Documents change at any time, also while events and answers are on their way; what they said when is known."""

    def __init__(self, data: st.DataObject, kind: str) -> None:
        self.data = data
        self.kind = kind
        self.office = Office(kind, IDENTITY_DEADLINE_S="3600")
        self.keys, self.revs = count(100), count(1)
        self.states = {number: [State(0, key(next(self.keys)), HERE)] for number in (1, 2)}
        self.told_us = dict.fromkeys(self.states, 0)
        self.sent: list[Sent] = []
        self.settled_us: dict[Candidate, int] = {}

    def act(self, change: str) -> None:
        self.office.now_us += 1_000
        getattr(self, change)()
        settled, self.office.settled = self.office.settled, []
        for each in settled:
            assert each not in self.settled_us, "one verdict for each"
            self.settled_us[each] = self.office.now_us

    def account(self) -> int:
        return self.data.draw(st.sampled_from(sorted(self.states)))

    def send(self, number: int, by: PublicKey) -> None:
        draft = Repo(number).write(rev=next(self.revs))
        draft.key = by
        [arrived] = self.office.begin(draft.frame())
        self.sent.append(Sent(arrived, number, by, self.told_us[number], self.office.now_us))

    def commit(self) -> None:
        number = self.account()
        self.send(number, self.states[number][-1].key)

    def forge(self) -> None:
        self.send(self.account(), key(99))

    def revoked(self) -> None:
        number = self.account()
        self.send(number, self.data.draw(st.sampled_from(self.states[number])).key)

    def rotate(self) -> None:
        states = self.states[self.account()]
        states.append(State(self.office.now_us, key(next(self.keys)), states[-1].pds))

    def move(self) -> None:
        states = self.states[self.account()]
        states.append(State(self.office.now_us, states[-1].key, THERE if states[-1].pds == HERE else HERE))

    def tell(self) -> None:
        number = self.account()
        self.office.begin(frames.identity(1, frames.did(number)))
        self.told_us[number] = self.office.now_us

    def wait(self) -> None:
        self.office.wait(self.data.draw(st.sampled_from([0.001, 0.08, 1, 5, 100])))

    def look_up(self) -> None:
        """One call is answered by what was true when it was made, or became true since."""
        if self.office.lookups:
            (inquiry,) = self.office.lookups.pop(self.data.draw(st.integers(0, len(self.office.lookups) - 1)))
            answers = [self.document(did, inquiry.asked_us) for did in inquiry.dids]
            self.office.vetting.handle(IdentitiesResolved(inquiry, answers), self.office.now_us)
            self.office._take()

    def document(self, did: str, since_us: int) -> LookupAnswer:
        [number] = [each for each in self.states if frames.did(each) == did]
        state = self.data.draw(st.sampled_from(self.between(number, since_us, self.office.now_us)))
        return Identity(did, state.key, state.pds, None)

    def fail(self) -> None:
        self.office.look_up(lambda did: DOWN)

    def check(self) -> None:
        self.office.check()

    def end(self) -> None:
        while self.office.vetting.lookups.waiting or self.office.batches:
            self.office.look_up(lambda did: self.document(did, self.office.now_us))
            self.office.check()
            self.office.wait(1)

    def between(self, number: int, first_us: int, last_us: int) -> list[State]:
        """Everything that a document said from one time to another."""
        states = self.states[number]
        ends_us = [*(state.since_us for state in states[1:]), last_us + 1]
        return [
            state
            for state, end_us in zip(states, ends_us, strict=True)
            if state.since_us <= last_us and first_us < end_us
        ]

    def judge(self, sent: Sent) -> None:
        until_us = self.settled_us[sent.candidate]

        def fits(state: State) -> bool:
            return state.key == sent.key and (self.kind == "relay" or state.pds == HERE)

        if sent.candidate.verdict is True:
            told = self.between(sent.account, sent.told_us, until_us)
            assert any(map(fits, told)), "nothing passes that was not right since its account was told of last"
        else:
            assert sent.candidate.verdict in (RejectReason.BAD_SIGNATURE, RejectReason.WRONG_HOST)
            seen = self.between(sent.account, sent.arrived_us, until_us)
            assert not all(map(fits, seen)), "nothing is refused that was right all the time"


@given(st.data(), st.sampled_from(["pds", "relay"]))
def test_whenever_documents_change_what_was_wrong_is_refused_and_what_was_right_passes(data: Any, kind: str) -> None:
    history = History(data, kind)
    for _ in range(data.draw(st.integers(0, 60))):
        history.act(data.draw(st.sampled_from(CHANGES)))
    history.act("end")
    for sent in history.sent:
        history.judge(sent)
