"""Vetting: what an event waits for, what it is held against, and that nothing wrong passes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.keys import PublicKey
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.config import Settings
from edgerelay.relay.accounts import Account, MemoryAccounts, hash_did
from edgerelay.relay.host import Host
from edgerelay.relay.identities import IDENTITY_TTL_US, MemoryIdentities
from edgerelay.relay.intake import Candidate
from edgerelay.relay.lookups import LookupAnswer
from edgerelay.relay.reject import RejectReason
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
from tests.oracle.repo import Repo, is_signed, key

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


class TestWithoutIdentity:
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

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Absence.TOMBSTONED, RejectReason.TOMBSTONED),
            (LookupFailure("no use", is_directory=False, is_final=True), RejectReason.UNUSABLE_IDENTITY),
        ],
    )
    def test_what_is_final_is_refused_at_once(self, answer: LookupAnswer, reason: RejectReason) -> None:
        office, alice = Office(), Repo(1)
        office.documents[alice.did] = answer
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
