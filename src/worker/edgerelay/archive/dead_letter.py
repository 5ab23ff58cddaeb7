"""Dead letters: messages that the archiver cannot use or has given up, each kept in an object for as long as history.

    dead/2026/11/23/14/6a3f….json
    {"version":1,"problem":…,"attempts":…,"body":…,"buried_us":…}

Nothing is lost with them: groups are found in the bucket, announced or not.
"""

from __future__ import annotations

import json
from typing import Final

from edgerelay.archive.cutting import hour_of
from edgerelay.archive.object_names import hour_folder

__all__ = ["DEAD_LETTERS", "dead_letter_key", "encode_dead_letter"]

DEAD_LETTERS: Final = "dead"
"""The folder that they lie in."""

_VERSION: Final = 1
_ID_CHARS: Final = 64
_BODY_CHARS: Final = 1_000
"""Of a message's body: ours have a hundred."""

_PROBLEM_CHARS: Final = 500


def dead_letter_key(message_id: str, buried_us: int) -> str:
    """The name of a message; in one hour it is the same however often it comes."""
    safe = "".join(char for char in message_id if char.isascii() and char.isalnum())[:_ID_CHARS]
    return f"{hour_folder(DEAD_LETTERS, hour_of(buried_us))}/{safe}.json"


def encode_dead_letter(body: object, problem: str, attempts: int, buried_us: int) -> bytes:
    """What is kept of a message."""
    letter = {
        "version": _VERSION,
        "problem": problem[:_PROBLEM_CHARS],
        "attempts": attempts,
        "body": str(body)[:_BODY_CHARS],
        "buried_us": buried_us,
    }
    return json.dumps(letter, separators=(",", ":")).encode()
