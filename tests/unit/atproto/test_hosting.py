"""What a host says about an account. Spec: the lexicon `com.atproto.sync.getRepoStatus`."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.hosting import MAX_STATUS_CHARS, HostingStatus, blob_url, read_status, status_url
from edgerelay.atproto.identity import Absence
from edgerelay.errors import WireError

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


def read(status: int = 200, **fields: Any) -> Any:
    return read_status(DID, status, json.dumps({"did": DID, "active": True} | fields).encode())


def test_url() -> None:
    path = "https://pds.example.com/xrpc/com.atproto.sync.getRepoStatus?did="
    assert status_url("https://pds.example.com", DID) == path + DID
    assert (
        status_url("https://pds.example.com", "did:web:localhost%3A1&x#y") == path + "did:web:localhost%253A1%26x%23y"
    )


def test_where_a_blob_is() -> None:
    path = "https://pds.example.com/xrpc/com.atproto.sync.getBlob?did="
    assert blob_url("https://pds.example.com", DID, "bafy") == f"{path}{DID}&cid=bafy"
    assert blob_url("https://pds.example.com", "did:web:a%3A1&x", "bafy") == f"{path}did:web:a%253A1%26x&cid=bafy"


def test_active() -> None:
    assert read(rev="3jzfcijpj2z2a") == HostingStatus(True, None)
    assert read(status=200) == HostingStatus(True, None)
    assert read_status(DID, 200, f'{{"did":"{DID}","active":true,"status":"throttled"}}'.encode()) == (
        True,
        "throttled",
    )


@pytest.mark.parametrize("word", ["deactivated", "takendown", "suspended", "deleted", "of-the-future", "", None])
def test_inactive(word: str | None) -> None:
    body = json.dumps({"did": DID, "active": False, "status": word}).encode()
    assert read_status(DID, 200, body) == HostingStatus(False, word)


@pytest.mark.parametrize("status", [400, 404])
def test_unknown_there(status: int) -> None:
    assert read(status, error="RepoNotFound", message="no") is Absence.NOT_FOUND


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 410, 429, 500, 501])
def test_other_answers_say_nothing(status: int) -> None:
    for body in (
        b"",
        b"<html>",
        b"[1]",
        b'{"error": "InvalidRequest"}',
        json.dumps({"did": DID, "active": True}).encode(),
    ):
        with pytest.raises(WireError):
            read_status(DID, status, body)


@pytest.mark.parametrize(
    "fields",
    [
        {"did": "did:plc:other"},
        {"did": None},
        {"active": None},
        {"active": 1},
        {"active": "true"},
        {"error": "RepoNotFound", "active": []},
    ],
)
def test_an_answer_that_is_no_status_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read(**fields)


@pytest.mark.parametrize("word", [1, True, [], {}, "x" * (MAX_STATUS_CHARS + 1), "\ud800", "\u00e9"])
def test_a_status_that_is_no_word_is_refused(word: Any) -> None:
    with pytest.raises(WireError):
        read_status(DID, 200, json.dumps({"did": DID, "active": False, "status": word}).encode())


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=80))
def test_nothing_but_a_wire_error_escapes(status: int, body: bytes, word: str) -> None:
    for each in (body, json.dumps({"did": DID, "active": False, "status": word, "error": word}).encode()):
        with suppress(WireError):
            assert isinstance(read_status(DID, status, each), HostingStatus)
