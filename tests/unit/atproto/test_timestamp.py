"""Informal times: read where they can be, and never a reason to fail."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgerelay.atproto.syntax import is_datetime
from edgerelay.atproto.timestamp import datetime_text, http_date_us, time_us
from tests.oracle import frames

NOW_US = frames.NOW_US


class TestTime:
    @given(st.integers(0, 253_402_300_799_999_999))
    def test_what_a_host_writes_comes_back(self, moment_us: int) -> None:
        assert time_us(frames.datetime_text(moment_us)) == moment_us

    @pytest.mark.parametrize(
        ("text", "moment_us"),
        [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:01.5Z", 1_500_000),
            ("1970-01-01T00:00:00.123456789Z", 123_456),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1969-12-31T23:59:59.999Z", -1_000),
        ],
    )
    def test_forms(self, text: str, moment_us: int) -> None:
        assert time_us(text) == moment_us

    @pytest.mark.parametrize("text", ["", "now", "2026-02-30T00:00:00Z", "2026-11-23T10:00:00", "0000-01-01T00:00:00Z"])
    def test_what_cannot_be_a_time_is_zero(self, text: str) -> None:
        assert time_us(text) == 0

    @given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,20})?(Z|[+-][0-9]{2}:[0-9]{2})"))
    @example("0001-01-01T00:00:00+23:59")
    @example("9999-12-31T23:59:59.999999-23:59")
    def test_whatever_stands_there_is_a_number(self, text: str) -> None:
        moment_us = time_us(text)
        assert type(moment_us) is int
        if is_datetime(text) and text[:4] == "2026" and text[8:10] < "29":
            assert abs(moment_us - NOW_US) < 367 * 86_400_000_000


class TestHttpDate:
    @pytest.mark.parametrize(
        "text",
        [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 10:49:37 +0200",
        ],
    )
    def test_the_forms_of_the_standard(self, text: str) -> None:
        assert http_date_us(text) == 784_111_777_000_000

    @pytest.mark.parametrize("text", ["", " ", "now", "784111777", "Sun, 06 Nov 99999 08:49:37 GMT", "31 Feb 2026 0:0"])
    def test_what_cannot_be_a_date(self, text: str) -> None:
        assert http_date_us(text) is None

    @given(
        st.text()
        | st.tuples(
            st.sampled_from(["Sun, ", ""]),
            st.integers().map(str),
            st.sampled_from([" Nov ", "-Nov-", " 11 "]),
            st.integers().map(str),
            st.sampled_from([" 08:49:37", " 99:99:99", " 8.49", ""]),
            st.sampled_from([" GMT", " +9999", " -0000", " +1", ""]),
        ).map("".join)
    )
    def test_whatever_a_host_sends_is_a_number_or_nothing(self, text: str) -> None:
        moment_us = http_date_us(text)
        assert moment_us is None or abs(moment_us) < 2**60


@given(st.integers(0, 4_000_000_000_000_000))
def test_what_is_written_is_a_datetime_and_is_read_again(unix_us: int) -> None:
    text = datetime_text(unix_us)
    assert is_datetime(text)
    assert time_us(text) == unix_us
