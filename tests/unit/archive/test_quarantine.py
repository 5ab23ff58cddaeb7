"""Notes about groups: their names lead back to the groups."""

from __future__ import annotations

import json

from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.archive.quarantine import encode_note, quarantine_key, quarantined_groups
from tests.packing import HOUR_US

GROUP = ObjectName(Folder.GROUPS, HOUR_US, HOUR_US + 5, 2)


def test_a_name_leads_back_to_the_group() -> None:
    key = "quarantine/2026/11/23/14/1795442400000000-1795442400000005.g2.json"
    assert quarantine_key(GROUP) == key
    assert quarantined_groups([key, "quarantine/readme", f"x{key}"]) == [GROUP]


def test_a_note_says_what_is_wrong() -> None:
    note = json.loads(encode_note(GROUP, "p" * 1_000, 7))
    assert note == {"version": 1, "group": GROUP.key, "problem": "p" * 500, "noted_us": 7}
