"""Requests and responses of the platform, as values."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pyodide.ffi import to_js
from workers import Response as PlatformResponse

from edgerelay.api.message import Request, Response

__all__ = ["read_header", "to_request", "to_response"]


def to_request(request: Any, *, from_worker: bool = False) -> Request:
    """The platform's request as a value, without its body. Our own Worker has named it already."""
    url = urlsplit(str(request.url))
    query = parse_qsl(url.query, keep_blank_values=True)
    headers = {str(pair[0]): str(pair[1]) for pair in request.headers}
    request_id = headers["x-edgerelay-request"] if from_worker else headers.get("cf-ray") or uuid.uuid4().hex
    return Request(str(request.method), url.path, query, headers, request_id, f"{url.scheme}://{url.netloc}")


def to_response(response: Response) -> Any:
    """An answer as the platform wants it."""
    body = to_js(response.body) if response.body else None
    return PlatformResponse(body, status=response.status, headers=dict(response.headers))


def read_header(answer: Any, name: str) -> str:
    """A header of what somebody else answered; empty if it is not there."""
    value = answer.headers.get(name)
    return value if isinstance(value, str) else ""
