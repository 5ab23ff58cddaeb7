"""Endpoints that RelayState itself answers, because the published snapshot does not hold what they ask for.

    GET /hosts/{host}/rejects                        what was refused of a host's events, for whoever wrote its code
    GET /admin/hosts/{host}/rejects                  the same with the beginning of a refused frame of each reason
    GET /admin/audit?before=                         what the operator decided, the newest first, or before an entry
    GET /xrpc/com.atproto.sync.getRepoStatus?did=    the status of an account

What is public says who, when and why, and holds nothing of what somebody wrote. This takes the question out of a
request and puts the answer into a response; the answer itself is `runtime.reports`'.

Spec: XRPC; the lexicon `com.atproto.sync.getRepoStatus`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from edgerelay.api.admin import PREFIX as ADMIN
from edgerelay.api.admin import refuse_stranger
from edgerelay.api.message import Request, Response, error_response, json_response
from edgerelay.atproto.syntax import is_did

__all__ = ["QUERIES", "Query", "Subject", "answer_query", "find_query"]

_REPO_STATUS: Final = "/xrpc/com.atproto.sync.getRepoStatus"

_AUDIT: Final = f"{ADMIN}audit"

QUERIES: Final = ("/hosts/{host}/rejects", "/admin/hosts/{host}/rejects", _AUDIT, _REPO_STATUS)
"""The paths, for people."""

MAX_HOST_CHARS: Final = 3 * (253 + len(":65535"))
"""A domain name and a port, should each character be percent-encoded."""

_REJECTS: Final = re.compile(rf"(/admin)?/hosts/([^/]{{1,{MAX_HOST_CHARS}}})/rejects")


_ENTRY: Final = re.compile("[0-9]{1,15}")


class Subject(StrEnum):
    """What is asked about."""

    REJECTS = "rejects"
    """The refused events of a host, named as `host[:port]`."""

    REJECTED_FRAMES = "rejected_frames"
    """The same with frames."""

    ACCOUNT = "account"
    """An account, named by its DID."""

    AUDIT = "audit"
    """Decisions of the operator before the entry of this number; 0 for the newest."""

    HOSTING = "hosting"
    """An account and its host; no endpoint of its own, but blobs are there."""


class Query(NamedTuple):
    """One question; the answer is a JSON object, or nothing if there is no such thing."""

    subject: Subject
    name: str


def find_query(request: Request, admin_token: str) -> Query | Response | None:
    """The question that a request asks, or its refusal; None if it is for another endpoint."""
    if request.path.startswith(ADMIN):
        refusal = refuse_stranger(request, admin_token)
        if refusal is not None:
            return refusal
    rejects = _REJECTS.fullmatch(request.path)
    if rejects is None and request.path not in (_REPO_STATUS, _AUDIT):
        return None
    if request.method not in ("GET", "HEAD"):
        return error_response(request, 405, "MethodNotAllowed", "only GET is served here", {"allow": "GET, HEAD"})
    if rejects is not None:
        return Query(Subject.REJECTED_FRAMES if rejects[1] else Subject.REJECTS, unquote(rejects[2]).lower())
    if request.path == _AUDIT:
        before = request.parameters("before") or ["0"]
        if len(before) != 1 or not _ENTRY.fullmatch(before[0]):
            return error_response(request, 400, "InvalidRequest", "before must be the id of an entry")
        return Query(Subject.AUDIT, before[0])
    dids = request.parameters("did")
    if len(dids) != 1 or not is_did(dids[0]):
        return error_response(request, 400, "InvalidRequest", "did must be given once, and be a DID")
    return Query(Subject.ACCOUNT, dids[0])


def answer_query(request: Request, query: Query, found: dict[str, object]) -> Response:
    """The answer, from what RelayState found."""
    if found:
        return json_response(found, headers={"cache-control": "no-store"})
    if query.subject is Subject.ACCOUNT:
        return error_response(request, 404, "RepoNotFound", "no event of this account was seen")
    return error_response(request, 404, "HostNotFound", "no such host is read")
