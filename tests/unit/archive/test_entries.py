"""Entries: what must be known is, what need not be is skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.container_errors import ContainerCorrupt, ContainerError, ContainerNewer
from edgerelay.archive.entries import CRITICAL, ENTRY_VERSION, read_entries, write_entry

KNOWN = (1, CRITICAL | 2, 3)


def test_golden_bytes() -> None:
    assert write_entry(CRITICAL | 2, b"abc").hex() == "8002" + "01" + "00000003" + "616263"


@given(st.lists(st.tuples(st.sampled_from(KNOWN), st.binary(max_size=9)), max_size=6))
def test_entries_come_back_in_their_order(entries: list[tuple[int, bytes]]) -> None:
    raw = b"".join([write_entry(tag, value) for tag, value in entries])
    expected = {tag: [value for each, value in entries if each == tag] for tag, _ in entries}
    assert read_entries(raw, KNOWN, repeated=KNOWN) == expected


def test_an_entry_that_does_not_repeat_is_there_once() -> None:
    with pytest.raises(ContainerCorrupt, match="entry 0x0003 is there twice"):
        read_entries(write_entry(3, b"") * 2, KNOWN, repeated=(1,))


def test_unknown_entries_are_skipped_unless_they_are_critical() -> None:
    known = write_entry(1, b"known")
    assert read_entries(write_entry(77, b"x") + known + write_entry(77, b"y"), KNOWN) == {1: [b"known"]}
    with pytest.raises(ContainerNewer, match="entry 0x804d of version 1 is not known"):
        read_entries(known + write_entry(CRITICAL | 77, b""), KNOWN)


def test_another_version_of_an_entry_is_as_an_unknown_one() -> None:
    newer = ENTRY_VERSION + 1
    assert read_entries(write_entry(1, b"x", newer), KNOWN) == {}
    with pytest.raises(ContainerNewer, match="entry 0x8002 of version 2"):
        read_entries(write_entry(CRITICAL | 2, b"x", newer), KNOWN)


@pytest.mark.parametrize("end", [1, 6, 7, 9])
def test_what_is_cut_short_is_refused(end: int) -> None:
    with pytest.raises(ContainerCorrupt, match="cut short"):
        read_entries(write_entry(1, b"abc")[:end], KNOWN)


@given(st.binary(max_size=60))
def test_any_bytes_are_entries_or_refused(raw: bytes) -> None:
    try:
        entries = read_entries(raw, KNOWN, repeated=KNOWN)
    except ContainerError:
        return
    assert set(entries) <= set(KNOWN)
