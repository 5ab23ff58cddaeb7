"""What a simulated network answers to lookups, and what has to come of it: one contract for every way of asking."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from time import time
from typing import NamedTuple

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.keys import key_from_multikey
from edgerelay.atproto.lookup import Answer, IdentityQuestion, LookupFailure, Question, StatusQuestion
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.plc import LookupFault

__all__ = ["Lookup", "arrange", "essence"]

RETRY_AFTER_S = 7

NO_OBJECT = LookupFailure("an answer that is no JSON object", is_directory=True, is_final=False)
TOO_LARGE = LookupFailure("an answer that is too large", is_directory=True, is_final=False)
TOO_DEEP = LookupFailure("an answer with too many brackets", is_directory=False, is_final=True)
TIMEOUT = LookupFailure("timeout", is_directory=True, is_final=False)
NETWORK = LookupFailure("network", is_directory=True, is_final=False)
REDIRECT = LookupFailure("redirect", is_directory=True, is_final=False)
BUSY = LookupFailure("HTTP 429", is_directory=True, is_final=False, retry_after_s=RETRY_AFTER_S)
BROKEN = LookupFailure("HTTP 500", is_directory=True, is_final=False)

FAULTS: Mapping[str, tuple[LookupFault, Answer]] = {
    "stalled": (LookupFault(stall=True), TIMEOUT),
    "stalled in its middle": (LookupFault(headers={"Content-Length": "9999"}, body='{"id": '), TIMEOUT),
    "late by far": (LookupFault(delay_s=30), TIMEOUT),
    "hung up": (LookupFault(hangup=True), NETWORK),
    "garbled": (LookupFault(headers={"Content-Encoding": "gzip"}), NETWORK),
    "huge": (LookupFault(body=" " * 4_000_000), TOO_LARGE),
    "deep": (LookupFault(body='{"a":' * 10_000), TOO_DEEP),
    "empty": (LookupFault(body=""), NO_OBJECT),
    "a page": (LookupFault(body="<html>"), NO_OBJECT),
    "redirected": (LookupFault(status=302, headers={"Location": "/did:plc:ewvi7nxzyoun6zhxrhs64oiz"}), REDIRECT),
    "redirected for good": (LookupFault(status=308, headers={"Location": "http://127.0.0.1:9/"}), REDIRECT),
    "unknown": (LookupFault(status=404), Absence.NOT_FOUND),
    "unknown at length": (LookupFault(status=404, body=" " * 4_000_000), Absence.NOT_FOUND),
    "tombstoned": (LookupFault(status=410), Absence.TOMBSTONED),
    "busy": (LookupFault(status=429, headers={"Retry-After": str(RETRY_AFTER_S)}), BUSY),
    "broken": (LookupFault(status=500), BROKEN),
    "broken at length": (LookupFault(status=500, body=" " * 4_000_000), BROKEN),
}
"""By name: what the directory does, and the answer."""


class Lookup(NamedTuple):
    """One case."""

    name: str
    question: Question
    answer: Answer


def arrange(network: SimulatedNetwork) -> list[Lookup]:
    """Let the network go wrong in every way, each for an account of its own; to be called on its loop."""
    host = network.hosts[0]
    cases = []
    for name, (fault, answer) in FAULTS.items():
        did = host.create_account().did
        network.directory.fail(fault, did)
        cases.append(Lookup(name, IdentityQuestion(did), answer))
    return [*cases, *_arrange_documents(network), *_arrange_statuses(network)]


def _arrange_documents(network: SimulatedNetwork) -> list[Lookup]:
    host, directory = network.hosts[0], network.directory
    sound, slow, web = host.create_account(), host.create_account(curve="p256"), host.create_account(web=True)
    directory.fail(LookupFault(delay_s=0.3), slow.did)
    legacy = host.create_account()
    directory.publish(legacy, legacy=True)
    bare = host.create_account()
    directory.documents[bare.did] = {"id": bare.did}
    closed = host.create_account()
    date = formatdate(time() + RETRY_AFTER_S, usegmt=True)
    directory.fail(
        LookupFault(status=503, headers={"Date": formatdate(time(), usegmt=True), "Retry-After": date}), closed.did
    )
    return [
        Lookup("sound", IdentityQuestion(sound.did), _identity(sound)),
        Lookup("slow", IdentityQuestion(slow.did), _identity(slow)),
        Lookup("legacy", IdentityQuestion(legacy.did), _identity(legacy)),
        Lookup("bare", IdentityQuestion(bare.did), Identity(bare.did, None, None, None)),
        Lookup("of the web", IdentityQuestion(web.did), _identity(web)),
        Lookup("closed", IdentityQuestion(closed.did), BUSY._replace(problem="HTTP 503")),
    ]


def _arrange_statuses(network: SimulatedNetwork) -> list[Lookup]:
    host = network.hosts[0]
    active, gone = host.create_account(), host.create_account()
    host.set_status(gone, "deactivated")
    nowhere = LookupFailure("network", is_directory=False, is_final=False)
    return [
        Lookup("active", StatusQuestion(active.did, host.url), HostingStatus(True, None)),
        Lookup("inactive", StatusQuestion(gone.did, host.url), HostingStatus(False, "deactivated")),
        Lookup("elsewhere", StatusQuestion("did:plc:ewvi7nxzyoun6zhxrhs64oiz", host.url), Absence.NOT_FOUND),
        Lookup("nowhere", StatusQuestion(active.did, "http://127.0.0.1:9"), nowhere),
    ]


def _identity(account: Account) -> Identity:
    return Identity(account.did, key_from_multikey(account.key.multikey), account.host_url, account.handle)


def essence(answer: Answer) -> Answer:
    """The answer without the words of whoever reports it."""
    if isinstance(answer, LookupFailure) and answer.problem.startswith("network: "):
        return answer._replace(problem="network")
    return answer
