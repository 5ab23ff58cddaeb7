"""The quarantine: groups that cannot be rendered or joined, each noted in an object, so that nobody tries for ever.

    quarantine/2026/11/23/14/1795442400000000-1795442460000000.g0.json
    {"version":1,"group":"groups/…","problem":…,"noted_us":…}

A group in quarantine stays readable as far as it can be read; what is missing is its lines, or its place in a segment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from edgerelay.archive.object_names import Folder, ObjectName, own_names

__all__ = ["QUARANTINE", "encode_note", "quarantine_key", "quarantined_groups"]

QUARANTINE: Final = "quarantine"
"""The folder that the notes lie in."""

_VERSION: Final = 1
_PROBLEM_CHARS: Final = 500


def quarantine_key(group: ObjectName) -> str:
    """The name of the note about a group."""
    return f"{QUARANTINE}{group.key.removeprefix(Folder.GROUPS).removesuffix('.ers')}.json"


def encode_note(group: ObjectName, problem: str, noted_us: int) -> bytes:
    """The note: what is wrong, and when that was noted, in unix microseconds."""
    note = {"version": _VERSION, "group": group.key, "problem": problem[:_PROBLEM_CHARS], "noted_us": noted_us}
    return json.dumps(note, separators=(",", ":")).encode()


def quarantined_groups(keys: Iterable[str]) -> list[ObjectName]:
    """The groups that some notes are about, by the notes' names."""
    return own_names(f"{Folder.GROUPS}{key.removeprefix(QUARANTINE).removesuffix('.json')}.ers" for key in keys)
