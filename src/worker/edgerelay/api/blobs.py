"""Blobs: where an account's blob is to be had, and URLs of one that expire.

    GET /xrpc/com.atproto.sync.getBlob?did=&cid=    302 to the account's host; with BLOB_CACHE=on the blob itself
    GET /blob-url?did=&cid=                         the operator's: a URL of the same that is good for an hour

A relay keeps no blobs. A signed URL is that of `getBlob` with two more parameters, `expires` (unix seconds) and
`signature`; whoever has one is not counted against the limit of his address. This takes the question out of a request
and makes the answer; which host it is says `runtime.blob_hosts`,
what the host has `runtime.blob_reader`.

Spec: the lexicon `com.atproto.sync.getBlob`; RFC 2104 (HMAC).
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from hmac import compare_digest, new
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlencode

from edgerelay.api.admin import refuse_stranger
from edgerelay.api.message import Request, Response, error_response, json_response
from edgerelay.atproto.cid import cid_from_text
from edgerelay.atproto.hosting import blob_url
from edgerelay.atproto.syntax import is_did
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.errors import WireError

__all__ = [
    "BLOB_PATHS",
    "CACHE_LIFE_S",
    "URL_LIFE_S",
    "BlobAction",
    "BlobName",
    "BlobProblem",
    "BlobRequest",
    "answer_blob",
    "answer_blob_url",
    "cached_url",
    "read_blob_request",
    "redirect_to_host",
    "refuse_blob",
    "sign_blob",
]

_GET_BLOB: Final = "/xrpc/com.atproto.sync.getBlob"
_BLOB_URL: Final = "/blob-url"

BLOB_PATHS: Final = (_GET_BLOB, _BLOB_URL)
"""The paths of these endpoints."""

URL_LIFE_S: Final = 3_600
"""Seconds that a signed URL is good for: long enough to look at what somebody was sent."""

CACHE_LIFE_S: Final = 3_600
"""Seconds that a blob may be kept by caches, ours and those of others. It never changes, but its account may be taken
down: we look each time, others do not."""

MAX_EXPIRES_CHARS: Final = 12
"""Digits of a time in unix seconds; Python reads no numbers of thousands of digits."""

_US_PER_S: Final = 1_000_000


class BlobProblem(Enum):
    """Why there is no blob: status, name of the error, and what it says."""

    REPO_NOT_FOUND = (404, "RepoNotFound", "no event of this account was seen")
    REPO_DELETED = (404, "RepoNotFound", "the account is deleted")
    REPO_TAKENDOWN = (403, "RepoTakendown", "the account is taken down")
    REPO_SUSPENDED = (403, "RepoSuspended", "the account is suspended")
    REPO_DEACTIVATED = (403, "RepoDeactivated", "the account is not active")
    HOST_NOT_FOUND = (404, "HostNotFound", "the account's identity names no public host")
    IDENTITY_UNAVAILABLE = (503, "IdentityUnavailable", "the account's identity cannot be read now; try again")
    RELAY_UNAVAILABLE = (503, "RelayStateUnavailable", "try again")
    BLOB_NOT_FOUND = (404, "BlobNotFound", "the account's host does not have it")
    HOST_UNAVAILABLE = (502, "HostUnavailable", "the account's host does not answer as it should, or not in time")
    TYPE_NOT_ALLOWED = (415, "BlobTypeNotAllowed", "blobs of this type are to be had from the account's host only")
    TOO_LARGE = (413, "BlobTooLarge", "a blob of this size is to be had from the account's host only")
    INVALID_BLOB = (502, "InvalidBlob", "the account's host sent something else than the CID names")
    TOO_BUSY = (503, "TooBusy", "too many blobs are being read; try again")


class BlobName(NamedTuple):
    """What names a blob."""

    did: str
    cid: str
    """As text; it is that of an allowed CID."""


class BlobAction(Enum):
    """What is to be done with a blob."""

    GET = "get"
    GET_SIGNED = "get signed"
    """By a URL that the operator gave away."""

    SIGN = "sign"


class BlobRequest(NamedTuple):
    """What a request wants."""

    action: BlobAction
    blob: BlobName


def read_blob_request(request: Request, admin_token: str, url_secret: str, now_us: int) -> BlobRequest | Response:
    """What a request to one of `BLOB_PATHS` wants, or its refusal."""
    is_sign = request.path == _BLOB_URL
    refusal = refuse_stranger(request, admin_token) if is_sign else None
    if refusal is not None:
        return refusal
    if request.method not in ("GET", "HEAD"):
        return error_response(request, 405, "MethodNotAllowed", "only GET is served here", {"allow": "GET, HEAD"})
    blob = _read_name(request)
    if blob is None:
        return error_response(request, 400, "InvalidRequest", "did and cid must be given once, and be a DID and a CID")
    signatures = request.parameters("signature")
    if (is_sign or signatures) and not url_secret:
        return error_response(request, 403, "BlobUrlsDisabled", "BLOB_URL_SECRET is not set")
    if is_sign:
        return BlobRequest(BlobAction.SIGN, blob)
    if not signatures:
        return BlobRequest(BlobAction.GET, blob)
    return _refuse_signature(request, blob, url_secret, now_us) or BlobRequest(BlobAction.GET_SIGNED, blob)


def _read_name(request: Request) -> BlobName | None:
    dids, cids = request.parameters("did"), request.parameters("cid")
    if len(dids) != 1 or len(cids) != 1 or not is_did(dids[0]):
        return None
    try:
        cid_from_text(cids[0])
    except WireError:
        return None
    return BlobName(dids[0], cids[0])


def sign_blob(blob: BlobName, expires_s: int, secret: str) -> str:
    """The signature of a URL of this blob that is good until `expires_s`, in unix seconds."""
    # No DID, CID or number has a line feed.
    return new(secret.encode(), f"{blob.did}\n{blob.cid}\n{expires_s}".encode(), sha256).hexdigest()


def _refuse_signature(request: Request, blob: BlobName, secret: str, now_us: int) -> Response | None:
    """The comparison takes the same time wherever the two differ, and comes before anything that is not secret."""
    signatures, expires = request.parameters("signature"), request.parameters("expires")
    is_number = len(expires) == 1 and expires[0].isascii() and expires[0].isdigit()
    expires_s = int(expires[0]) if is_number and len(expires[0]) <= MAX_EXPIRES_CHARS else 0
    expected = sign_blob(blob, expires_s, secret).encode()
    if len(signatures) != 1 or not compare_digest(signatures[0].encode(errors="surrogatepass"), expected):
        return error_response(request, 403, "InvalidSignature", "the signature is not that of this URL")
    if expires_s * _US_PER_S < now_us:
        return error_response(request, 403, "ExpiredSignature", "the URL has expired")
    return None


def answer_blob_url(request: Request, blob: BlobName, secret: str, now_us: int) -> Response:
    """A URL that expires."""
    expires_s = now_us // _US_PER_S + URL_LIFE_S
    query = urlencode({**blob._asdict(), "expires": expires_s, "signature": sign_blob(blob, expires_s, secret)})
    found = {"url": f"{request.origin}{_GET_BLOB}?{query}", "expires": datetime_text(expires_s * _US_PER_S)}
    return json_response(found, headers={"cache-control": "no-store"})


def redirect_to_host(origin: str, blob: BlobName) -> Response:
    """The answer that leads to the account's host."""
    location = blob_url(origin, blob.did, blob.cid)
    # Accounts move, and are taken down.
    return Response(HTTPStatus.FOUND, headers={"location": location, "cache-control": "no-store"})


def cached_url(request: Request, blob: BlobName) -> str:
    """What the answer with a blob is kept by: the URL of the blob, however it was asked for."""
    return blob_url(request.origin, blob.did, blob.cid)


def answer_blob(mime_type: str, data: bytes) -> Response:
    """The answer with a blob, whose bytes were checked. If it is opened as a page, nothing of it runs."""
    return Response(
        HTTPStatus.OK,
        data,
        {
            "content-type": mime_type,
            "cache-control": f"public, max-age={CACHE_LIFE_S}",
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


def refuse_blob(request: Request, problem: BlobProblem) -> Response:
    """The answer that says why there is no blob."""
    status, error, message = problem.value
    headers = {"retry-after": "60"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return error_response(request, status, error, message, headers)
