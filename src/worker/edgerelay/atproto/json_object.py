"""JSON that a stranger sent: one object, bounded before it is parsed.

Spec: RFC 8259, "Parsers" (an implementation may set limits on size and nesting).
"""

from __future__ import annotations

import json
from typing import Final

from edgerelay.errors import WireError

__all__ = ["MAX_CONTAINERS", "MAX_OBJECT_BYTES", "ContainersError", "parse_object"]

MAX_OBJECT_BYTES: Final = 65_536
"""A DID document of the PLC directory has at most 8 KB; one of a did:web may say more, and need not. Everything else
that a relay asks for is smaller."""

MAX_CONTAINERS: Final = 500
"""Brackets and braces opened, in strings or not. It bounds the nesting: Pyodide's JSON parser does not raise beyond
some 5,000 levels but overflows the stack, and the interpreter is lost."""


class ContainersError(WireError):
    """An object with more brackets than what is read: the doing of its author, not of whoever passes it on."""


def parse_object(body: bytes) -> dict[str, object]:
    """Parse an object.

    Raises:
        ContainersError: it is perhaps too deep.
        WireError: it is too large, not JSON, or no object.
    """
    if len(body) > MAX_OBJECT_BYTES:
        raise WireError("an answer that is too large")
    if not body.lstrip().startswith(b"{"):
        raise WireError("an answer that is no JSON object")
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise ContainersError("an answer with too many brackets")
    try:
        value = json.loads(body)
    except ValueError:
        raise WireError("an answer that is not JSON") from None
    return dict(value)
