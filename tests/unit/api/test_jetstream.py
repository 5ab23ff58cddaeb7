"""Jetstream v1 before the upgrade and after it: what is asked for, and every refusal in the words of v1."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.jetstream import MAX_REASON_BYTES, Close, Options, parse_jetstream, parse_message
from edgerelay.api.message import Request, Response
from edgerelay.api.subscription import Subscription
from edgerelay.atproto.json_object import MAX_CONTAINERS
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import MAX_COLLECTIONS, MAX_DIDS, Filter

UPGRADE = {"upgrade": "websocket", "connection": "Upgrade"}
DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"

Query = Sequence[tuple[str, str]]


def ask(query: Query = (), *, method: str = "GET", headers: Mapping[str, str] = UPGRADE) -> Subscription | Response:
    return parse_jetstream(Request(method, "/subscribe", query, headers, "request-7"))


def asked(query: Query = (), **more: str) -> Subscription:
    found = ask(query, headers={**UPGRADE, **{name.replace("_", "-"): value for name, value in more.items()}})
    assert isinstance(found, Subscription)
    return found


def refusal(query: Query) -> str:
    """The body of an answer that is of v1's form."""
    found = ask(query)
    assert isinstance(found, Response)
    assert (found.status, found.headers["content-type"]) == (400, "text/plain; charset=UTF-8")
    return found.body.decode()


def many(name: str, count: int) -> list[tuple[str, str]]:
    value = "app.any.name{}" if name == "wantedCollections" else "did:plc:{}"
    return [(name, value.format(f"x{number}")) for number in range(count)]


class TestParameters:
    def test_nothing_is_everything_from_now_on(self) -> None:
        assert asked() == Subscription(None, Channel(Wire.LINES))

    @pytest.mark.parametrize(
        ("text", "cursor"),
        [
            ("", None),
            ("0", 0),
            ("-5", -5),
            ("+5", 5),
            ("007", 7),
            ("0" * 5_000 + "8", 8),
            (str(2**63 - 1), 2**63 - 1),
            (str(-(2**63)), -(2**63)),
        ],
    )
    def test_a_cursor_has_64_bits_and_a_sign(self, text: str, cursor: int | None) -> None:
        assert asked([("cursor", text)]).cursor == cursor

    @pytest.mark.parametrize(
        ("text", "max_bytes"),
        [
            ("", 0),
            ("x", 0),
            ("-1", 0),
            ("1.5", 0),
            ("1000000", 1_000_000),
            (str(2**32), 0),
            (str(2**32 + 5), 5),
            (str(2**63), 0),
        ],
    )
    def test_a_size_that_is_none_is_no_limit(self, text: str, max_bytes: int) -> None:
        assert asked([("maxMessageSizeBytes", text)]).channel.max_bytes == max_bytes

    @pytest.mark.parametrize(("text", "is_on"), [("true", True), ("True", False), ("1", False), ("yes", False)])
    def test_what_is_switched_on_is_switched_on_by_one_word(self, text: str, is_on: bool) -> None:
        found = asked([("compress", text), ("requireHello", text)])
        assert (found.channel.wire is Wire.ZSTD_LINES, found.awaits_hello) == (is_on, is_on)

    @pytest.mark.parametrize(("value", "is_on"), [("zstd", True), ("gzip, zstd", True), ("gzip", False)])
    def test_a_header_may_ask_for_compression(self, value: str, is_on: bool) -> None:
        assert (asked(socket_encoding=value).channel.wire is Wire.ZSTD_LINES) == is_on

    def test_filters(self) -> None:
        names = ["app.bsky.feed.post", "app.bsky.graph.*", "app.bsky.feed.post", ".*", "com.*"]
        query = [("wantedCollections", name) for name in names] + [("wantedDids", DID)] * 2
        wanted = Filter(
            frozenset(), frozenset([DID]), frozenset(["app.bsky.feed.post"]), (".", "app.bsky.graph.", "com.")
        )
        assert asked(query).channel.filter == wanted

    def test_an_account_with_an_underscore(self) -> None:
        did = "did:web:under_score.example%3A80"
        assert asked([("wantedDids", did)]).channel.filter == Filter(dids=frozenset([did]))

    def test_the_first_of_several_counts_and_what_is_unknown_does_not(self) -> None:
        query = [("cursor", "5"), ("cursor", "x"), ("maxSize", "x"), ("maximumMessageSizeBytes", "8096")]
        query += [("format", "json"), ("Cursor", "9"), ("compress", "false"), ("compress", "true")]
        assert asked(query) == Subscription(5, Channel(Wire.LINES))


class TestRefusals:
    @pytest.mark.parametrize("text", ["x", "1.5", "1e3", " 1", "1_000", "\u0663", "0x1", str(2**63), "9" * 5_000, "-"])
    def test_a_cursor_that_is_no_number(self, text: str) -> None:
        assert refusal([("cursor", text)]) == f"invalid cursor: {text}"

    @pytest.mark.parametrize("text", ["a,b", "*", "", "app.bsky", "app.bsky.graph.fo*", "app.bsky.feed.post "])
    def test_a_collection_that_is_none(self, text: str) -> None:
        expected = f"invalid subscriber options: invalid collection: {text}"
        assert refusal([("wantedCollections", text)]) == expected

    @pytest.mark.parametrize("text", ["", "alice.test", "did:plc:", DID.upper()])
    def test_an_account_that_is_none(self, text: str) -> None:
        assert refusal([("wantedDids", DID), ("wantedDids", text)]) == "invalid subscriber options"

    def test_too_many(self) -> None:
        assert asked(many("wantedCollections", MAX_COLLECTIONS) + many("wantedDids", MAX_DIDS) * 2)
        collections, dids = many("wantedCollections", MAX_COLLECTIONS + 1), many("wantedDids", MAX_DIDS + 1)
        assert refusal(collections) == "invalid subscriber options: too many wanted collections"
        assert refusal(dids) == "invalid subscriber options: too many wanted DIDs"
        prefixes = [("wantedCollections", "app.*")] * (MAX_COLLECTIONS + 1)
        assert refusal(prefixes) == "invalid subscriber options: too many wanted collections"

    def test_what_is_wrong_is_told_in_the_order_of_v1(self) -> None:
        cursor, collection, did = ("cursor", "x"), ("wantedCollections", "x"), ("wantedDids", "x")
        collections, dids = many("wantedCollections", MAX_COLLECTIONS + 1), many("wantedDids", MAX_DIDS + 1)
        assert refusal([did, collection, cursor]) == "invalid cursor: x"
        assert refusal([did, *dids, *collections, collection]).endswith("invalid collection: x")
        assert refusal([*dids, *collections, did]) == "invalid subscriber options"
        assert refusal([*dids, *collections]).endswith("too many wanted DIDs")

    def test_without_an_upgrade(self) -> None:
        found = ask(headers={})
        assert isinstance(found, Response)
        assert (found.status, found.body, found.headers["sec-websocket-version"]) == (400, b"Bad Request", "13")
        wrong = ask([("cursor", "x")], headers={})
        assert isinstance(wrong, Response)
        assert wrong.body == b"invalid cursor: x"

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
    def test_by_another_method(self, method: str) -> None:
        found = ask(method=method)
        assert isinstance(found, Response)
        assert (found.status, found.headers["allow"]) == (405, "GET")


def update(payload: Any) -> str:
    return json.dumps({"type": "options_update", "payload": payload})


class TestMessages:
    def test_an_update_replaces_everything(self) -> None:
        payload = {"wantedCollections": ["app.bsky.*"], "wantedDids": [DID], "maxMessageSizeBytes": 1_000}
        assert parse_message(update(payload)) == Options(Filter(dids=frozenset([DID]), prefixes=("app.bsky.",)), 1_000)
        nothing: list[Any] = [
            {},
            None,
            {"wantedCollections": None, "wantedDids": [], "maxMessageSizeBytes": -1},
            {"cursor": 5},
        ]
        assert [parse_message(update(payload)) for payload in nothing] == [Options(Filter(), 0)] * len(nothing)

    @pytest.mark.parametrize(
        "text",
        ['{"type":"hello","payload":5}', "{}", "null", '{"type":null}', '{"payload":{}}', '{"type":"OPTIONS_UPDATE"}'],
    )
    def test_what_is_unknown_is_ignored(self, text: str) -> None:
        assert parse_message(text) is None

    @pytest.mark.parametrize(
        "text", ["", "x", "[]", "5", '"options_update"', '{"type":5}', '{"type":"x"', "{}{}", '{"type":NaN}', "\x00"]
    )
    def test_a_bad_envelope(self, text: str) -> None:
        check_close(text, "failed to unmarshal subscriber sourced message: ")

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"type":"x","payload":' + "[" * MAX_CONTAINERS, "1" * 100_000])
    def test_what_would_break_the_parser(self, text: str) -> None:
        check_close(text, "failed to unmarshal subscriber sourced message: ")

    @pytest.mark.parametrize(
        "payload",
        [
            5,
            "",
            [],
            False,
            {"wantedCollections": "app.bsky.feed.post"},
            {"wantedCollections": {}},
            {"wantedDids": [5]},
            {"wantedDids": [None]},
            {"maxMessageSizeBytes": 1.5},
            {"maxMessageSizeBytes": "5"},
            {"maxMessageSizeBytes": True},
        ],
    )
    def test_a_bad_payload(self, payload: Any) -> None:
        check_close(update(payload), "failed to unmarshal subscriber options update: ")

    def test_a_missing_payload(self) -> None:
        check_close('{"type":"options_update"}', "failed to unmarshal subscriber options update: unexpected end")

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            ({"wantedCollections": ["app.bsky"]}, "invalid collection: app.bsky"),
            ({"wantedDids": ["x"]}, "invalid DID: x"),
            ({"wantedDids": ["x" * 5_000]}, "invalid DID: x"),
            ({"wantedDids": ["\u00e4" * 200]}, "invalid DID: \u00e4"),
            ({"wantedDids": ["\ud800"]}, "invalid DID: "),
            ({"wantedDids": [did for _, did in many("wantedDids", MAX_DIDS + 1)]}, "too many wanted DIDs"),
            ({"wantedCollections": ["a.*"] * (MAX_COLLECTIONS + 1)}, "too many wanted collections"),
        ],
    )
    def test_bad_options(self, payload: Any, reason: str) -> None:
        check_close(update(payload), f"failed to parse subscriber options: {reason}")


def check_close(text: str, beginning: str) -> None:
    found = parse_message(text)
    assert isinstance(found, Close)
    assert found.code == 1000
    assert found.reason.startswith(beginning)
    assert len(found.reason.encode()) <= MAX_REASON_BYTES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["wantedCollections", "wantedDids", "maxMessageSizeBytes", "x"])


@given(st.text() | st.builds(json.dumps, JSON) | st.builds(update, st.dictionaries(NAMES, JSON)))
def test_whatever_a_client_says_has_an_answer(text: str) -> None:
    found = parse_message(text)
    assert found is None or isinstance(found, Options) or len(found.reason.encode()) <= MAX_REASON_BYTES


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["cursor", "wantedCollections", "wantedDids", "maxMessageSizeBytes", "compress"])
            | st.text(),
            st.text() | st.text("0123456789") | st.sampled_from([DID, "app.bsky.*"]),
        ),
        max_size=8,
    )
)
def test_whatever_is_asked_has_an_answer(query: list[tuple[str, str]]) -> None:
    found = ask(query)
    assert isinstance(found, Subscription) or found.status == 400
