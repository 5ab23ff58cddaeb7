"""The port to the web. Spec: RFC 9110, "Retry-After"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.runtime.fetcher import MAX_RETRY_AFTER_S, USER_AGENT, parse_retry_after

DATE = "Mon, 23 Nov 2026 10:00:00 GMT"


def test_who_asks_says_so() -> None:
    assert USER_AGENT.startswith("EdgeRelay/")
    assert USER_AGENT.endswith(" (atproto-relay)")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        ("3600", MAX_RETRY_AFTER_S),
        ("3601", MAX_RETRY_AFTER_S),
        ("9" * 5_000, MAX_RETRY_AFTER_S),
        ("Mon, 23 Nov 2026 10:00:07 GMT", 7),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0),
        ("Mon, 23 Nov 2037 10:00:00 GMT", MAX_RETRY_AFTER_S),
        ("", 0),
        ("-7", 0),
        ("+7", 0),
        ("7.5", 0),
        ("\u0667", 0),
        ("soon", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(retry_after: str, seconds: int) -> None:
    assert parse_retry_after(retry_after, DATE) == seconds


@pytest.mark.parametrize("date", ["", "now", "Mon, 99 Nov 2026 10:00:00 GMT"])
def test_a_date_needs_another_one_beside_it(date: str) -> None:
    assert parse_retry_after("Mon, 23 Nov 2026 10:00:07 GMT", date) == 0
    assert parse_retry_after("7", date) == 7


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_said_it_is_bounded(retry_after: str, date: str) -> None:
    assert 0 <= parse_retry_after(retry_after, date) <= MAX_RETRY_AFTER_S
