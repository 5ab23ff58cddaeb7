"""The route table, and what every answer carries."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from edgerelay.api.firehose import PATH as SUBSCRIBE
from edgerelay.api.health import answer_health
from edgerelay.api.info import answer_info, answer_state
from edgerelay.api.message import Request, Response
from edgerelay.api.router import ROUTES, find_route, finish, preflight
from tests.snapshots import snapshot


def request(path: str = "/", method: str = "GET", headers: Mapping[str, str] | None = None) -> Request:
    return Request(method, path, (), headers or {}, "request-7")


def refusal(path: str, method: str = "GET") -> tuple[int, str]:
    answer = find_route(request(path, method))
    assert isinstance(answer, Response)
    body = json.loads(answer.body)
    assert body["requestId"] == "request-7"
    return answer.status, body["error"]


class TestRoutes:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("path", "endpoint"),
        [
            ("/", answer_info),
            ("/health", answer_health),
            ("/xrpc/_health", answer_health),
            ("/state", answer_state),
        ],
    )
    def test_a_path_has_its_endpoint(self, path: str, method: str, endpoint: object) -> None:
        assert find_route(request(path, method)) is endpoint

    def test_every_route_answers_with_json_from_a_snapshot(self) -> None:
        for path, endpoint in ROUTES.items():
            response = endpoint(snapshot())
            assert (path, response.status) == (path, 200)
            assert isinstance(json.loads(response.body), dict)

    @pytest.mark.parametrize("path", ["/nothing", "/health/", "//", "", "/Health", "/xrpc", "/state/x", "/healthé"])
    def test_another_path_is_not_found(self, path: str) -> None:
        assert refusal(path) == (404, "NotFound")

    @pytest.mark.parametrize(
        "path", ["/xrpc/", "/xrpc/com.atproto.sync.getRepo", "/xrpc/_health/", "/xrpc/_Health", SUBSCRIBE]
    )
    def test_another_method_of_xrpc_is_not_implemented(self, path: str) -> None:
        assert refusal(path) == (501, "MethodNotImplemented")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "get", ""])
    @pytest.mark.parametrize("path", ROUTES)
    def test_what_is_not_for_reading_is_refused(self, path: str, method: str) -> None:
        assert refusal(path, method) == (405, "MethodNotAllowed")
        answer = find_route(request(path, method))
        assert isinstance(answer, Response)
        assert answer.headers["allow"] == "GET, HEAD"

    def test_a_path_that_is_unknown_is_unknown_for_every_method(self) -> None:
        assert refusal("/nothing", "POST") == (404, "NotFound")
        assert refusal("/xrpc/com.example.nothing", "POST") == (501, "MethodNotImplemented")


class TestPreflight:
    @pytest.mark.parametrize("path", [*ROUTES, SUBSCRIBE, "/nothing"])
    def test_every_path_may_be_asked_for_from_everywhere(self, path: str) -> None:
        asked = request(path, "OPTIONS")
        answer = preflight(asked)
        assert answer is not None
        answer = finish(asked, answer)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"GET", "HEAD"} <= set(answer.headers["access-control-allow-methods"].split(", "))
        assert answer.headers["access-control-allow-headers"] == "*"
        assert int(answer.headers["access-control-max-age"]) > 0

    def test_the_headers_that_are_asked_for_are_allowed(self) -> None:
        """`*` does not cover `authorization`, so names are given back as they were asked for."""
        asked = request("/", "OPTIONS", {"access-control-request-headers": "authorization,x-a"})
        answer = preflight(asked)
        assert answer is not None
        assert answer.headers["access-control-allow-headers"] == "authorization,x-a"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "options"])
    def test_another_request_is_no_such_question(self, method: str) -> None:
        assert preflight(request("/", method)) is None


class TestFinish:
    def test_what_every_answer_carries(self) -> None:
        answer = finish(request(), Response(200, b"{}", {"content-type": "application/json"}))
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.headers == {
            "access-control-allow-origin": "*",
            "content-type": "application/json",
            "x-content-type-options": "nosniff",
            "x-request-id": "request-7",
        }

    @pytest.mark.parametrize(
        ("path", "method"), [("/nothing", "GET"), ("/health", "POST"), ("/xrpc/com.example.nothing", "GET")]
    )
    def test_a_refusal_has_the_id_of_its_request_in_body_and_header(self, path: str, method: str) -> None:
        asked = request(path, method)
        refused = find_route(asked)
        assert isinstance(refused, Response)
        answer = finish(asked, refused)
        assert answer.headers["x-request-id"] == json.loads(answer.body)["requestId"] == asked.id
        assert answer.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("path", [*ROUTES, "/nothing"])
    def test_head_has_the_status_and_headers_of_get_without_the_body(self, path: str) -> None:
        answers = []
        for method in ("GET", "HEAD"):
            route = find_route(request(path, method))
            response = route if isinstance(route, Response) else route(snapshot(pauses=["skew"]))
            answers.append(finish(request(path, method), response))
        get, head = answers
        assert (head.status, head.headers) == (get.status, get.headers)
        assert get.body
        assert head.body == b""

    def test_an_answer_may_say_otherwise(self) -> None:
        answer = finish(request(), Response(200, headers={"access-control-allow-origin": "https://one.test"}))
        assert answer.headers["access-control-allow-origin"] == "https://one.test"
