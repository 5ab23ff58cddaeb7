"""Jetstream v2 before the upgrade."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from edgerelay.api.message import Request, Response
from edgerelay.api.router import find_route
from edgerelay.api.subscribe_events import DICTIONARY_PATH, PATH, PROTOCOL, answer_dictionary, parse_subscribe_events
from edgerelay.api.subscription import Subscription
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import Filter
from edgerelay.relay.sequencer import MIN_TIME_SEQ

UPGRADE = {"upgrade": "websocket"}
DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


def ask(
    query: Sequence[tuple[str, str]] = (), *, method: str = "GET", headers: Mapping[str, str] = UPGRADE
) -> Subscription | Response:
    return parse_subscribe_events(Request(method, PATH, query, headers, "request-7"))


def refusal(answer: Subscription | Response) -> tuple[int, str]:
    assert isinstance(answer, Response)
    body = json.loads(answer.body)
    assert body["message"]
    return answer.status, body["error"]


def test_what_may_be_asked_for() -> None:
    query = [("cursor", str(MIN_TIME_SEQ)), ("kinds", "commit"), ("kinds", "sync"), ("dids", DID)]
    query += [("collections", "app.bsky.*"), ("maxMessageSizeBytes", "5"), ("other", "x")]
    wanted = Filter(frozenset(["#commit", "#sync"]), frozenset([DID]), prefixes=("app.bsky.",))
    assert ask(query) == Subscription(MIN_TIME_SEQ, Channel(Wire.EVENTS, wanted, 5))
    assert ask() == Subscription(None, Channel(Wire.EVENTS))
    assert ask([("cursor", "9" * 19)]) == Subscription(MAX_SEQ, Channel(Wire.EVENTS))


@pytest.mark.parametrize(
    ("offered", "chosen"), [(PROTOCOL, PROTOCOL), (f"x, {PROTOCOL}", PROTOCOL), ("x", ""), ("", "")]
)
def test_the_subprotocol_is_chosen_if_it_is_offered(offered: str, chosen: str) -> None:
    found = ask(headers={**UPGRADE, "sec-websocket-protocol": offered})
    assert isinstance(found, Subscription)
    assert found.protocol == chosen


@pytest.mark.parametrize(
    ("query", "error"),
    [
        *[
            ([(name, "x")], "InvalidRequest")
            for name in ("wantedCollections", "wantedDids", "compress", "requireHello")
        ],
        *[([("cursor", text)], "InvalidRequest") for text in ("", "-1", "x", "1.5", "9" * 20)],
        *[([("maxMessageSizeBytes", text)], "InvalidRequest") for text in ("", "-1", "x")],
        ([("cursor", "5"), ("cursor", "5")], "InvalidRequest"),
        ([("kinds", "sync"), ("collections", "app.bsky.*")], "InvalidRequest"),
        ([("dids", "x")], "InvalidRequest"),
        ([("cursor", str(MIN_TIME_SEQ - 1))], "CursorTooOld"),
        ([("zstdDictionary", "20260811")], "UnknownZstdDictionary"),
    ],
)
def test_what_cannot_be_is_refused_by_name(query: list[tuple[str, str]], error: str) -> None:
    assert refusal(ask(query)) == (400, error)


def test_the_header_of_v1_is_refused() -> None:
    assert refusal(ask(headers={**UPGRADE, "socket-encoding": "zstd"})) == (400, "InvalidRequest")


def test_before_the_upgrade() -> None:
    assert refusal(ask(method="POST")) == (405, "MethodNotAllowed")
    assert refusal(ask(headers={})) == (426, "UpgradeRequired")


def test_there_is_no_dictionary() -> None:
    request = Request("GET", DICTIONARY_PATH, (), {}, "request-7")
    assert refusal(answer_dictionary(request)) == (404, "DictionaryNotFound")
    assert find_route(request) == answer_dictionary(request)
