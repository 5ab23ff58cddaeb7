"""The ledger: which events an account may enter, what else is said about it, and which numbers they get."""

from __future__ import annotations

from typing import Any

import pytest

from edgerelay.config import Settings
from edgerelay.relay.accounts import AccountStatus, MemoryAccounts, hash_did
from edgerelay.relay.host import Host
from edgerelay.relay.identities import KnownIdentity
from edgerelay.relay.ledger import AskHost, Ledger
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.restored import Restored
from edgerelay.relay.statuses import KEPT_US
from tests import arrivals
from tests.oracle import frames

NOW_US, DID = frames.NOW_US, frames.did(1)
PASSED = None
INACTIVE = RejectReason.INACTIVE_ACCOUNT


class Desk:
    """A ledger, a host of some kind, and verdicts that are all true."""

    def __init__(self, kind: str = "pds") -> None:
        self.accounts = MemoryAccounts()
        self.ledger = Ledger(self.accounts, 0, 1)
        settings = Settings(upstream="wss://host.test")
        self.host = Host.of(settings, Restored(1), self.ledger.book.is_news, lambda: 0.0, NOW_US)
        self.host.kind = kind
        self.now_us = NOW_US
        self.rev = 0

    def settle(self, raw: bytes, verdict: RejectReason | bool = True, pds: str | None = None) -> object:
        self.candidate = arrivals.candidate(raw)
        self.candidate.verdict = verdict
        self.candidate.known = KnownIdentity(None, pds, NOW_US) if pds else None
        return self.again()

    def again(self) -> object:
        return self.ledger.settle(self.candidate, self.host, self.now_us)

    def commit(self, pds: str | None = None) -> object:
        self.rev += 1
        since = frames.tid(self.rev - 1) if self.rev > 1 else None
        return self.settle(frames.commit(self.rev, DID, frames.tid(self.rev), since=since), pds=pds)

    def account(self, **fields: Any) -> object:
        return self.settle(frames.account(1, DID, **fields))

    def told(self, *, active: bool | None, status: str | None = None) -> object:
        self.ledger.told(self.candidate, self.now_us, active=active, status=status)
        return self.again()

    def close(self) -> list[tuple[str, dict[str, Any]]]:
        """What went into the batch: kind and body of each event."""
        batch = self.ledger.close([])
        return [(header["t"], body) for header, body in (frames.parts(frame) for _, frame in batch.split())]

    def decide(self, status: AccountStatus) -> None:
        """This relay decides about the account."""
        known = self.accounts.get(hash_did(DID))
        assert known is not None
        self.accounts.put(known._replace(local_status=status))


class TestNumbers:
    def test_every_operation_has_one(self) -> None:
        desk = Desk()
        paths = ["a.b.c/1", "a.b.c/2", "a.b.c/3"]
        assert desk.settle(frames.commit(1, DID, frames.tid(1), paths=paths)) is PASSED
        assert desk.settle(frames.identity(2, DID)) is PASSED
        assert [body["seq"] - NOW_US for _, body in desk.close()] == [0, 3]

    def test_a_batch_follows_the_one_before(self) -> None:
        desk = Desk()
        desk.commit()
        first = desk.ledger.close([])
        desk.commit()
        assert len(desk.ledger) == 1
        second = desk.ledger.close([])
        assert (second.head.prev_seq, desk.ledger.last_seq) == (first.head.last_seq, second.head.last_seq)
        counts = desk.ledger.counts
        assert (counts.events, counts.flushes, counts.bytes) == (2, 2, len(first.frames) + len(second.frames))

    def test_its_size_counts_what_the_head_will_hold(self) -> None:
        desk = Desk()
        desk.commit()
        assert desk.ledger.size_bytes >= 96
        desk.ledger.close([])
        assert desk.ledger.size_bytes == 0


class TestDecisions:
    def test_each_is_an_event_with_a_number_and_what_follows_is_refused(self) -> None:
        desk = Desk()
        desk.commit()
        desk.ledger.decide(DID, AccountStatus.TAKENDOWN, desk.host, NOW_US)
        assert desk.commit() is INACTIVE
        desk.ledger.decide(DID, AccountStatus.ACTIVE, desk.host, NOW_US)
        assert desk.commit() is PASSED
        kinds, bodies = zip(*desk.close(), strict=True)
        assert kinds == ("#commit", "#account", "#account", "#commit")
        assert [(body["active"], body.get("status")) for body in bodies[1:3]] == [(False, "takendown"), (True, None)]
        assert [body["seq"] - NOW_US for body in bodies] == [0, 1, 2, 3]
        assert all(frames.datetime_text(NOW_US) <= body["time"] + "Z" for body in bodies[1:3])


class TestRefused:
    @pytest.mark.parametrize("reason", [RejectReason.BAD_SIGNATURE, RejectReason.STALE_REV])
    def test_a_refused_event_changes_nothing(self, reason: RejectReason) -> None:
        desk = Desk()
        assert desk.settle(frames.commit(1, DID, frames.tid(1)), reason) is reason
        assert (len(desk.ledger), desk.ledger.book.find(DID)) == (0, None)

    def test_what_comes_too_late_is_refused_here(self) -> None:
        desk = Desk()
        desk.commit()
        desk.rev = 0
        assert desk.commit() is RejectReason.STALE_REV


def write_too_late(desk: Desk) -> object:
    return desk.settle(frames.commit(1, DID, frames.tid(0)))


def write_while_out(desk: Desk) -> object:
    desk.account(active=False)
    desk.commit()
    return desk.told(active=False)


PROVOKED = {RejectReason.STALE_REV: write_too_late, INACTIVE: write_while_out}
"""What is refused here, by its reason."""


@pytest.mark.parametrize("reason", PROVOKED)
def test_what_is_refused_here_has_its_reason(reason: RejectReason) -> None:
    assert PROVOKED[reason](Desk()) is reason


class TestActive:
    def test_an_account_that_was_never_heard_of_is_active(self) -> None:
        assert Desk().commit() is PASSED

    @pytest.mark.parametrize(("kind", "pds"), [("pds", None), ("relay", "https://pds.test")])
    def test_an_account_that_its_host_took_out_is_asked_about(self, kind: str, pds: str | None) -> None:
        desk = Desk(kind)
        desk.commit(pds)
        desk.account(active=False, status="deactivated")
        assert desk.commit(pds) == AskHost(DID, pds or "https://host.test")
        assert desk.told(active=False, status="deactivated") is INACTIVE
        assert [kind for kind, _ in desk.close()] == ["#commit", "#account"]

    def test_without_a_host_to_ask_it_stays_out(self) -> None:
        desk = Desk("relay")
        desk.account(active=False)
        assert desk.commit() is INACTIVE

    def test_it_is_asked_once_for_a_while(self) -> None:
        desk = Desk()
        desk.account(active=False)
        assert isinstance(desk.commit(), AskHost)
        assert desk.told(active=None) is INACTIVE
        assert desk.commit() is INACTIVE
        desk.now_us += KEPT_US
        assert isinstance(desk.commit(), AskHost)

    def test_one_that_writes_after_all_is_announced_before_it_writes(self) -> None:
        desk = Desk()
        desk.account(active=False, status="deactivated")
        desk.now_us += 5
        assert isinstance(desk.commit(), AskHost)
        assert desk.told(active=True) is PASSED
        told, restated, commit = desk.close()
        assert restated == (
            "#account",
            {"seq": NOW_US + 5, "did": DID, "time": frames.datetime_text(NOW_US + 5), "active": True},
        )
        assert (told[1]["active"], commit[0], commit[1]["seq"]) == (False, "#commit", NOW_US + 6)
        assert desk.commit() is PASSED
        assert desk.ledger.counts.statuses == 1

    def test_another_reason_to_be_out_is_announced(self) -> None:
        desk = Desk()
        desk.account(active=False, status="deactivated")
        desk.commit()
        assert desk.told(active=False, status="takendown") is INACTIVE
        assert desk.close()[-1][1]["status"] == "takendown"

    def test_what_the_host_says_by_itself_is_news(self) -> None:
        desk = Desk()
        desk.account(active=False)
        desk.commit()
        desk.told(active=False)
        desk.account(active=True)
        assert desk.commit() is PASSED
        desk.account(active=False)
        assert isinstance(desk.commit(), AskHost), "the answer was about another time"

    def test_notices_of_an_account_that_is_out_pass(self) -> None:
        desk = Desk()
        desk.account(active=False)
        assert desk.settle(frames.identity(9, DID)) is PASSED
        assert desk.account(active=False, status="deleted") is PASSED

    def test_a_sync_is_asked_about_like_a_commit(self) -> None:
        desk = Desk()
        desk.account(active=False)
        assert isinstance(desk.settle(frames.sync(1, DID, frames.tid(9))), AskHost)


class TestLocal:
    """What this relay decides wins, whatever the host says."""

    def test_an_account_that_we_took_down_is_not_asked_about(self) -> None:
        desk = Desk()
        desk.commit()
        desk.decide(AccountStatus.TAKENDOWN)
        assert desk.commit() is INACTIVE

    def test_nor_if_its_host_took_it_out_as_well(self) -> None:
        desk = Desk()
        desk.commit()
        desk.account(active=False, status="deactivated")
        desk.decide(AccountStatus.TAKENDOWN)
        assert desk.commit() is INACTIVE

    def test_its_host_is_passed_on_with_our_status(self) -> None:
        desk = Desk()
        desk.commit()
        desk.decide(AccountStatus.TAKENDOWN)
        assert desk.account(active=True, extra="kept") is PASSED
        _, body = desk.close()[-1]
        assert (body["active"], body["status"], body["extra"]) == (False, "takendown", "kept")


class TestTombstoned:
    def test_an_account_whose_identity_was_given_up_is_deleted(self) -> None:
        desk = Desk()
        desk.commit()
        raw = frames.commit(2, DID, frames.tid(2))
        for _ in range(2):
            assert desk.settle(raw, RejectReason.TOMBSTONED) is RejectReason.TOMBSTONED
        restated = [body for kind, body in desk.close() if kind == "#account"]
        assert [(body["active"], body["status"]) for body in restated] == [(False, "deleted")]
        known = desk.ledger.book.find(DID)
        assert known is not None
        assert (known.active, known.upstream_status) == (False, AccountStatus.DELETED)

    def test_one_that_is_back_is_asked_about_anew(self) -> None:
        """For some days the directory lets an owner take it back."""
        desk = Desk()
        desk.account(active=False)
        desk.commit()
        desk.told(active=True)
        desk.settle(frames.commit(2, DID, frames.tid(2)), RejectReason.TOMBSTONED)
        assert isinstance(desk.commit(), AskHost)
        assert desk.told(active=True) is PASSED

    def test_one_that_was_never_heard_of_stays_so(self) -> None:
        desk = Desk()
        desk.settle(frames.commit(1, DID, frames.tid(1)), RejectReason.TOMBSTONED)
        assert (desk.ledger.book.find(DID), len(desk.ledger)) == (None, 0)


def test_breaks_of_a_chain_pass_and_are_counted() -> None:
    desk = Desk()
    desk.commit()
    desk.rev += 1
    assert desk.commit() is PASSED
    assert desk.ledger.book.chain_breaks == 1
