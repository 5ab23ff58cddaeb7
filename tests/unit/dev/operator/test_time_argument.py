"""Moments are read in three forms, and nothing else is one."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import MAX_SEQ
from edgerelay.atproto.timestamp import datetime_text
from edgerelay_dev.operator.time_argument import moment_argument, parse_moment

NOW_US = 1_795_442_400_000_000


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1795442400000010", 1_795_442_400_000_010),
        (str(MAX_SEQ), MAX_SEQ),
        ("2026-11-23T14:00:00Z", NOW_US),
        ("2026-11-23T15:00:00.000001+01:00", NOW_US + 1),
        ("90s", NOW_US - 90_000_000),
        ("45m", NOW_US - 45 * 60_000_000),
        ("2h", NOW_US - 2 * 3_600_000_000),
        ("62d", NOW_US - 62 * 24 * 3_600_000_000),
        ("99999999d", 0),
    ],
)
def test_moments(text: str, number: int) -> None:
    assert parse_moment(text, NOW_US) == number


@pytest.mark.parametrize("text", ["", "-1", "1.5", "2w", "h", "yesterday", "2026-11-23", "2026-11-23T14:00:00", "²"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cursor"):
        parse_moment(text, NOW_US)


def test_what_is_too_large() -> None:
    with pytest.raises(ValueError, match="beyond the last number"):
        parse_moment(str(MAX_SEQ + 1), NOW_US)


@given(st.integers(1, 2_000_000_000_000_000))
def test_a_time_is_the_cursor_that_it_is_written_for(seq: int) -> None:
    assert parse_moment(datetime_text(seq), NOW_US) == seq


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_an_error_of_the_command_line(text: str) -> None:
    with suppress(argparse.ArgumentTypeError):
        assert 0 <= moment_argument(text) <= MAX_SEQ


def test_an_argument_counts_from_now() -> None:
    before = time.time_ns() // 1_000
    assert before <= moment_argument("1h") + 3_600_000_000 <= time.time_ns() // 1_000
