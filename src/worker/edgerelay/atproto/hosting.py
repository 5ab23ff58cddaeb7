"""What an account's host says about it and has of it: where to ask, and what the answer says.

Spec: the lexicons `com.atproto.sync.getRepoStatus` and `com.atproto.sync.getBlob`; atproto account hosting; XRPC,
"Error Responses".
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from edgerelay.atproto.identity import Absence
from edgerelay.atproto.json_object import parse_object
from edgerelay.errors import WireError

__all__ = ["MAX_STATUS_CHARS", "HostingStatus", "blob_url", "read_status", "status_url"]

MAX_STATUS_CHARS: Final = 64
"""The longest that the protocol knows has 14; more would only be carried around."""

_NOT_FOUND: Final = "RepoNotFound"


class HostingStatus(NamedTuple):
    """Whether a host serves an account, and if not, why not."""

    active: bool
    status: str | None
    """One of the protocol's words, or whatever else the host says; `active` alone decides."""


def status_url(origin: str, did: str) -> str:
    """Tell where the status of an account is to be had."""
    return f"{origin}/xrpc/com.atproto.sync.getRepoStatus?did={quote(did, safe=':')}"


def blob_url(origin: str, did: str, cid: str) -> str:
    """Tell where a blob of an account is to be had."""
    return f"{origin}/xrpc/com.atproto.sync.getBlob?did={quote(did, safe=':')}&cid={cid}"


def read_status(did: str, status: int, body: bytes) -> HostingStatus | Absence:
    """Read what a host has answered.

    Raises:
        WireError: the answer says nothing about the account.
    """
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and parse_object(body).get("error") == _NOT_FOUND:
        return Absence.NOT_FOUND
    if status != HTTPStatus.OK:
        raise WireError(f"an answer of status {status}")
    answer = parse_object(body)
    active, reason = answer.get("active"), answer.get("status")
    if answer.get("did") != did or not isinstance(active, bool):
        raise WireError("an answer that is no status of the account")
    if reason is not None and not (isinstance(reason, str) and reason.isascii() and len(reason) <= MAX_STATUS_CHARS):
        raise WireError("an answer with a status that is no word")
    return HostingStatus(active, reason)
