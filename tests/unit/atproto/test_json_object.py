"""JSON of strangers. Spec: RFC 8259."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.json_object import MAX_CONTAINERS, MAX_OBJECT_BYTES, ContainersError, parse_object
from edgerelay.errors import WireError


def test_an_object_is_read() -> None:
    assert parse_object(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"{}"',
        b"{",
        b"{}{}",
        b"<html>" + b"{" * 999,
        b"\xff\xfe\xfd",
        b'{"id": ' + b"9" * 60_000 + b"}",
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as refusal:
        parse_object(body)
    assert not isinstance(refusal.value, ContainersError)


def test_size() -> None:
    assert parse_object(b" {}" + b" " * (MAX_OBJECT_BYTES - 3)) == {}
    with pytest.raises(WireError, match="too large"):
        parse_object(b" {}" + b" " * (MAX_OBJECT_BYTES - 2))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_nesting(opening: bytes) -> None:
    """In Pyodide what is deep ends the interpreter, if it reaches the JSON parser."""
    with pytest.raises(ContainersError):
        parse_object(b'{"a":' + opening * 10_000)


def test_as_many_containers_as_allowed_may_be_nested() -> None:
    inner = MAX_CONTAINERS - 1
    assert parse_object(b'{"a":' + b"[" * inner + b"]" * inner + b"}")
    with pytest.raises(ContainersError):
        parse_object(b'{"a":' + b"[" * (inner + 1) + b"]" * (inner + 1) + b"}")


VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.text(max_size=9), VALUES, max_size=5), st.binary(max_size=40))
def test_nothing_but_a_wire_error_escapes(value: dict[str, object], body: bytes) -> None:
    assert parse_object(json.dumps(value).encode()) == value
    with suppress(WireError):
        parse_object(body)
