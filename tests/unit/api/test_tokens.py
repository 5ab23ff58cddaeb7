"""Tokens of subscribers: off without any, and whoever has none of them is refused before anything is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.message import Request, Response
from edgerelay.api.tokens import MAX_TOKEN_CHARS, refuse_unknown_subscriber

TOKENS = "first-token, second-token,"


def ask(
    tokens: str = TOKENS, *, headers: Mapping[str, str] | None = None, query: Sequence[tuple[str, str]] = ()
) -> Response | None:
    return refuse_unknown_subscriber(Request("GET", "/", query, headers or {}, "request-7"), tokens)


@pytest.mark.parametrize("tokens", ["", " ", ",", " , "])
def test_without_tokens_anybody_may(tokens: str) -> None:
    assert ask(tokens) is None


@pytest.mark.parametrize("token", ["first-token", "second-token"])
def test_any_of_them_opens(token: str) -> None:
    assert ask(headers={"authorization": f"Bearer {token}"}) is None
    assert ask(headers={"authorization": f"bearer  {token}"}) is None
    assert ask(query=[("cursor", "5"), ("token", token)]) is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, []),
        ({"authorization": "Bearer "}, []),
        ({"authorization": "Bearer first"}, []),
        ({"authorization": "Bearer first-token, second-token"}, []),
        ({"authorization": "Basic first-token"}, []),
        ({"authorization": "first-token"}, []),
        ({}, [("token", "")]),
        ({}, [("token", "FIRST-TOKEN")]),
        ({}, [("token", "first-token"), ("token", "second-token")]),
        ({"authorization": "Bearer first-token"}, [("token", "wrong")]),
        ({}, [("token", "x" * 1_000_000)]),
        ({}, [("token", "\ud800")]),
    ],
)
def test_everybody_else_is_refused(headers: Mapping[str, str], query: Sequence[tuple[str, str]]) -> None:
    refusal = ask(headers=headers, query=query)
    assert refusal is not None
    body = json.loads(refusal.body)
    assert (refusal.status, body["error"], body["requestId"]) == (401, "AuthenticationRequired", "request-7")
    assert refusal.headers["www-authenticate"].startswith("Bearer")
    assert not [value for _, value in query if value and value in str(refusal.body)]


def test_a_longer_one_than_any_is_refused_unseen() -> None:
    longest = "x" * MAX_TOKEN_CHARS
    assert ask(longest, query=[("token", longest)]) is None
    assert ask(longest + "x", query=[("token", longest + "x")]) is not None


@given(st.text(min_size=1).filter(lambda text: text not in ("first-token", "second-token")))
def test_no_other_text_opens(token: str) -> None:
    assert ask(query=[("token", token)]) is not None
