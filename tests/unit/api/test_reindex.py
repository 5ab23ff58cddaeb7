from __future__ import annotations

import json

import pytest

from edgerelay.api.message import Request, Response
from edgerelay.api.reindex import REINDEX_PATH, answer_reindex, read_reindex

TOKEN = "a secret"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def asked(*after: str, method: str = "POST") -> int | Response:
    return read_reindex(Request(method, REINDEX_PATH, [("after", each) for each in after], BEARER, "request"), TOKEN)


def test_it_begins_with_the_oldest_or_behind_an_hour() -> None:
    assert (asked(), asked("497123")) == (0, 497_123)


@pytest.mark.parametrize("after", [[""], ["-1"], ["1.5"], ["12345678"], ["1", "2"], ["a"]])
def test_what_is_no_hour_is_refused(after: list[str]) -> None:
    refusal = asked(*after)
    assert isinstance(refusal, Response)
    assert (refusal.status, json.loads(refusal.body)["error"]) == (400, "InvalidRequest")


def test_only_the_operator_may_and_only_by_post() -> None:
    stranger = read_reindex(Request("POST", REINDEX_PATH, (), {}, "request"), TOKEN)
    by_get = asked(method="GET")
    assert isinstance(stranger, Response)
    assert isinstance(by_get, Response)
    assert (stranger.status, by_get.status) == (401, 405)


def test_the_answer_says_where_to_go_on() -> None:
    assert json.loads(answer_reindex(497_123).body) == {"hour": 497_123}
