"""Where blobs are to be had: RelayState is asked, then the resolver, and no host that is not public is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from edgerelay.api.blobs import BlobProblem
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.lookup import Answer, IdentityQuestion, LookupFailure, Question
from edgerelay.runtime.blob_hosts import BlobHosts
from tests.coroutines import finished
from tests.oracle import frames

DID = frames.did(1)
HOST = "https://pds.example.com"


class Asked:
    """What RelayState and the resolver say, and what they were asked."""

    def __init__(self, known: dict[str, Any], answer: Answer = Absence.NOT_FOUND) -> None:
        self.known = known
        self.resolved = answer
        self.questions: list[object] = []

    async def hosting(self, did: str) -> dict[str, Any]:
        self.questions.append(did)
        return self.known

    async def ask(self, questions: Sequence[Question]) -> list[Answer]:
        self.questions += questions
        return [self.resolved]

    def find(self, *, allow_local: bool = False) -> str | BlobProblem:
        return finished(BlobHosts(self.hosting, self.ask, allow_local=allow_local).find(DID))


def identity(host: str | None) -> Identity:
    return Identity(DID, None, host, None)


def test_what_relay_state_knows_is_not_looked_up() -> None:
    asked = Asked({"active": True, "host": HOST})
    assert (asked.find(), asked.questions) == (HOST, [DID])


def test_an_identity_that_it_does_not_have_is_looked_up() -> None:
    asked = Asked({"active": True}, identity(HOST))
    assert (asked.find(), asked.questions) == (HOST, [DID, IdentityQuestion(DID)])


def test_an_account_that_nobody_has_heard_of_is_not_looked_up() -> None:
    asked = Asked({}, identity(HOST))
    assert (asked.find(), asked.questions) == (BlobProblem.REPO_NOT_FOUND, [DID])


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("takendown", BlobProblem.REPO_TAKENDOWN),
        ("suspended", BlobProblem.REPO_SUSPENDED),
        ("deactivated", BlobProblem.REPO_DEACTIVATED),
        ("deleted", BlobProblem.REPO_DELETED),
        (None, BlobProblem.REPO_DEACTIVATED),
    ],
)
def test_an_account_that_is_not_active_has_none(status: str | None, problem: BlobProblem) -> None:
    known = {"active": False, "host": HOST} | ({"status": status} if status else {})
    assert Asked(known).find() is problem


def test_a_status_beside_active_does_not_matter() -> None:
    assert Asked({"active": True, "status": "throttled", "host": HOST}).find() == HOST


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (identity(None), BlobProblem.HOST_NOT_FOUND),
        (Absence.NOT_FOUND, BlobProblem.HOST_NOT_FOUND),
        (Absence.TOMBSTONED, BlobProblem.HOST_NOT_FOUND),
        (LookupFailure("timeout", is_directory=True, is_final=False), BlobProblem.IDENTITY_UNAVAILABLE),
        (LookupFailure("method", is_directory=False, is_final=True), BlobProblem.HOST_NOT_FOUND),
    ],
)
def test_an_identity_that_leads_nowhere(answer: Answer, problem: BlobProblem) -> None:
    assert Asked({"active": True}, answer).find() is problem


@pytest.mark.parametrize("host", ["http://pds.example.com", "https://10.0.0.1", "https://localhost", "https://a.local"])
def test_nobody_is_sent_to_a_host_that_is_not_public(host: str) -> None:
    assert Asked({"active": True, "host": host}).find() is BlobProblem.HOST_NOT_FOUND
    assert Asked({"active": True}, identity(host)).find() is BlobProblem.HOST_NOT_FOUND


def test_development_has_hosts_of_its_own() -> None:
    assert Asked({"active": True, "host": "http://localhost:2583"}).find(allow_local=True) == "http://localhost:2583"
