"""The `time` of a message, and of HTTP's `Date`, as unix microseconds.

Both are informal: nothing is ordered or refused by them. They say how far a stream lies behind and whether two clocks
agree.

Spec: atproto lexicon, "datetime" (an RFC 3339 string with a zone); HTTP semantics, "Date".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

__all__ = ["datetime_text", "http_date_us", "time_us"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_us(text: str) -> int:
    """Read a datetime string; 0 if it cannot be one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        return 0
    return (moment - _EPOCH) // _MICROSECOND


def datetime_text(unix_us: int) -> str:
    """Write a datetime string as the messages of hosts do."""
    return (_EPOCH + unix_us * _MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def http_date_us(text: str) -> int | None:
    """Read a `Date` header, which counts whole seconds; None if it cannot be one."""
    try:
        moment = parsedate_to_datetime(text)
    except (OverflowError, ValueError):
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _MICROSECOND
