"""Accounts from events that are kept: what the newest of them say, read backwards."""

from __future__ import annotations

import pytest

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.messages import Commit, Sync, parse_message
from edgerelay.relay import recollection as module
from edgerelay.relay.accounts import NO_DIGEST, Account, AccountStatus, hash_did
from edgerelay.relay.recollection import Recollection
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.verify import Judgement, examine, judge
from tests.oracle import frames
from tests.oracle.repo import Repo

HOST = 7


def batch(*raws: bytes) -> Batch:
    """A batch of frames, in order."""
    builder = BatchBuilder(0)
    for seq, raw in enumerate(raws, 1):
        header, body = frames.parts(raw)
        builder.add(seq, header["t"], body.get("repo") or body["did"], (), raw)
    return builder.build((), b"")


def recalled(*raws: bytes) -> dict[bytes, Account]:
    """What is recalled, the batches cut behind each event."""
    recollection = Recollection()
    for raw in reversed(raws):
        recollection.read(batch(raw), HOST)
    together = Recollection()
    together.read(batch(*raws), HOST)
    assert set(together.accounts) == set(recollection.accounts)
    return {account.did_hash: account for account in recollection.accounts}


def judged(*raws: bytes) -> dict[bytes, Account]:
    """What the events made of the accounts when they were verified, as far as the last ones tell."""
    accounts: dict[bytes, Account] = {}
    for raw in raws:
        frame = decode_frame(raw)
        assert isinstance(frame, Frame)
        message = parse_message(frame.kind, frame.body)
        key = hash_did(message.did)
        claim = examine(message, lambda _: False) if isinstance(message, Commit | Sync) else None
        judgement = judge(accounts.get(key) or Account(key, HOST), message, HOST, claim)
        assert isinstance(judgement, Judgement), RejectReason
        accounts[key] = judgement.account
    return accounts


def test_the_newest_events_make_of_accounts_what_they_made_of_them_before() -> None:
    alice, bob = Repo(1), Repo(2)
    raws = (
        alice.write({"a.b.c/1": "x"}).frame(1),
        bob.write({"a.b.c/1": "x"}).frame(2),
        frames.account(3, bob.did, active=False, status="deactivated"),
        alice.write({"a.b.c/2": "y"}).frame(4),
        bob.state(rev=9).frame(5),
        frames.account(6, alice.did, active=True),
        frames.account(7, bob.did, active=False, status="takendown"),
    )
    assert recalled(*raws) == judged(*raws)


def test_an_identity_tells_nothing() -> None:
    assert recalled(frames.identity(1, frames.did(1))) == {}


def test_blocks_without_meaning_leave_the_rev_and_an_unreadable_frame_nothing() -> None:
    """A relay that trusts its host passes on what it does not understand."""
    did, digest = frames.did(1), frames.link(f"{frames.did(1)} {frames.tid(5)}".encode()).value[-32:]
    (account,) = recalled(frames.commit(1, did, frames.tid(5))).values()
    assert (account.rev, account.commit, account.data) == (5, digest, NO_DIGEST)
    (account,) = recalled(frames.frame("#commit", {"repo": did})).values()
    assert account == Account(hash_did(did), HOST)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECALLED", 2)
    recollection = Recollection()
    recollection.read(batch(*[frames.account(number, frames.did(number)) for number in (1, 2, 3)]), HOST)
    assert recollection.is_full
    assert {each.did_hash for each in recollection.accounts} == {hash_did(frames.did(number)) for number in (2, 3)}
    recollection.read(batch(frames.account(1, frames.did(3), active=False), frames.sync(2, frames.did(2), "")), HOST)
    assert all(each.upstream_status is AccountStatus.ACTIVE for each in recollection.accounts)
