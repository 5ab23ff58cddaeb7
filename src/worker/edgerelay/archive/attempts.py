"""Attempts: in which hours the compaction was begun and did not come to an end. One object, written before each hour.

    attempts.json
    {"version":1,"hours":{"498734":[attempts, last_us]}}

A list that is lost or damaged is an empty one: hours are tried once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["ATTEMPTS_KEY", "Attempt", "decode_attempts", "encode_attempts"]

ATTEMPTS_KEY: Final = "attempts.json"
ATTEMPTS_VERSION: Final = 1


class Attempt(NamedTuple):
    """What became of one hour."""

    begun: int
    """Runs that were begun and have not ended, those of the same minute counted once."""

    last_us: int
    """When the last of them was begun, in unix microseconds."""


def encode_attempts(hours: Mapping[int, Attempt]) -> bytes:
    """The object's bytes."""
    listed = {str(hour): list(hours[hour]) for hour in sorted(hours)}
    return json.dumps({"version": ATTEMPTS_VERSION, "hours": listed}, separators=(",", ":")).encode()


def decode_attempts(raw: bytes) -> dict[int, Attempt]:
    """Read such an object; whatever is none, or is of another version, is an empty list."""
    try:
        value = json.loads(raw)
        if value["version"] != ATTEMPTS_VERSION:
            return {}
        return {int(hour): _attempt(*row) for hour, row in value["hours"].items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return {}


def _attempt(begun: Any, last_us: Any) -> Attempt:
    if not type(begun) is type(last_us) is int:
        raise TypeError("a figure that is no number")
    return Attempt(begun, last_us)
