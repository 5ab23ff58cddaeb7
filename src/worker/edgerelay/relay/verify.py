"""The checks of an event beyond its envelope, in the order in which they are made.

    arrival     rev is news, and not in the future                   `check_rev`
    blocks      CAR, commit object, records, tree, inversion          `examine`
    identity    key, host, signature                                  `vetting`, which has to wait for answers
    its turn    account active, rev newer, chain continuous           `ledger`, `judge`

The first failure counts. Nothing here waits, stores or counts: every function takes what is known and says what
follows. docs/validation.md has the same list for readers, with what each reason means.

Spec: atproto sync, "Commit Validation", "Account Sync Status"; repository v3; draft-holmgren-at-repository-03.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.car import Car, parse_car
from edgerelay.atproto.cid import CBOR_PREFIX, Cid
from edgerelay.atproto.commit import CommitError, RepoCommit, announced_commit
from edgerelay.atproto.inversion import check_inversion
from edgerelay.atproto.messages import Account as AccountMessage
from edgerelay.atproto.messages import Commit, Message, Sync
from edgerelay.atproto.mst import EMPTY_ROOT, TreeError
from edgerelay.atproto.tid import tid_to_int, tid_to_us
from edgerelay.errors import PeerError, WireError
from edgerelay.relay.accounts import NO_DIGEST, Account, AccountStatus
from edgerelay.relay.reject import COMMIT_REASONS, TREE_REASONS, RejectReason

__all__ = ["MAX_AHEAD_US", "Claim", "Judgement", "Refusal", "check_rev", "examine", "judge"]

MAX_AHEAD_US: Final = 300_000_000
"""How far a `rev` may lie ahead of our clock, in microseconds: the five minutes that deployed relays allow."""

Tolerates: TypeAlias = "Callable[[RejectReason], bool]"
"""Asked before an event is refused; True to let it pass this check."""


class Refusal(PeerError):
    """An event fails a check."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Claim(NamedTuple):
    """What the blocks of a `#commit` or `#sync` claim; true if the signature is the account's."""

    commit: Cid
    data: Cid
    """The root of the tree."""

    signed_bytes: bytes
    signature: bytes


class Judgement(NamedTuple):
    """What an event makes of its account."""

    account: Account
    breaks_chain: bool = False
    """The event is right, but not what follows the last one that we saw: something is missing between."""


def check_rev(message: Commit | Sync, account: Account | None, now_us: int) -> None:
    """Refuse a `rev` that is not news, or that claims a time which has not come.

    It is not news if it is not newer than the account's last one; a `#sync` may repeat that, since it states what a
    repository is now.
    """
    rev = tid_to_int(message.rev)
    known = account.rev if account is not None else 0
    if rev < known or (rev == known and isinstance(message, Commit)):
        raise Refusal(RejectReason.STALE_REV, "not newer than the account's last rev")
    ahead_us = tid_to_us(message.rev) - now_us
    if ahead_us > MAX_AHEAD_US:
        raise Refusal(RejectReason.FUTURE_REV, f"{ahead_us // 1_000_000} s ahead")


def examine(message: Commit | Sync, tolerates: Tolerates) -> Claim:
    """Check everything that can be told from the event alone.

    Raises:
        Refusal: something is wrong that is not tolerated.
    """
    try:
        car = parse_car(message.blocks)
    except WireError as error:
        raise Refusal(RejectReason.BAD_CAR, str(error)) from None
    try:
        cid = message.commit if isinstance(message, Commit) else None
        commit = announced_commit(car, message.did, message.rev, cid)
    except CommitError as error:
        raise Refusal(COMMIT_REASONS[error.fault], str(error)) from None
    if isinstance(message, Commit):
        _check_records(message, car)
        _check_tree(message, car, commit, tolerates)
    return Claim(car.root, commit.data, commit.signed_bytes, commit.signature)


def _check_records(message: Commit, car: Car) -> None:
    for op in message.ops:
        if op.cid is not None and op.cid not in car.blocks:
            raise Refusal(RejectReason.MISSING_BLOCK, "the CAR lacks a record that was written")


def _check_tree(message: Commit, car: Car, commit: RepoCommit, tolerates: Tolerates) -> None:
    """The operations, undone, must lead to `prevData`; without it, in a repository's first commit, to nothing."""
    prev_data = message.prev_data
    if prev_data is None:
        if message.since is not None:
            if tolerates(RejectReason.MISSING_PREV_DATA):
                return
            raise Refusal(RejectReason.MISSING_PREV_DATA, "a commit with `since` and without `prevData`")
        prev_data = EMPTY_ROOT
    try:
        check_inversion(car.blocks, commit.data, message.ops, prev_data)
    except TreeError as error:
        reason = TREE_REASONS[error.fault]
        if not tolerates(reason):
            raise Refusal(reason, str(error)) from None


def judge(account: Account, message: Message, host_id: int, claim: Claim | None) -> Judgement | RejectReason:
    """Tell what an event, true in itself, makes of its account; or why it comes too late.

    Args:
        account: as the account's event before left it, and active.
        host_id: where the event comes from; an account that moved, moves.
        claim: what its blocks hold; None for a relay that does not look into them.
    """
    match message:
        case Commit():
            return _judge_commit(account, message, host_id, claim)
        case Sync():
            return _judge_sync(account, message, host_id, claim)
        case AccountMessage():
            status = AccountStatus.from_message(active=message.active, status=message.status)
            return Judgement(account._replace(host_id=host_id, upstream_active=message.active, upstream_status=status))
        case _:
            return Judgement(account)


def _judge_commit(account: Account, message: Commit, host_id: int, claim: Claim | None) -> Judgement | RejectReason:
    rev = tid_to_int(message.rev)
    if rev <= account.rev:
        return RejectReason.STALE_REV
    breaks_chain = account.has_commit and not _continues(account, message)
    moved = account._replace(
        host_id=host_id,
        rev=rev,
        commit=_digest(message.commit),
        data=NO_DIGEST if claim is None else _digest(claim.data),
        desynchronized=breaks_chain,
    )
    return Judgement(moved, breaks_chain)


def _continues(account: Account, message: Commit) -> bool:
    """Tell whether nothing is missing before a commit: what it says of the one before is the last that we know.

    Some hosts always leave `since` empty; then `prevData` alone tells.
    """
    if message.since is not None and tid_to_int(message.since) != account.rev:
        return False
    if account.data == NO_DIGEST or message.prev_data is None:
        return message.since is not None
    return _digest(message.prev_data) == account.data


def _judge_sync(account: Account, message: Sync, host_id: int, claim: Claim | None) -> Judgement | RejectReason:
    rev = tid_to_int(message.rev)
    if rev < account.rev:
        return RejectReason.STALE_REV
    commit, data = (NO_DIGEST, NO_DIGEST) if claim is None else (_digest(claim.commit), _digest(claim.data))
    if claim is None and rev == account.rev:
        commit, data = account.commit, account.data
    return Judgement(account._replace(host_id=host_id, rev=rev, commit=commit, data=data, desynchronized=False))


def _digest(cid: Cid) -> bytes:
    return cid[len(CBOR_PREFIX) :]
