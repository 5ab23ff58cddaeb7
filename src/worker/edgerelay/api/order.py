"""Orders of the operator about one account.

    POST /admin/takedown    hide an account: an #account says so, its events get no number, replay leaves them out
    POST /admin/restore     undo that
    POST /admin/purge       take it down, and its bytes out of the log and the archive, for good

The body is `{"did": …, "reason": …}`; the reason, which may be left out, is kept for the audit (`GET /admin/audit`).
What an order does is `runtime.orders`'.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from edgerelay.api.admin import PREFIX, refuse_stranger
from edgerelay.api.message import Request, Response, error_response, json_response
from edgerelay.atproto.json_object import parse_object
from edgerelay.atproto.syntax import is_did
from edgerelay.errors import WireError

__all__ = ["MAX_BODY_BYTES", "ORDERS", "Action", "Order", "answer_order", "find_action", "parse_order"]

MAX_BODY_BYTES: Final = 8_192
"""Of a body: a DID of 2,048 characters and a reason."""

MAX_REASON_CHARS: Final = 1_000
"""Of a reason, which is kept."""


class Action(StrEnum):
    """What is to be done. The values are in paths and in the audit."""

    TAKEDOWN = "takedown"
    RESTORE = "restore"
    PURGE = "purge"


ORDERS: Final = tuple(f"{PREFIX}{action}" for action in Action)
"""The paths, for people."""


class Order(NamedTuple):
    """One order."""

    action: Action
    did: str
    reason: str = ""


def find_action(request: Request, admin_token: str) -> Action | Response | None:
    """The action that is asked for, or the refusal, before the body is read; None if it is for another endpoint."""
    if request.path not in ORDERS:
        return None
    refusal = refuse_stranger(request, admin_token)
    if refusal is not None:
        return refusal
    if request.method != "POST":
        return error_response(request, 405, "MethodNotAllowed", "only POST is served here", {"allow": "POST"})
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return error_response(request, 411, "LengthRequired", "content-length is missing")
    if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
        return error_response(request, 413, "PayloadTooLarge", f"a body may have {MAX_BODY_BYTES} bytes")
    return Action(request.path.removeprefix(PREFIX))


def parse_order(request: Request, action: Action, body: bytes) -> Order | Response:
    """The order, or why the body is none."""
    try:
        fields = parse_object(body)
    except WireError:
        fields = {}
    if not {"did"} <= fields.keys() <= {"did", "reason"}:
        return _refuse(request, "the body must be a JSON object of did and reason")
    did, reason = fields.get("did"), fields.get("reason", "")
    if not isinstance(did, str) or not is_did(did):
        return _refuse(request, "did must be a DID")
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        return _refuse(request, f"reason must be a line of at most {MAX_REASON_CHARS} characters")
    return Order(action, did, reason)


def answer_order(done: dict[str, object]) -> Response:
    """The answer to an order that was carried out."""
    return json_response(done, headers={"cache-control": "no-store"})


def _refuse(request: Request, message: str) -> Response:
    return error_response(request, 400, "InvalidRequest", message)
