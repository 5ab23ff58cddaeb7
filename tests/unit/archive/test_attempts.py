"""Attempts come back; whatever is damaged is an empty list."""

from __future__ import annotations

import pytest

from edgerelay.archive.attempts import Attempt, decode_attempts, encode_attempts


def test_they_come_back() -> None:
    hours = {498_735: Attempt(1, 7), 498_734: Attempt(3, 1_795_000_000_000_000)}
    assert decode_attempts(encode_attempts(hours)) == hours
    assert encode_attempts(hours).startswith(b'{"version":1,"hours":{"498734":[3,')


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b'{"version":2,"hours":{}}', b'{"version":1}', b'{"version":1,"hours":[1]}'),
        *(b'{"version":1,"hours":{"x":[1,2]}}', b'{"version":1,"hours":{"7":[1]}}', b'{"version":1,"hours":{"7":1}}'),
        b'{"version":1,"hours":{"7":[1,"2"]}}',
    ],
)
def test_what_is_none_is_an_empty_list(raw: bytes) -> None:
    assert decode_attempts(raw) == {}
