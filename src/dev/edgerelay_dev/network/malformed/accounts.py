"""Events of accounts that may not speak here or now, and `#sync` events that are not what they claim.

Spec: atproto sync ("Commit Validation"), account; did:plc (tombstones).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edgerelay_dev.network.car import write_car
from edgerelay_dev.network.event import sync_event
from edgerelay_dev.network.key import derive_key
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import Material
from edgerelay_dev.network.repository import Commit
from edgerelay_dev.network.tid import tid_text

_HOUR_US: Final = 3_600_000_000
_YEAR_US: Final = 365 * 24 * _HOUR_US
_ELSEWHERE: Final = "http://elsewhere.test"


@malformed(Fate.REJECT)
def unknown_account(material: Material) -> bytes:
    """A commit of an account whose DID the directory does not know."""
    return _commit_of(material.stranger(None))


@malformed(Fate.REJECT)
def tombstoned_account(material: Material) -> bytes:
    """A commit of an account whose DID is tombstoned."""
    return _commit_of(material.stranger(material.host.url, HTTPStatus.GONE))


@malformed(Fate.REJECT)
def wrong_host(material: Material) -> bytes:
    """A commit of an account whose document names another host."""
    return _commit_of(material.stranger(_ELSEWHERE))


@malformed(Fate.REJECT)
def account_from_wrong_host(material: Material) -> bytes:
    """An `#account` about an account whose document names another host."""
    return material.stranger(_ELSEWHERE).frame("#account", active=False, status="takendown")


@malformed(Fate.REJECT)
def sync_from_wrong_host(material: Material) -> bytes:
    """A `#sync` of an account whose document names another host."""
    return material.stranger(_ELSEWHERE).frame("#sync")


def _commit_of(material: Material) -> bytes:
    return material.frame("#commit")


@malformed(Fate.REJECT)
def inactive_account(material: Material) -> bytes:
    """A commit of an account that was deactivated just before."""
    other = Material(material.host, material.host.create_account(), material.lasting)
    other.host.set_status(other.account, "deactivated")
    return _commit_of(other)


@malformed(Fate.REJECT)
def sync_forged(material: Material) -> bytes:
    """A `#sync` signed by another key."""
    key = derive_key(material.account.key.curve.name, "somebody else")
    return _sync_frame(material, material.fork().sign_again(material.next_tid(), key))


@malformed(Fate.REJECT)
def sync_future_rev(material: Material) -> bytes:
    """A `#sync` whose rev is an hour ahead of the clock."""
    rev = tid_text(material.host.now_us() + _HOUR_US, 0)
    return _sync_frame(material, material.fork().sign_again(rev, material.account.key))


@malformed(Fate.REPEAT)
def sync_stale_rev(material: Material) -> bytes:
    """A `#sync` whose rev is a year older than the account's last."""
    rev = tid_text(material.host.now_us() - _YEAR_US, 0)
    return _sync_frame(material, material.fork().sign_again(rev, material.account.key))


@malformed(Fate.REJECT)
def sync_without_commit(material: Material) -> bytes:
    """A `#sync` whose container is empty."""
    head = material.fork().sign_again(material.next_tid(), material.account.key)
    return material.frame("#sync", rev=head.rev, blocks=write_car(head.block.cid, []))


@malformed(Fate.REJECT)
def sync_did_disagrees(material: Material) -> bytes:
    """A `#sync` about another account of the host than the commit object's."""
    others = (did for did in material.host.accounts if did != material.account.did)
    return material.frame("#sync", did=next(others))


def _sync_frame(material: Material, head: Commit) -> bytes:
    event = sync_event(material.account.did, head, material.host.now_text())
    return material.write("#sync", event.body | {"seq": material.seq})
