"""The port to the web: one answer to one GET, from a host that may do anything.

All implementations say who asks, follow no redirect, keep no cookie, take no answer from a cache, and give up after a
time and a size. Where a relay may ask is decided before.

Spec: RFC 9110, "Retry-After" and "User-Agent".
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from edgerelay import __version__
from edgerelay.atproto.json_object import MAX_OBJECT_BYTES
from edgerelay.atproto.lookup import PATIENCE_S
from edgerelay.atproto.timestamp import http_date_us
from edgerelay.errors import PeerError

__all__ = [
    "ACCEPT",
    "MAX_BODY_BYTES",
    "MAX_RETRY_AFTER_S",
    "USER_AGENT",
    "FetchError",
    "Fetched",
    "Fetcher",
    "parse_retry_after",
]

USER_AGENT: Final = f"EdgeRelay/{__version__} (atproto-relay)"

ACCEPT: Final = "application/did+ld+json, application/json"
"""What the directory calls its documents, and what everybody else calls theirs."""

MAX_BODY_BYTES: Final = MAX_OBJECT_BYTES + 1
"""Bytes that are read of a JSON object: one more than anybody wants, which shows that it was too large."""

MAX_RETRY_AFTER_S: Final = 3_600
"""The longest, in seconds, that somebody else's mistake can keep us away."""

_S_US: Final = 1_000_000


class Fetched(NamedTuple):
    """An answer, of whatever status: also a redirect is one."""

    status: int
    body: bytes
    """At most as much as was to be read; what came after that is lost."""

    retry_after_s: int = 0
    content_type: str = ""
    """As it was said; empty if it was not."""


class FetchError(PeerError):
    """There was no answer, or not all of it in time: `timeout`, or `network` and what the platform says of it."""


class Fetcher(Protocol):
    """Asks."""

    async def fetch(
        self, url: str, timeout_s: int = PATIENCE_S, max_bytes: int = MAX_BODY_BYTES, accept: str = ACCEPT
    ) -> Fetched:
        """GET an http(s) URL, and read up to `max_bytes` of what it answers.

        Raises:
            FetchError: there was no answer, or not all of it within `timeout_s`.
        """


def parse_retry_after(retry_after: str, date: str) -> int:
    """Read `Retry-After`, seconds or a date, beside the `Date` of the same answer; 0 if it says nothing."""
    if retry_after.isascii() and retry_after.isdigit():
        # More digits than the bound has only make it longer, and Python reads no numbers of thousands of digits.
        return min(int(retry_after[:10]), MAX_RETRY_AFTER_S)
    at_us, now_us = http_date_us(retry_after), http_date_us(date)
    if at_us is None or now_us is None:
        return 0
    return min(max(0, -(-(at_us - now_us) // _S_US)), MAX_RETRY_AFTER_S)
