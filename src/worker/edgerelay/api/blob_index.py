"""The operator's look-up of references to blobs.

    GET /admin/blobs?did=&cid=&cursor=    which records of the history name a blob, the newest first

One of `did` and `cid` is enough. An answer is a part; its `cursor` leads to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from edgerelay.api.admin import refuse_stranger
from edgerelay.api.message import Request, Response, error_response, json_response
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import MAX_SEQ
from edgerelay.atproto.cid import cid_from_text
from edgerelay.atproto.syntax import is_did
from edgerelay.errors import WireError

__all__ = ["BLOB_INDEX_PATH", "BlobQuestion", "answer_references", "read_blob_question"]

BLOB_INDEX_PATH: Final = "/admin/blobs"

_MAX_DIGITS: Final = len(str(MAX_SEQ))


class BlobQuestion(NamedTuple):
    """What is looked for: an account, a blob, or both."""

    did: str
    cid: str
    before_seq: int
    """0 to begin with the newest."""


def read_blob_question(request: Request, admin_token: str, *, is_on: bool) -> BlobQuestion | Response:
    """What a request to `BLOB_INDEX_PATH` looks for, or its refusal; `is_on` is whether references are kept."""
    refusal = refuse_stranger(request, admin_token)
    if refusal is not None:
        return refusal
    if request.method not in ("GET", "HEAD"):
        return error_response(request, 405, "MethodNotAllowed", "only GET is served here", {"allow": "GET, HEAD"})
    if not is_on:
        return error_response(request, 403, "BlobIndexDisabled", "BLOB_INDEX is off")
    did, cid, cursor = (_only(request, name) for name in ("did", "cid", "cursor"))
    if did is None or cid is None or cursor is None or not (did or cid):
        return error_response(request, 400, "InvalidRequest", "did or cid must be given, each parameter once at most")
    if not (_is_did_or_nothing(did) and _is_cid_or_nothing(cid) and _is_number_or_nothing(cursor)):
        return error_response(request, 400, "InvalidRequest", "did must be a DID, cid a CID, and cursor one of ours")
    return BlobQuestion(did, cid, int(cursor or 0))


def _only(request: Request, name: str) -> str | None:
    """The value of a parameter, empty if it is not there; None if it is there more than once."""
    values = request.parameters(name) or [""]
    return values[0] if len(values) == 1 else None


def _is_did_or_nothing(text: str) -> bool:
    return not text or is_did(text)


def _is_cid_or_nothing(text: str) -> bool:
    try:
        return not text or bool(cid_from_text(text))
    except WireError:
        return False


def _is_number_or_nothing(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) <= MAX_SEQ)


def answer_references(references: Iterable[BlobReference], damaged: Iterable[str], before_seq: int) -> Response:
    """A part of what there is; `before_seq` is where to look on, 0 if that was all."""
    found: dict[str, Any] = {"blobs": [_object(each) for each in references], "damaged": list(damaged)}
    if before_seq:
        found["cursor"] = str(before_seq)
    return json_response(found, headers={"cache-control": "no-store"})


def _object(reference: BlobReference) -> dict[str, object]:
    seq, did, path, cid, mime_type, size_bytes, host = reference
    return {
        "uri": f"at://{did}/{path}",
        "cid": cid,
        "mimeType": mime_type,
        "size": size_bytes,
        "host": host,
        "seq": seq,
    }
