"""Requests and responses as values, and the error body that all endpoints share.

Spec: XRPC, "Error Responses" (`error` and `message` in a JSON object).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Request", "Response", "error_response", "json_response"]

_JSON: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What an endpoint may look at."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    """Parameters in the order of the URL; a name may occur more than once."""

    headers: Mapping[str, str]
    """Names in lower case."""

    id: str
    """Names the request in answers and in the log."""

    origin: str = ""
    """What it was sent to, as `https://host[:port]`."""

    def parameters(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a JSON body."""
    # Half a character, which JavaScript's strings may hold, has no UTF-8; escaped by a backslash it is JSON.
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")
    return Response(status, body, {"content-type": _JSON, **(headers or {})})


def error_response(
    request: Request, status: int, error: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error by name. The request's id helps to find it in the log."""
    body = {"error": error, "message": message, "requestId": request.id}
    return json_response(body, status=status, headers=headers)
