"""Who may use `/admin/*`: whoever has the whole token, and nobody where there is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.admin import PREFIX, refuse_stranger
from edgerelay.api.message import Request

TOKEN = "3b1f-operator"
ANY_TEXT = st.text(st.characters())  # half characters too, which JavaScript's strings may hold


def refusal(authorization: str | None, token: str = TOKEN, *, path: str = PREFIX) -> tuple[int, str] | None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = refuse_stranger(Request("GET", path, (), headers, "request-7"), token)
    if answer is None:
        return None
    body = json.loads(answer.body)
    assert body["requestId"] == "request-7"
    assert TOKEN not in answer.body.decode()
    return answer.status, body["error"]


class TestTheOperator:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_the_token_is_enough_in_whatever_case_its_scheme_is_written(self, scheme: str) -> None:
        assert refusal(f"{scheme} {TOKEN}") is None

    @pytest.mark.parametrize("token", ["Schlüssel", "密钥", "a b", "half \ud83d"])
    def test_a_token_of_any_characters_is_compared(self, token: str) -> None:
        assert refusal(f"Bearer {token}", token) is None
        assert refusal(f"Bearer {token}x", token) == (401, "AuthenticationRequired")
        assert refusal(f"Bearer {TOKEN}", token) == (401, "AuthenticationRequired")
        assert refusal(f"Bearer {token}") == (401, "AuthenticationRequired")


class TestAStranger:
    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            f"Basic {TOKEN}",
            f"Bearer{TOKEN}",
            f"Bearer  {TOKEN}",
            f"Bearer {TOKEN} ",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN}0",
            f"Bearer {TOKEN.upper()}",
            f"Bearer {TOKEN} {TOKEN}",
            f"Bearer {TOKEN}, Bearer {TOKEN}",
            "Bearer " + "x" * 100_000,
        ],
    )
    def test_anything_but_the_token_is_refused(self, authorization: str | None) -> None:
        assert refusal(authorization) == (401, "AuthenticationRequired")

    def test_the_refusal_says_what_is_asked_for(self) -> None:
        answer = refuse_stranger(Request("GET", PREFIX, (), {}, "request-7"), TOKEN)
        assert answer is not None
        assert answer.headers["www-authenticate"] == 'Bearer realm="admin"'

    @pytest.mark.parametrize("authorization", [None, "Bearer ", "Bearer", f"Bearer {TOKEN}"])
    def test_without_a_token_of_the_operators_nobody_is_let_in(self, authorization: str | None) -> None:
        assert refusal(authorization, "") == (403, "AdminDisabled")

    @pytest.mark.parametrize("path", [PREFIX, "/admin/hosts/pds.test/rejects", "/admin/nothing"])
    def test_what_is_there_makes_no_difference_to_who_may_not_see_it(self, path: str) -> None:
        assert refusal(None, path=path) == refusal(None)

    @given(ANY_TEXT, ANY_TEXT)
    def test_whoever_is_let_in_has_the_token(self, authorization: str, token: str) -> None:
        is_let_in = refusal(authorization, token) is None
        assert is_let_in == (bool(token) and authorization[:7].lower() == "bearer " and authorization[7:] == token)
