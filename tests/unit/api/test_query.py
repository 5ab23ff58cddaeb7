"""Questions that RelayState answers: which request asks which, and what the answers become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.blobs import BLOB_PATHS
from edgerelay.api.firehose import PATH as SUBSCRIBE
from edgerelay.api.message import Request, Response
from edgerelay.api.query import MAX_HOST_CHARS, QUERIES, Query, Subject, answer_query, find_query
from edgerelay.api.router import ROUTES, find_route, finish, preflight
from tests.oracle import frames

TOKEN = "3b1f-operator"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
ALICE = frames.did(1)
STATUS = "/xrpc/com.atproto.sync.getRepoStatus"
REJECTS, ADMIN_REJECTS = "/hosts/pds.test/rejects", "/admin/hosts/pds.test/rejects"


def request(
    path: str, *query: tuple[str, str], method: str = "GET", headers: Mapping[str, str] | None = None
) -> Request:
    return Request(method, path, query, headers or {}, "request-7")


def find(path: str, *query: tuple[str, str], method: str = "GET", token: str = TOKEN) -> object:
    """What the operator's request becomes: a question, a refusal as (status, error), or nothing."""
    found = find_query(request(path, *query, method=method, headers=OPERATOR), token)
    return refusal(found) if isinstance(found, Response) else found


def refusal(answer: Response) -> tuple[int, str]:
    body = json.loads(answer.body)
    assert body["requestId"] == "request-7"
    return answer.status, body["error"]


class TestHosts:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_what_was_refused_of_a_host(self, method: str) -> None:
        assert find(REJECTS, method=method) == Query(Subject.REJECTS, "pds.test")
        assert find(ADMIN_REJECTS, method=method) == Query(Subject.REJECTED_FRAMES, "pds.test")

    @pytest.mark.parametrize(
        ("written", "name"),
        [
            ("PDS.Test", "pds.test"),
            ("localhost:2583", "localhost:2583"),
            ("localhost%3A2583", "localhost:2583"),
            ("localhost%3a2583", "localhost:2583"),
            ("[::1]:2583", "[::1]:2583"),
            ("%5B::1%5D", "[::1]"),
            ("b%C3%BCcher.test", "bücher.test"),
            ("%70ds.test", "pds.test"),
            ("pds.test%2Frejects", "pds.test/rejects"),
            ("%2e%2e", ".."),
            ("100%", "100%"),
            ("%FF", "\ufffd"),
            ("%00", "\0"),
        ],
    )
    def test_a_name_is_read_as_it_is_meant(self, written: str, name: str) -> None:
        assert find(f"/hosts/{written}/rejects") == Query(Subject.REJECTS, name)

    def test_a_name_of_any_host_fits_and_more_is_no_host(self) -> None:
        longest = "%61" * (MAX_HOST_CHARS // 3)
        assert find(f"/hosts/{longest}/rejects") == Query(Subject.REJECTS, "a" * (253 + len(":65535")))
        assert find(f"/hosts/{longest}a/rejects") is None
        assert find(f"/hosts/{'a' * 1_000_000}/rejects") is None

    @pytest.mark.parametrize(
        "path",
        [
            "/hosts",
            "/hosts/",
            "/hosts//rejects",
            "/hosts/pds.test",
            "/hosts/pds.test/",
            "/hosts/pds.test/rejects/",
            "/hosts/pds.test/x/rejects",
            "/hosts/pds.test/Rejects",
            "//hosts/pds.test/rejects",
            "/x/hosts/pds.test/rejects",
            "/hosts/pds.test/rejects\n",
            "/%61dmin/hosts/pds.test/rejects",
            "/ADMIN/hosts/pds.test/rejects",
            "//admin/hosts/pds.test/rejects",
            "/adminhosts/pds.test/rejects",
        ],
    )
    def test_other_paths_are_for_somebody_else(self, path: str) -> None:
        assert find(path) is None

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", ""])
    @pytest.mark.parametrize("path", [REJECTS, ADMIN_REJECTS, STATUS])
    def test_what_is_not_for_reading_is_refused(self, path: str, method: str) -> None:
        assert find(path, ("did", ALICE), method=method) == (405, "MethodNotAllowed")


class TestAudit:
    def test_the_newest_entries_or_those_before_one(self) -> None:
        assert find("/admin/audit") == Query(Subject.AUDIT, "0")
        assert find("/admin/audit", ("before", "17")) == Query(Subject.AUDIT, "17")
        assert find("/admin/audit", token="") == (403, "AdminDisabled")

    @pytest.mark.parametrize("values", [[""], ["-1"], ["1", "2"], ["x"], ["9" * 16], ["\u0661"]])
    def test_which_must_be_named_by_its_number(self, values: Sequence[str]) -> None:
        assert find("/admin/audit", *[("before", value) for value in values]) == (400, "InvalidRequest")


class TestAccounts:
    @pytest.mark.parametrize("did", [ALICE, "did:web:alice.test", "did:web:localhost%3A2583"])
    def test_the_status_of_one(self, did: str) -> None:
        assert find(STATUS, ("did", did)) == Query(Subject.ACCOUNT, did)

    def test_parameters_of_others_do_no_harm(self) -> None:
        query = [("x", "1"), ("did", ALICE), ("DID", "did:plc:x")]
        assert find(STATUS, *query) == Query(Subject.ACCOUNT, ALICE)

    @pytest.mark.parametrize(
        "values",
        [
            [],
            [""],
            ["alice.test"],
            [ALICE, ALICE],
            [ALICE, ""],
            [f" {ALICE}"],
            [ALICE.upper()],
            ["did:plc:" + "a" * 3_000],
            ["did:plc:" + "a" * 1_000_000],
            ["did:plc:ü"],
            ["did:plc:\ud83d"],
        ],
    )
    def test_which_must_be_named_once_by_a_did(self, values: Sequence[str]) -> None:
        assert find(STATUS, *[("did", value) for value in values]) == (400, "InvalidRequest")

    @pytest.mark.parametrize("path", [STATUS + "/", STATUS.lower(), STATUS + "es"])
    def test_other_methods_are_for_somebody_else(self, path: str) -> None:
        assert find(path, ("did", ALICE)) is None


class TestAdmin:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    @pytest.mark.parametrize("path", [ADMIN_REJECTS, "/admin/", "/admin/nothing", "/admin/hosts/x/rejects/y"])
    def test_a_stranger_learns_nothing_of_what_is_there(self, path: str, method: str) -> None:
        for headers in ({}, {"authorization": "Bearer guess"}):
            answer = find_query(request(path, method=method, headers=headers), TOKEN)
            assert isinstance(answer, Response)
            assert refusal(answer) == (401, "AuthenticationRequired")

    @pytest.mark.parametrize("path", ["/admin/", "/admin/nothing", "/admin/hosts/pds.test", "/admin/xrpc/x"])
    def test_what_is_not_there_is_not_found_with_the_token_either(self, path: str) -> None:
        asked = request(path, headers=OPERATOR)
        assert find_query(asked, TOKEN) is None
        answer = find_route(asked)
        assert isinstance(answer, Response)
        assert refusal(answer) == (404, "NotFound")
        assert TOKEN not in answer.body.decode()

    def test_without_a_token_of_the_operators_there_is_no_admin(self) -> None:
        assert find(ADMIN_REJECTS, token="") == (403, "AdminDisabled")
        assert find(REJECTS, token="") == Query(Subject.REJECTS, "pds.test")

    def test_nobody_needs_a_token_for_what_is_public(self) -> None:
        assert find_query(request(REJECTS), TOKEN) == Query(Subject.REJECTS, "pds.test")
        assert find_query(request(STATUS, ("did", ALICE)), TOKEN) == Query(Subject.ACCOUNT, ALICE)

    @given(st.text(max_size=60), st.sampled_from(["", "/admin/", "/admin/hosts/", "/hosts/"]))
    def test_no_path_leads_to_frames_without_the_token(self, text: str, prefix: str) -> None:
        for path in (prefix + text, f"{prefix}{text}/rejects"):
            found = find_query(request(path), TOKEN)
            assert not (isinstance(found, Query) and found.subject is Subject.REJECTED_FRAMES)


class TestCrossOrigin:
    @pytest.mark.parametrize("path", [REJECTS, ADMIN_REJECTS, STATUS, "/admin/nothing"])
    def test_a_browser_may_ask_with_the_token_and_learns_nothing_by_asking(self, path: str) -> None:
        asked = request(path, method="OPTIONS", headers={"access-control-request-headers": "authorization"})
        answer = preflight(asked)
        assert answer is not None
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-headers"] == "authorization"
        assert finish(asked, answer).headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in finish(asked, answer).headers

    def test_refusals_can_be_read_there_too(self) -> None:
        asked = request(ADMIN_REJECTS)
        refused = find_query(asked, TOKEN)
        assert isinstance(refused, Response)
        assert finish(asked, refused).headers["access-control-allow-origin"] == "*"


class TestAnswer:
    def test_what_was_found_is_the_body_and_kept_by_no_cache(self) -> None:
        answer = answer_query(request(STATUS), Query(Subject.ACCOUNT, ALICE), {"did": ALICE, "active": True})
        assert (answer.status, json.loads(answer.body)) == (200, {"did": ALICE, "active": True})
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        ("subject", "error"),
        [
            (Subject.ACCOUNT, "RepoNotFound"),
            (Subject.REJECTS, "HostNotFound"),
            (Subject.REJECTED_FRAMES, "HostNotFound"),
        ],
    )
    def test_what_was_not_found_is_named(self, subject: Subject, error: str) -> None:
        assert refusal(answer_query(request("/"), Query(subject, "x"), {})) == (404, error)

    def test_head_is_the_same_without_the_body(self) -> None:
        answers = [
            finish(asked, answer_query(asked, Query(Subject.ACCOUNT, ALICE), {"did": ALICE}))
            for asked in (request(STATUS), request(STATUS, method="HEAD"))
        ]
        get, head = answers
        assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
        assert get.body


def test_every_path_that_is_named_asks_a_question_of_its_own() -> None:
    found = [find(path.format(host="pds.test"), ("did", ALICE)) for path in QUERIES]
    subjects = set(Subject) - {Subject.HOSTING}  # which is asked about for others
    assert {each.subject for each in found if isinstance(each, Query)} == subjects
    assert len(found) == len(subjects)


def test_no_path_is_served_twice() -> None:
    assert not [path for path in (*ROUTES, SUBSCRIBE, *BLOB_PATHS) if find(path, ("did", ALICE)) is not None]
