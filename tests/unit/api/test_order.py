"""Orders of the operator: which requests are some, and what is refused before and behind the body."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.message import Request, Response
from edgerelay.api.order import MAX_BODY_BYTES, MAX_REASON_CHARS, ORDERS, Action, Order, find_action, parse_order
from tests.oracle import frames

TOKEN = "3b1f-operator"
DID = frames.did(1)


def request(path: str, method: str = "POST", length: str = "10", authorization: str = f"Bearer {TOKEN}") -> Request:
    headers: Mapping[str, str] = {"authorization": authorization, "content-length": length}
    return Request(method, path, (), headers, "request-7")


def outcome(found: object) -> object:
    return (found.status, json.loads(found.body)["error"]) if isinstance(found, Response) else found


def parsed(body: object) -> object:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return outcome(parse_order(request("/admin/takedown"), Action.TAKEDOWN, raw))


class TestAction:
    def test_each_has_its_path(self) -> None:
        assert [outcome(find_action(request(path), TOKEN)) for path in ORDERS] == list(Action)

    @pytest.mark.parametrize("path", ["/admin/", "/admin/takedown/", "/takedown", "/admin/audit", "/"])
    def test_other_paths_are_for_others(self, path: str) -> None:
        assert find_action(request(path, authorization=""), TOKEN) is None

    @pytest.mark.parametrize("path", ORDERS)
    @pytest.mark.parametrize("method", ["POST", "GET"])
    def test_strangers_are_told_nothing_else(self, path: str, method: str) -> None:
        for token, status in ((TOKEN, 401), ("", 403)):
            found = find_action(request(path, method, "x", authorization="Bearer guess"), token)
            assert isinstance(found, Response)
            assert found.status == status

    @pytest.mark.parametrize(
        ("method", "length", "expected"),
        [
            ("GET", "0", (405, "MethodNotAllowed")),
            ("PUT", "10", (405, "MethodNotAllowed")),
            ("POST", "", (411, "LengthRequired")),
            ("POST", "-1", (411, "LengthRequired")),
            ("POST", "²", (411, "LengthRequired")),
            ("POST", str(MAX_BODY_BYTES + 1), (413, "PayloadTooLarge")),
            ("POST", "9" * 10_000, (413, "PayloadTooLarge")),
            ("POST", str(MAX_BODY_BYTES), Action.TAKEDOWN),
        ],
    )
    def test_what_is_refused_before_the_body(self, method: str, length: str, expected: object) -> None:
        assert outcome(find_action(request("/admin/takedown", method, length), TOKEN)) == expected


class TestBody:
    def test_an_account_and_a_reason(self) -> None:
        assert parsed({"did": DID, "reason": "spam"}) == Order(Action.TAKEDOWN, DID, "spam")
        assert parsed({"did": DID}) == Order(Action.TAKEDOWN, DID, "")
        assert parsed({"did": DID, "reason": "x" * MAX_REASON_CHARS}) != (400, "InvalidRequest")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff",
            b"[" * 8_000,
            [],
            {},
            {"did": 1},
            {"did": "nobody"},
            {"did": DID, "reason": 1},
            {"did": DID, "reason": "two\nlines"},
            {"did": DID, "reason": "x" * (MAX_REASON_CHARS + 1)},
            {"did": DID, "until": "later"},
        ],
    )
    def test_anything_else_is_refused(self, body: object) -> None:
        assert parsed(body) == (400, "InvalidRequest")

    @given(st.binary(max_size=200))
    def test_whatever_it_is_it_has_an_answer(self, body: bytes) -> None:
        found = parse_order(request("/admin/restore"), Action.RESTORE, body)
        assert isinstance(found, Order | Response)
