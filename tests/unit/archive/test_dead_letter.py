"""Dead letters: where they lie, and that they are bounded."""

from __future__ import annotations

import json

from edgerelay.archive.dead_letter import dead_letter_key, encode_dead_letter
from edgerelay.archive.object_names import hour_of_key
from tests.packing import HOUR_US


def test_a_letter_lies_in_its_hour_under_the_messages_name() -> None:
    assert dead_letter_key("6a3f", HOUR_US) == "dead/2026/11/23/14/6a3f.json"
    assert dead_letter_key("../a/é " + "x" * 100, HOUR_US) == f"dead/2026/11/23/14/a{'x' * 63}.json"
    assert hour_of_key(dead_letter_key("1", HOUR_US)) == HOUR_US // 3_600_000_000


def test_what_is_kept_is_bounded() -> None:
    letter = json.loads(encode_dead_letter("b" * 5_000, "p" * 5_000, 3, 7))
    assert letter == {"version": 1, "problem": "p" * 500, "attempts": 3, "body": "b" * 1_000, "buried_us": 7}
    assert json.loads(encode_dead_letter(b"\xff", "", 1, 7))["body"] == "b'\\xff'"
