"""The announcement that a group lies in the bucket: a message of RelayState to the archiver, through the queue.

    {"version":1,"group":"groups/2026/11/23/14/1795442400000000-1795442460000000.g0.ers"}

It is a hint: a message may be lost, late, or come again, and nothing depends on it but how soon a group is looked at.
"""

from __future__ import annotations

import json
from typing import Final

from edgerelay.archive.object_names import Folder, ObjectName, ObjectNameError
from edgerelay.errors import InvariantError

__all__ = ["ANNOUNCEMENT_VERSION", "AnnouncementError", "decode_announcement", "encode_announcement"]

ANNOUNCEMENT_VERSION: Final = 1
"""A reader accepts its own version and the one before; there is none before the first."""

_MAX_CHARS: Final = 1_000
"""Of a message: it has about a hundred."""


class AnnouncementError(InvariantError):
    """A message is no announcement, or one of a version that this code does not know."""


def encode_announcement(group: ObjectName) -> str:
    """The message about a group."""
    return json.dumps({"version": ANNOUNCEMENT_VERSION, "group": group.key}, separators=(",", ":"))


def decode_announcement(body: object) -> ObjectName:
    """The group that a message is about.

    Raises:
        AnnouncementError: it is about none.
    """
    if not isinstance(body, str):
        raise AnnouncementError(f"a message of type {type(body).__name__} instead of text")
    try:
        message = json.loads(body[:_MAX_CHARS])
    except (ValueError, RecursionError) as error:
        raise AnnouncementError("a message that is no JSON") from error
    version = message.get("version") if isinstance(message, dict) else None
    if version != ANNOUNCEMENT_VERSION:
        raise AnnouncementError(f"a message of version {version!r}; this code knows {ANNOUNCEMENT_VERSION}")
    try:
        name = ObjectName.parse(str(message.get("group")))
    except ObjectNameError as error:
        raise AnnouncementError(f"a message about no group: {error}") from error
    if name.folder is not Folder.GROUPS:
        raise AnnouncementError(f"a message about {name.key}, which is no group")
    return name
