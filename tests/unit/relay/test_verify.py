"""The ordered checks: each thing that can be wrong with an event, which of two counts, and what a true one changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import Cid, cid_for_cbor
from edgerelay.atproto.messages import Commit, Sync
from edgerelay.atproto.mst import EMPTY_ROOT
from edgerelay.relay.accounts import NO_DIGEST, Account, AccountStatus, hash_did
from edgerelay.relay.reject import TOLERABLE, RejectReason
from edgerelay.relay.verify import MAX_AHEAD_US, Claim, Judgement, Refusal, check_rev, examine, judge
from tests.arrivals import message
from tests.oracle import frames
from tests.oracle.repo import Draft, Repo, car, link, sign

NOW_US, DID, OTHER = frames.NOW_US, frames.did(1), frames.did(2)
A, B, C = "a.b.c/1", "a.b.c/2", "a.b.d/1"
STALE = RejectReason.STALE_REV
NOTHING = cid_for_cbor(b"nothing")


def event(draft: Draft) -> Commit | Sync:
    parsed = message(draft.frame())
    assert isinstance(parsed, Commit | Sync)
    return parsed


def refusal(draft: Draft, tolerated: frozenset[RejectReason] = frozenset()) -> RejectReason | None:
    """Why an event is refused by what is in it."""
    try:
        examine(event(draft), tolerated.__contains__)
    except Refusal as refused:
        return refused.reason
    return None


def full() -> Repo:
    """A repository with some records."""
    repo = Repo()
    repo.write({A: "one", B: "two", **{f"a.b.e/{number}": "more" for number in range(20)}})
    return repo


def first() -> Draft:
    return Repo().write({A: "one", B: "two"})


def change() -> Draft:
    return full().write({A: "new", B: None, C: "also new"})


def state() -> Draft:
    return full().state()


def spoil(draft: Draft, **fields: object) -> Draft:
    """Put other fields into the message."""
    draft.body |= fields
    return draft


def spoil_commit(draft: Draft, **fields: object) -> Draft:
    """Put other fields into the commit object."""
    draft.commit |= fields
    return draft


def leave_out(draft: Draft, *, block: Cid | None = None, field: str = "seq") -> Draft:
    draft.blocks.pop(block or NOTHING, None)
    draft.body.pop(field, None)
    return draft


def replant(draft: Draft, node: bytes) -> Draft:
    """Make a block of ours the whole tree."""
    draft.blocks[cid_for_cbor(node)] = node
    return spoil_commit(draft, data=link(cid_for_cbor(node)))


def rename(draft: Draft) -> Draft:
    draft.body["ops"][0]["path"] = "a.b.c/other"
    return draft


def mislabel(draft: Draft) -> Draft:
    draft.blocks[NOTHING] = b"something"
    return draft


def root(draft: Draft) -> Cid:
    """The root of the tree."""
    return Cid(draft.commit["data"].value[1:])


PROVOKED: dict[RejectReason, list[Callable[[], Draft]]] = {
    RejectReason.BAD_CAR: [
        lambda: mislabel(first()),
        lambda: spoil(first(), blocks=b""),
        lambda: spoil(state(), blocks=b"\x00"),
    ],
    RejectReason.MISSING_BLOCK: [
        lambda: leave_out(first(), block=cid_for_cbor(dumps({"text": "one"}))),
        lambda: spoil(state(), blocks=car(NOTHING, {})),
    ],
    RejectReason.BAD_COMMIT: [
        lambda: spoil_commit(first(), version=2),
        lambda: spoil_commit(first(), sig=b"short"),
        lambda: spoil_commit(state(), data=None),
    ],
    RejectReason.COMMIT_MISMATCH: [
        lambda: spoil(first(), commit=link(NOTHING)),
        lambda: spoil(first(), repo=OTHER),
        lambda: spoil(first(), rev=frames.tid(9)),
        lambda: spoil(state(), did=OTHER),
        lambda: spoil(state(), rev=frames.tid(9)),
    ],
    RejectReason.BAD_TREE: [lambda: replant(change(), dumps({"e": [], "l": None, "x": 1}, canonical=True))],
    RejectReason.PARTIAL_TREE: [lambda: leave_out(change(), block=root(change()))],
    RejectReason.BAD_OPS: [lambda: rename(change())],
    RejectReason.MISSING_PREV_DATA: [lambda: leave_out(change(), field="prevData")],
    RejectReason.INVERSION_MISMATCH: [
        lambda: spoil(change(), prevData=link(NOTHING)),
        lambda: spoil(change(), ops=[]),
        lambda: spoil(first(), ops=[]),
        lambda: leave_out(spoil(change(), since=None), field="prevData"),
    ],
}
"""What `examine` refuses, by its reason."""


class TestExamine:
    @pytest.mark.parametrize("draft", [first, change, state, lambda: full().write(), lambda: Repo().write()])
    def test_what_is_right_passes_and_says_what_it_claims(self, draft: Callable[[], Draft]) -> None:
        made = draft()
        claim = examine(event(made), lambda reason: False)
        signed_bytes = dumps(made.commit, canonical=True)
        assert claim == Claim(
            parse_car(event(made).blocks).root, root(made), signed_bytes, sign(made.key, signed_bytes)
        )

    @pytest.mark.parametrize(
        ("reason", "draft"), [(reason, each) for reason, some in PROVOKED.items() for each in some]
    )
    def test_what_is_wrong_is_refused_by_its_reason(self, reason: RejectReason, draft: Callable[[], Draft]) -> None:
        assert refusal(draft()) is reason
        assert refusal(draft(), TOLERABLE) is (None if reason in TOLERABLE else reason)

    def test_what_is_tolerated_is_asked_for_by_its_own_reason(self) -> None:
        asked: list[RejectReason] = []

        def tolerates(reason: RejectReason) -> bool:
            asked.append(reason)
            return True

        examine(event(change()), tolerates)
        assert asked == []
        examine(event(leave_out(change(), field="prevData")), tolerates)
        examine(event(rename(change())), tolerates)
        assert asked == [RejectReason.MISSING_PREV_DATA, RejectReason.BAD_OPS]

    @pytest.mark.parametrize(
        ("draft", "reason"),
        [
            (lambda: mislabel(spoil_commit(change(), version=2)), RejectReason.BAD_CAR),
            (lambda: spoil(spoil_commit(change(), version=2), commit=link(NOTHING)), RejectReason.COMMIT_MISMATCH),
            (lambda: spoil_commit(spoil(change(), repo=OTHER), version=2), RejectReason.BAD_COMMIT),
            (lambda: leave_out(spoil(change(), repo=OTHER), block=root(change())), RejectReason.COMMIT_MISMATCH),
            (
                lambda: leave_out(rename(change()), block=cid_for_cbor(dumps({"text": "new"}))),
                RejectReason.MISSING_BLOCK,
            ),
            (lambda: leave_out(rename(change()), field="prevData"), RejectReason.MISSING_PREV_DATA),
        ],
    )
    def test_the_first_of_two_failures_counts(self, draft: Callable[[], Draft], reason: RejectReason) -> None:
        assert refusal(draft()) is reason

    def test_the_first_commit_needs_no_prev_data_because_nothing_was_there_before(self) -> None:
        assert "prevData" not in first().body
        assert refusal(first()) is None
        assert refusal(spoil(first(), prevData=link(EMPTY_ROOT))) is None

    def test_a_commit_without_operations_needs_no_tree(self) -> None:
        assert refusal(leave_out(full().write(), block=root(full().write()))) is None

    def test_a_sync_needs_no_tree(self) -> None:
        assert state().blocks == {}

    @given(
        st.lists(
            st.dictionaries(
                st.integers(0, 30).map(lambda number: f"a.b.c/{number}"), st.none() | st.sampled_from("xyz"), max_size=6
            ),
            max_size=6,
        )
    )
    def test_any_true_history_passes(self, history: list[dict[str, str | None]]) -> None:
        repo = Repo()
        for writes in history:
            before = repo.records
            real = {
                path: text
                for path, text in writes.items()
                if (path in before if text is None else dumps({"text": text}) != before.get(path))
            }
            assert refusal(repo.write(real)) is None
            assert refusal(repo.state()) is None


class TestRev:
    @pytest.mark.parametrize(
        ("known", "rev", "draft", "refused"),
        [
            (5, 6, first, False),
            (5, 5, first, True),
            (5, 4, first, True),
            (5, 6, state, False),
            (5, 5, state, False),
            (5, 4, state, True),
            (0, 0, first, True),
            (None, 0, first, True),
            (None, 1, first, False),
            (None, 1, state, False),
        ],
    )
    def test_it_must_be_news(self, known: int | None, rev: int, draft: Callable[[], Draft], refused: bool) -> None:
        account = None if known is None else Account(hash_did(DID), 1, known)
        made = event(spoil(draft(), rev=frames.tid(rev)))
        if refused:
            with pytest.raises(Refusal) as raised:
                check_rev(made, account, NOW_US)
            assert raised.value.reason is STALE
        else:
            check_rev(made, account, NOW_US)

    @pytest.mark.parametrize("draft", [first, state])
    @pytest.mark.parametrize(
        ("ahead_us", "refused"), [(MAX_AHEAD_US, False), (MAX_AHEAD_US + 1, True), (-(10**15), False)]
    )
    def test_it_may_lie_a_little_in_the_future(self, draft: Callable[[], Draft], ahead_us: int, refused: bool) -> None:
        made = event(spoil(draft(), rev=frames.tid(NOW_US + ahead_us << 10 | 1023)))
        if refused:
            with pytest.raises(Refusal, match="300 s ahead") as raised:
                check_rev(made, None, NOW_US)
            assert raised.value.reason is RejectReason.FUTURE_REV
        else:
            check_rev(made, None, NOW_US)


def claimed(draft: Draft) -> tuple[Commit | Sync, Claim]:
    return event(draft), examine(event(draft), lambda reason: False)


def after(*drafts: Draft, account: Account | None = None, host_id: int = 1) -> list[Judgement | RejectReason]:
    """What is said of events that follow each other; those that are refused change nothing."""
    account = account or Account(hash_did(DID), 1)
    verdicts = []
    for draft in drafts:
        verdict = judge(account, event(draft), host_id, examine(event(draft), lambda reason: True))
        account = account if isinstance(verdict, RejectReason) else verdict.account
        verdicts.append(verdict)
    return verdicts


def breaks(*drafts: Draft) -> list[bool | RejectReason]:
    return [each if isinstance(each, RejectReason) else each.breaks_chain for each in after(*drafts)]


class TestJudge:
    def test_a_commit_leaves_its_state(self) -> None:
        message, claim = claimed(first())
        assert judge(Account(hash_did(DID), 1), message, 7, claim) == Judgement(
            Account(hash_did(DID), 7, 1, claim.commit[4:], claim.data[4:])
        )

    def test_a_sync_leaves_its_state(self) -> None:
        message, claim = claimed(full().state(rev=9))
        before = Account(hash_did(DID), 1, 5, bytes([1] * 32), bytes([2] * 32), desynchronized=True, key_id=3)
        assert judge(before, message, 7, claim) == Judgement(
            Account(hash_did(DID), 7, 9, claim.commit[4:], claim.data[4:], key_id=3)
        )

    def test_what_follows_what_was_seen_continues_the_chain(self) -> None:
        repo = Repo()
        drafts = [repo.write({A: "one"}), repo.write({A: "two"}), repo.write(), repo.state(), repo.write({A: None})]
        assert breaks(*drafts) == [False] * 5

    def test_whatever_comes_first_breaks_nothing(self) -> None:
        """Some hosts say nothing when an account is created."""
        assert breaks(change()) == [False]

    def test_a_missing_commit_breaks_the_chain_once(self) -> None:
        repo = Repo()
        seen = repo.write({A: "one"})
        repo.write({A: "two"})
        verdicts = after(seen, repo.write({A: "three"}), repo.write({A: "four"}))
        accounts = [each.account for each in verdicts if isinstance(each, Judgement)]
        assert [each.breaks_chain for each in verdicts if isinstance(each, Judgement)] == [False, True, False]
        assert [each.desynchronized for each in accounts] == [False, True, False]
        assert [each.rev for each in accounts] == [1, 3, 4]

    def test_a_sync_mends_it(self) -> None:
        repo = Repo()
        seen = repo.write({A: "one"})
        repo.write({A: "two"})
        verdict = after(seen, repo.write({A: "three"}), repo.state())[-1]
        assert isinstance(verdict, Judgement)
        assert not verdict.account.desynchronized

    def test_both_links_must_lead_to_what_is_known(self) -> None:
        repo = full()
        seen = repo.write({A: "one"})
        branch = repo.write({A: "two"})
        assert breaks(seen, branch) == [False, False]
        assert breaks(seen, spoil(branch, since=frames.tid(1))) == [False, True]
        assert breaks(seen, spoil(branch, since=repo_rev(seen), prevData=link(NOTHING))) == [False, True]
        assert breaks(seen, spoil(branch, since=None)) == [False, True]

    def test_without_prev_data_since_alone_must_fit(self) -> None:
        """As far as such a commit is tolerated."""
        repo = full()
        seen = repo.write({A: "one"})
        assert breaks(seen, leave_out(repo.write({A: "two"}), field="prevData")) == [False, False]

    def test_a_first_commit_of_an_account_that_is_known_breaks_the_chain(self) -> None:
        assert breaks(first(), Repo(rev=6).write({A: "anew"})) == [False, True]

    def test_what_comes_too_late_says_so(self) -> None:
        repo = Repo()
        drafts = [repo.write({A: "one"}), repo.write({A: "two"})]
        assert breaks(*reversed(drafts)) == [False, STALE]
        assert breaks(drafts[1], drafts[1]) == [False, STALE]
        assert breaks(drafts[1], Repo(rev=1).state()) == [False, STALE]

    def test_a_sync_under_the_same_rev_is_what_counts(self) -> None:
        """One follows the first commit of each account of the reference PDS."""
        other = full()
        verdicts = after(first(), other.state(rev=1))
        assert isinstance(verdicts[1], Judgement)
        assert verdicts[1].account.data == other.tree().root[4:]

    def test_whoever_does_not_look_into_blocks_keeps_what_can_be_kept(self) -> None:
        account = Account(hash_did(DID), 1)
        states = []
        for draft in (first(), full().state(rev=1), full().state(rev=2), full().write(rev=3)):
            verdict = judge(account, event(spoil(draft, since=frames.tid(2))), 1, None)
            assert isinstance(verdict, Judgement)
            assert not verdict.breaks_chain
            account = verdict.account
            states.append((account.rev, account.commit != NO_DIGEST, account.data != NO_DIGEST))
        assert states == [(1, True, False), (1, True, False), (2, False, False), (3, True, False)]

    @pytest.mark.parametrize(
        ("said", "active", "status"),
        [
            ({}, True, AccountStatus.ACTIVE),
            ({"active": False, "status": "deactivated"}, False, AccountStatus.DEACTIVATED),
            ({"active": False, "status": "unheard of"}, False, AccountStatus.UNKNOWN),
            ({"active": False}, False, AccountStatus.UNKNOWN),
        ],
    )
    def test_an_account_message_says_what_its_host_says(
        self, said: dict[str, Any], active: bool, status: AccountStatus
    ) -> None:
        before = Account(hash_did(DID), 1, 5, local_status=AccountStatus.TAKENDOWN)
        assert judge(before, message(frames.account(1, DID, **{"active": True, **said})), 7, None) == Judgement(
            before._replace(host_id=7, upstream_active=active, upstream_status=status)
        )

    def test_an_identity_message_changes_nothing(self) -> None:
        before = Account(hash_did(DID), 1, 5)
        assert judge(before, message(frames.identity(1, DID)), 7, None) == Judgement(before)

    @pytest.mark.parametrize("draft", [first, lambda: full().state()])
    def test_an_account_that_moved_moves(self, draft: Callable[[], Draft]) -> None:
        verdict = after(draft(), host_id=2)[0]
        assert isinstance(verdict, Judgement)
        assert verdict.account.host_id == 2


def repo_rev(draft: Draft) -> str:
    rev: str = draft.body["rev"]
    return rev
