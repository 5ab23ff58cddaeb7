"""Announcements come back, and everything else is refused by name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.announcement import (
    ANNOUNCEMENT_VERSION,
    AnnouncementError,
    decode_announcement,
    encode_announcement,
)
from edgerelay.archive.object_names import Folder, ObjectName

GROUP = ObjectName(Folder.GROUPS, 1_795_442_400_000_000, 1_795_442_460_000_000)
TEXT = '{"version":1,"group":"groups/2026/11/23/14/1795442400000000-1795442460000000.g0.ers"}'


def test_the_message_is_this_one() -> None:
    assert encode_announcement(GROUP) == TEXT
    assert decode_announcement(TEXT) == GROUP


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"x", "type bytes instead of text"),
        (None, "type NoneType"),
        ({"version": 1}, "type dict"),
        ("", "no JSON"),
        ("[" * 2_000, "no JSON"),
        ("1", "version None"),
        ("[]", "version None"),
        (json.dumps({"group": GROUP.key}), "version None"),
        (json.dumps({"version": ANNOUNCEMENT_VERSION + 1, "group": GROUP.key}), "version 2; this code knows 1"),
        (json.dumps({"version": 1}), "about no group"),
        (json.dumps({"version": 1, "group": "groups/x"}), "about no group"),
        (json.dumps({"version": 1, "group": GROUP._replace(folder=Folder.FIREHOSE).key}), "which is no group"),
    ],
)
def test_what_is_none_is_refused_by_name(body: object, problem: str) -> None:
    with pytest.raises(AnnouncementError, match=problem):
        decode_announcement(body)


@given(st.one_of(st.text(), st.binary(), st.none(), st.integers()))
def test_anything_is_refused(body: object) -> None:
    with pytest.raises(AnnouncementError):
        decode_announcement(body)
