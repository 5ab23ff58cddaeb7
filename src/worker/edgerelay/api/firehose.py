"""`com.atproto.sync.subscribeRepos`, up to the point where the socket opens.

What can be refused is refused before the upgrade, as an HTTP answer with the XRPC error body; what only the stream can
know (a cursor in the future) is an error frame on the open socket.

Beyond the specification there are `since`, a time instead of a cursor, `window=all`, for all that is kept, and filters:
`kinds`, `dids` and `collections`, each of which may be repeated.

Spec: event streams, "Connection"; XRPC, "Error Responses".
"""

from __future__ import annotations

import re
from typing import Final

from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.subscription import Subscription, refuse_without_upgrade
from edgerelay.archive.batch import KINDS
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.atproto.syntax import is_did, is_nsid
from edgerelay.atproto.timestamp import time_us
from edgerelay.relay.channel import Channel
from edgerelay.relay.filters import MAX_COLLECTIONS, MAX_DIDS, Filter
from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["PATH", "parse_filter", "parse_firehose"]

PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"

MAX_PARAMETERS: Final = 16
"""Parameters of one URL that are no filters: the endpoint knows three, and clients add a few of their own at most."""

_FILTERS: Final = ("kinds", "dids", "collections")
_BEGINNING: Final = re.compile(r"\.\*\Z")
_COMMIT: Final = "#commit"

MAX_CURSOR_DIGITS: Final = len(str(MAX_SEQ))


def parse_firehose(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400, 405 or 426."""
    refusal = refuse_without_upgrade(request)
    if refusal is not None:
        return refusal
    if len([name for name, _ in request.query if name not in _FILTERS]) > MAX_PARAMETERS:
        return error_response(request, 400, "InvalidRequest", f"more than {MAX_PARAMETERS} parameters")
    try:
        start = _parse_start(_single(request, "cursor"), _single(request, "since"), _single(request, "window"))
        return start._replace(channel=Channel(filter=parse_filter(request)))
    except ValueError as error:
        return error_response(request, 400, "InvalidRequest", str(error))


def parse_filter(request: Request) -> Filter:
    """The filter of `kinds`, `dids` and `collections`. Raises `ValueError` with what is wrong with it."""
    kinds, dids, names = (frozenset(request.parameters(name)) for name in _FILTERS)
    for kind in kinds:
        if f"#{kind}" not in KINDS:
            raise ValueError(f"kinds can only be {', '.join([each[1:] for each in KINDS])}")
    if len(dids) > MAX_DIDS or not all(map(is_did, dids)):
        raise ValueError(f"dids must be DIDs, at most {MAX_DIDS}")
    prefixes = frozenset([name for name in names if name.endswith(".*")])
    # What begins a name goes on as one.
    if len(names) > MAX_COLLECTIONS or not all(is_nsid(re.sub(_BEGINNING, ".any.name", name)) for name in names):
        raise ValueError(
            f"collections must be NSIDs or their beginnings, such as app.bsky.*, at most {MAX_COLLECTIONS}"
        )
    if names and kinds and _COMMIT[1:] not in kinds:
        raise ValueError("collections are those of commits, which kinds leaves out")
    return Filter(
        frozenset([f"#{kind}" for kind in kinds]),
        dids,
        names - prefixes,
        tuple(sorted([prefix.removesuffix("*") for prefix in prefixes])),
    )


def _single(request: Request, name: str) -> str:
    """The value of a parameter; empty without one."""
    values = request.parameters(name)
    if len(values) > 1:
        raise ValueError(f"{name} is given more than once")
    return values[0] if values else ""


def _parse_start(cursor: str, since: str, window: str) -> Subscription:
    if cursor and since:
        raise ValueError("cursor and since are given both")
    if window not in ("", "all"):
        raise ValueError("window can only be all")
    if since:
        return Subscription(_parse_since(since))
    if cursor:
        return Subscription(_parse_cursor(cursor), is_whole=bool(window))
    return Subscription(0, is_whole=True) if window else Subscription(None)


def _parse_cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("cursor must be a non-negative integer")
    digits = text.lstrip("0")  # Python refuses to read a number of thousands of digits, zeros or not
    if len(digits) > MAX_CURSOR_DIGITS:
        return MAX_SEQ
    return min(int(digits or "0"), MAX_SEQ)


def _parse_since(text: str) -> int:
    """A time, as a number of ours; one before all of them is the oldest."""
    seq = time_us(text)
    if not seq:
        raise ValueError("since must be a time with a zone, such as 2026-11-01T12:00:00Z")
    return min(max(seq, MIN_TIME_SEQ), MAX_SEQ)
