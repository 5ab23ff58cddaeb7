"""Jetstream v2 before the upgrade."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from edgerelay.api.message import Request, Response
from edgerelay.api.subscribe_events import (
    DICTIONARY_ID,
    DICTIONARY_PATH,
    PATH,
    PROTOCOL,
    answer_dictionary,
    parse_subscribe_events,
)
from edgerelay.api.subscription import Subscription
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import MAX_COLLECTIONS, MAX_DIDS, Filter
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
    assert ask([("zstdDictionary", str(DICTIONARY_ID))]) == Subscription(None, Channel(Wire.ZSTD_EVENTS))


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
        *[([("maxMessageSizeBytes", text)], "InvalidRequest") for text in ("", "-1", "x", str(2**32))],
        *[([("zstdDictionary", text)], "InvalidRequest") for text in ("", "0", "-1", "x", str(2**32))],
        ([("zstdDictionary", str(DICTIONARY_ID))] * 2, "InvalidRequest"),
        ([("cursor", "5"), ("cursor", "5")], "InvalidRequest"),
        ([("kinds", "sync"), ("collections", "app.bsky.*")], "InvalidRequest"),
        *[([("kinds", text)], "InvalidRequest") for text in ("", "#commit", "info", "commit,sync")],
        *[([("dids", text)], "InvalidRequest") for text in ("", "x", "alice.test")],
        ([("dids", f"did:plc:{number}") for number in range(MAX_DIDS + 1)], "InvalidRequest"),
        *[([("collections", text)], "InvalidRequest") for text in ("", "*", ".*", "app", "app.bsky.fe*", "app..x.*")],
        ([("collections", f"app.any.name{number}") for number in range(MAX_COLLECTIONS + 1)], "InvalidRequest"),
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


def test_an_unknown_dictionary_is_refused_with_the_current_one() -> None:
    refused = ask([("zstdDictionary", "20260811")])
    assert isinstance(refused, Response)
    assert str(DICTIONARY_ID) in json.loads(refused.body)["message"]


class TestDictionary:
    @staticmethod
    def get(query: Sequence[tuple[str, str]] = (), *, method: str = "GET", known: str = "") -> Response:
        headers = {"if-none-match": known} if known else {}
        return answer_dictionary(Request(method, DICTIONARY_PATH, query, headers, "request-7"), lambda: b"dictionary")

    @pytest.mark.parametrize(
        ("query", "lasting"),
        [((), "public, max-age=3600"), ([("id", str(DICTIONARY_ID))], "public, max-age=31536000, immutable")],
    )
    def test_it_is_given_to_whoever_asks(self, query: Sequence[tuple[str, str]], lasting: str) -> None:
        assert self.get(query) == Response(
            200,
            b"dictionary",
            {
                "content-type": "application/octet-stream",
                "etag": f'"zstd-dict-{DICTIONARY_ID}"',
                "cache-control": lasting,
                "x-zstd-dictionary-id": str(DICTIONARY_ID),
            },
        )

    def test_whoever_has_it_is_told_so(self) -> None:
        found = self.get(known=f'"other", W/"zstd-dict-{DICTIONARY_ID}"')
        assert (found.status, found.body) == (304, b"")
        assert self.get(known='"zstd-dict-1"').status == 200

    def test_another_one_is_not_found_and_the_current_one_is_named(self) -> None:
        found = self.get([("id", "20260811")])
        assert refusal(found) == (404, "DictionaryNotFound")
        assert str(DICTIONARY_ID) in json.loads(found.body)["message"]

    @pytest.mark.parametrize("text", ["", "0", "-1", "x", "1.0", str(2**32)])
    def test_what_is_no_id_is_refused(self, text: str) -> None:
        assert refusal(self.get([("id", text)])) == (400, "InvalidRequest")

    def test_it_is_only_read(self) -> None:
        assert refusal(self.get(method="POST")) == (405, "MethodNotAllowed")
        assert self.get(method="HEAD").status == 200
