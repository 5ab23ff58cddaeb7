"""Requests for blobs: what they want, who may, and URLs that expire. Spec: `com.atproto.sync.getBlob`; RFC 2104."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.blobs import (
    BLOB_PATHS,
    MAX_EXPIRES_CHARS,
    URL_LIFE_S,
    BlobAction,
    BlobName,
    BlobProblem,
    BlobRequest,
    answer_blob,
    answer_blob_url,
    cached_url,
    read_blob_request,
    redirect_to_host,
    refuse_blob,
    sign_blob,
)
from edgerelay.api.message import Request, Response
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from tests.oracle import frames

GET, SIGN = BLOB_PATHS
TOKEN, SECRET = "3b1f-operator", "a secret"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
BLOB = BlobName(frames.did(1), cid_to_text(cid_for_raw(b"image")))
NAMED = (("did", BLOB.did), ("cid", BLOB.cid))
NOW_US = frames.NOW_US
NOW_S = NOW_US // 1_000_000


def request(path: str, *query: tuple[str, str], method: str = "GET", headers: Mapping[str, str] = OPERATOR) -> Request:
    return Request(method, path, query, headers, "request-7", "https://relay.test")


def read(asked: Request, secret: str = SECRET, now_us: int = NOW_US) -> object:
    """What is wanted, or the refusal as (status, error)."""
    found = read_blob_request(asked, TOKEN, secret, now_us)
    return (found.status, json.loads(found.body)["error"]) if isinstance(found, Response) else found


def signed_query(**others: str) -> list[tuple[str, str]]:
    """The parameters of a URL that the operator is given, some of them changed."""
    answer = answer_blob_url(request(SIGN), BLOB, SECRET, NOW_US)
    url = urlsplit(json.loads(answer.body)["url"])
    assert (f"{url.scheme}://{url.netloc}", url.path) == ("https://relay.test", GET)
    return list({**dict(parse_qsl(url.query)), **others}.items())


class TestWhatIsWanted:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_blob_by_anybody(self, method: str) -> None:
        asked = request(GET, *NAMED, method=method, headers={})
        assert read(asked) == read(asked, secret="") == BlobRequest(BlobAction.GET, BLOB)

    def test_a_url_by_the_operator(self) -> None:
        assert read(request(SIGN, *NAMED)) == BlobRequest(BlobAction.SIGN, BLOB)

    @pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer guess"}])
    def test_a_url_by_a_stranger(self, headers: Mapping[str, str]) -> None:
        assert read(request(SIGN, headers=headers)) == (401, "AuthenticationRequired")

    @pytest.mark.parametrize("path", BLOB_PATHS)
    @pytest.mark.parametrize(
        "query",
        [
            (),
            NAMED[:1],
            NAMED[1:],
            (*NAMED, NAMED[0]),
            (*NAMED, NAMED[1]),
            (("did", "alice"), NAMED[1]),
            (NAMED[0], ("cid", "")),
            (NAMED[0], ("cid", BLOB.cid.upper())),
            (NAMED[0], ("cid", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")),
            (NAMED[0], ("cid", "\ud800" * 59)),
        ],
    )
    def test_nonsense(self, path: str, query: tuple[tuple[str, str], ...]) -> None:
        assert read(request(path, *query)) == (400, "InvalidRequest")

    @pytest.mark.parametrize("path", BLOB_PATHS)
    def test_nothing_can_be_written(self, path: str) -> None:
        assert read(request(path, *NAMED, method="POST")) == (405, "MethodNotAllowed")


class TestSignatures:
    def test_a_signature_is_golden(self) -> None:
        # printf 'did:web:a.test\nb\n7' | openssl dgst -sha256 -hmac k
        expected = "ba2837c5eea91b3b4cca7affb7fb3cea826dfe30cc87941d71e676861b00fe15"
        assert sign_blob(BlobName("did:web:a.test", "b"), 7, "k") == expected

    def test_a_url_is_good_until_it_expires(self) -> None:
        query = signed_query()
        end_us = (NOW_S + URL_LIFE_S) * 1_000_000
        for now_us in (NOW_US, end_us):
            assert read(request(GET, *query, headers={}), now_us=now_us) == BlobRequest(BlobAction.GET_SIGNED, BLOB)
        assert read(request(GET, *query, headers={}), now_us=end_us + 1) == (403, "ExpiredSignature")

    @pytest.mark.parametrize(
        "others",
        [
            {"did": frames.did(2)},
            {"cid": cid_to_text(cid_for_raw(b"other"))},
            {"expires": str(NOW_S + URL_LIFE_S + 1)},
            {"expires": f"+{NOW_S + URL_LIFE_S}"},
            {"expires": f"{NOW_S + URL_LIFE_S}.0"},
            {"expires": "9" * 5_000},
            {"expires": ""},
            {"signature": ""},
            {"signature": "0" * 64},
            {"signature": "é\ud800"},
        ],
        ids=lambda others: str(others)[:40].encode("ascii", "replace").decode(),
    )
    def test_whatever_is_changed_makes_it_a_forgery(self, others: dict[str, str]) -> None:
        assert read(request(GET, *signed_query(**others), headers={})) == (403, "InvalidSignature")

    @pytest.mark.parametrize("name", ["signature", "expires"])
    def test_each_part_is_there_once(self, name: str) -> None:
        query = signed_query()
        twice = [*query, *(pair for pair in query if pair[0] == name)]
        assert read(request(GET, *twice, headers={})) == (403, "InvalidSignature")

    def test_another_secret_makes_it_a_forgery(self) -> None:
        assert read(request(GET, *signed_query()), secret="another") == (403, "InvalidSignature")

    def test_without_a_secret_there_are_none(self) -> None:
        assert read(request(GET, *signed_query()), secret="") == (403, "BlobUrlsDisabled")
        assert read(request(SIGN, *NAMED), secret="") == (403, "BlobUrlsDisabled")

    def test_the_longest_time_can_be_written(self) -> None:
        expires = "9" * MAX_EXPIRES_CHARS
        query = (*NAMED, ("expires", expires), ("signature", sign_blob(BLOB, int(expires), SECRET)))
        assert read(request(GET, *query)) == BlobRequest(BlobAction.GET_SIGNED, BLOB)

    @given(st.integers(0, 63), st.sampled_from("0123456789abcdef"))
    def test_each_letter_counts(self, at: int, letter: str) -> None:
        signature = dict(signed_query())["signature"]
        changed = signature[:at] + letter + signature[at + 1 :]
        is_forged = read(request(GET, *signed_query(signature=changed))) == (403, "InvalidSignature")
        assert is_forged == (changed != signature)


class TestAnswers:
    def test_the_host_has_it(self) -> None:
        answer = redirect_to_host("https://pds.test", BLOB._replace(did="did:web:a.test%3A80"))
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (302, b"", "no-store")
        assert answer.headers["location"] == (
            f"https://pds.test/xrpc/com.atproto.sync.getBlob?did=did:web:a.test%253A80&cid={BLOB.cid}"
        )

    def test_a_url_says_when_it_expires(self) -> None:
        answer = answer_blob_url(request(SIGN), BLOB, SECRET, NOW_US)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert json.loads(answer.body)["expires"].endswith("Z")

    def test_a_blob_runs_nowhere_and_is_kept_for_a_while(self) -> None:
        answer = answer_blob("image/png", b"image")
        assert (answer.status, answer.body, answer.headers) == (
            200,
            b"image",
            {
                "content-type": "image/png",
                "cache-control": "public, max-age=3600",
                "content-security-policy": "default-src 'none'; sandbox",
            },
        )

    def test_a_blob_is_kept_by_one_url_however_it_was_asked_for(self) -> None:
        queries = (NAMED, NAMED[::-1], signed_query(), (*NAMED, ("a", "b")))
        urls = {cached_url(request(GET, *query), BLOB) for query in queries}
        assert urls == {f"https://relay.test{GET}?did={BLOB.did}&cid={BLOB.cid}"}

    @pytest.mark.parametrize("problem", BlobProblem)
    def test_every_problem_has_a_status_and_a_name(self, problem: BlobProblem) -> None:
        answer = refuse_blob(request(GET), problem)
        status, error, message = problem.value
        assert (answer.status, json.loads(answer.body)) == (
            status,
            {"error": error, "message": message, "requestId": "request-7"},
        )
        assert ("retry-after" in answer.headers) == (status == 503)
