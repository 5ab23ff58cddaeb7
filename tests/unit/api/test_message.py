"""Requests, responses and the body that all errors share."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.message import Request, Response, error_response, json_response

REQUEST = Request("GET", "/", [("a", "1"), ("b", "2"), ("a", ""), ("A", "3")], {}, "request-7")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class TestRequest:
    @pytest.mark.parametrize(("name", "values"), [("a", ["1", ""]), ("b", ["2"]), ("A", ["3"]), ("c", [])])
    def test_all_values_of_a_parameter_in_their_order(self, name: str, values: list[str]) -> None:
        assert REQUEST.parameters(name) == values


class TestJson:
    def test_a_body_without_spaces_that_says_what_it_is(self) -> None:
        response = json_response({"a": [1, "é"]})
        assert (response.status, response.body) == (200, '{"a":[1,"é"]}'.encode())
        assert response.headers == {"content-type": "application/json; charset=utf-8"}

    def test_status_and_headers_of_its_own(self) -> None:
        response = json_response([], status=503, headers={"cache-control": "no-store"})
        assert response.status == 503
        assert response.headers == {
            "content-type": "application/json; charset=utf-8",
            "cache-control": "no-store",
        }

    @given(JSON)
    def test_what_goes_in_can_be_read_again(self, value: object) -> None:
        assert json.loads(json_response(value).body) == value

    def test_text_that_utf_8_cannot_hold_is_escaped(self) -> None:
        """JavaScript's strings may hold half a character, and its errors are quoted in what is published."""
        assert json_response(["half \ud83d, whole 😀"]).body == '["half \\ud83d, whole 😀"]'.encode()


class TestError:
    def test_the_body_names_the_error_and_the_request(self) -> None:
        response = error_response(REQUEST, 400, "InvalidRequest", "cursor is given more than once")
        assert json.loads(response.body) == {
            "error": "InvalidRequest",
            "message": "cursor is given more than once",
            "requestId": "request-7",
        }
        assert (response.status, dict(response.headers)) == (400, dict(json_response({}).headers))

    def test_headers_of_its_own(self) -> None:
        response = error_response(REQUEST, 429, "RateLimitExceeded", "", {"retry-after": "60"})
        assert (response.status, response.headers["retry-after"]) == (429, "60")


def test_requests_and_responses_are_values() -> None:
    with pytest.raises(FrozenInstanceError):
        REQUEST.id = "another"  # type: ignore[misc]  # the point of the test
    with pytest.raises(FrozenInstanceError):
        Response(204).status = 200  # type: ignore[misc]  # the point of the test
    assert Response(204) == Response(204, b"", {})
    assert Response(204).headers is not Response(204).headers
