"""Subscriptions before the socket opens: what is asked for, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.firehose import MAX_PARAMETERS, PATH, parse_firehose
from edgerelay.api.message import Request, Response
from edgerelay.api.subscription import Subscription
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.channel import FIREHOSE, Wire
from edgerelay.relay.filters import MAX_COLLECTIONS, MAX_DIDS, Filter
from edgerelay.relay.sequencer import MIN_TIME_SEQ

UPGRADE = {"upgrade": "websocket", "connection": "Upgrade"}


def ask(
    query: Sequence[tuple[str, str]] = (), *, method: str = "GET", headers: Mapping[str, str] = UPGRADE
) -> Subscription | Response:
    return parse_firehose(Request(method, PATH, query, headers, "request-7"))


def refusal(answer: Subscription | Response) -> tuple[int, str]:
    """Status and name of a refusal, whose body is one of XRPC."""
    assert isinstance(answer, Response)
    body = json.loads(answer.body)
    assert body["message"]
    assert body["requestId"] == "request-7"
    return answer.status, body["error"]


class TestCursor:
    @pytest.mark.parametrize(
        ("text", "cursor"),
        [
            ("0", 0),
            ("1", 1),
            ("1795000000000000", 1_795_000_000_000_000),
            ("007", 7),
            ("0" * 6_000, 0),
            ("0" * 6_000 + "8", 8),
            (str(MAX_SEQ), MAX_SEQ),
            (str(MAX_SEQ + 1), MAX_SEQ),
            ("9" * len(str(MAX_SEQ)), MAX_SEQ),
            ("9" * 6_000, MAX_SEQ),
        ],
    )
    def test_a_number_is_taken_and_one_that_is_too_large_is_the_future(self, text: str, cursor: int) -> None:
        assert ask([("cursor", text)]) == Subscription(cursor)

    @pytest.mark.parametrize("query", [[], [("cursor", "")], [("Cursor", "5")], [("since", "")]])
    def test_without_a_cursor_the_stream_is_live(self, query: list[tuple[str, str]]) -> None:
        assert ask(query) == Subscription(None)

    @pytest.mark.parametrize(
        "text",
        [
            "-1",
            "-0",
            "+1",
            "1.0",
            "1e3",
            "0x10",
            "1_000",
            " 1",
            "1 ",
            "1\n",
            "abc",
            "null",
            "²",
            "٣",
            "१",
            "1,2",
            "\x00",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        assert refusal(ask([("cursor", text)])) == (400, "InvalidRequest")

    @pytest.mark.parametrize("values", [["1", "1"], ["1", "2"], ["", ""], ["", "5"], ["5", "x"]])
    def test_a_cursor_that_is_given_twice_is_refused(self, values: list[str]) -> None:
        assert refusal(ask([("cursor", value) for value in values])) == (400, "InvalidRequest")

    @given(st.integers(min_value=0, max_value=2 * MAX_SEQ), st.integers(min_value=0, max_value=30))
    def test_every_number_is_read_as_it_is(self, number: int, zeros: int) -> None:
        assert ask([("cursor", "0" * zeros + str(number))]) == Subscription(min(number, MAX_SEQ))


class TestSince:
    @pytest.mark.parametrize(
        ("text", "seq"),
        [
            ("2026-11-01T12:00:00Z", 1_793_534_400_000_000),
            ("2026-11-01T12:00:00.000001Z", 1_793_534_400_000_001),
            ("2026-11-01T13:00:00+01:00", 1_793_534_400_000_000),
            ("1969-07-20T20:17:40Z", MIN_TIME_SEQ),
            ("9999-12-31T23:59:59Z", MAX_SEQ),
        ],
    )
    def test_a_time_is_a_number_of_ours(self, text: str, seq: int) -> None:
        assert ask([("since", text)]) == Subscription(seq)

    @pytest.mark.parametrize(
        "text", ["5", "yesterday", "2026-11-01T12:00:00", "2026-13-01T12:00:00Z", "1970-01-01T00:00:00Z"]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        assert refusal(ask([("since", text)])) == (400, "InvalidRequest")

    def test_it_stands_instead_of_a_cursor_and_once(self) -> None:
        since = ("since", "2026-11-01T12:00:00Z")
        assert refusal(ask([since, ("cursor", "5")])) == (400, "InvalidRequest")
        assert refusal(ask([since, since])) == (400, "InvalidRequest")


class TestWindow:
    @pytest.mark.parametrize(
        ("query", "subscription"),
        [
            ([("window", "all")], Subscription(0, is_whole=True)),
            ([("window", "all"), ("cursor", "0")], Subscription(0, is_whole=True)),
            ([("cursor", "7"), ("window", "all")], Subscription(7, is_whole=True)),
            ([("cursor", "7"), ("window", "")], Subscription(7)),
        ],
    )
    def test_all_that_is_kept_may_be_asked_for(self, query: list[tuple[str, str]], subscription: Subscription) -> None:
        assert ask(query) == subscription

    @pytest.mark.parametrize("query", [[("window", "some")], [("window", "all"), ("window", "all")]])
    def test_anything_else_is_refused(self, query: list[tuple[str, str]]) -> None:
        assert refusal(ask(query)) == (400, "InvalidRequest")


class TestParameters:
    def test_others_are_ignored_up_to_a_bound(self) -> None:
        others = [(f"p{index}", "x") for index in range(MAX_PARAMETERS - 1)]
        assert ask([*others, ("cursor", "5")]) == Subscription(5)
        assert refusal(ask([*others, ("cursor", "5"), ("q", "")])) == (400, "InvalidRequest")


class TestBeforeTheUpgrade:
    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "get", ""])
    def test_another_method_is_refused_and_told_the_right_one(self, method: str) -> None:
        answer = ask(method=method)
        assert refusal(answer) == (405, "MethodNotAllowed")
        assert isinstance(answer, Response)
        assert answer.headers["allow"] == "GET"

    @pytest.mark.parametrize("headers", [{}, {"upgrade": ""}, {"upgrade": "h2c"}, {"connection": "upgrade"}])
    def test_a_plain_request_is_told_to_upgrade(self, headers: dict[str, str]) -> None:
        answer = ask([("cursor", "x")], headers=headers)
        assert refusal(answer) == (426, "UpgradeRequired")
        assert isinstance(answer, Response)
        assert answer.headers["upgrade"] == "websocket"

    @pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET"])
    def test_the_name_of_the_protocol_has_no_case(self, value: str) -> None:
        assert ask(headers={"upgrade": value}) == Subscription(None)

    def test_the_method_is_looked_at_first(self) -> None:
        assert refusal(ask([("cursor", "x")] * 20, method="POST", headers={})) == (405, "MethodNotAllowed")


NAMES = ["cursor", "since", "window", "kinds", "dids", "collections", "x"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES) | st.text(),
            st.text() | st.text("0123456789"),
        ),
        max_size=20,
    ),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from([UPGRADE, {}]),
)
def test_whatever_is_asked_has_an_answer(query: list[tuple[str, str]], method: str, headers: dict[str, str]) -> None:
    answer = ask(query, method=method, headers=headers)
    if isinstance(answer, Response):
        assert refusal(answer)[0] in (400, 405, 426)
    else:
        assert answer.cursor is None or 0 <= answer.cursor <= MAX_SEQ


DIDS = ["did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:web:example.com"]


def wanted(*query: tuple[str, str]) -> Filter:
    answer = ask(query)
    assert isinstance(answer, Subscription)
    assert answer.channel.wire is Wire.FRAMES
    return answer.channel.filter


class TestFilters:
    def test_they_may_be_repeated(self) -> None:
        query = [("kinds", "commit"), ("kinds", "sync"), *[("dids", did) for did in DIDS * 2]]
        query += [("collections", name) for name in ("app.bsky.feed.post", "app.bsky.*", "com.*", "app.bsky.*")]
        assert wanted(*query) == Filter(
            frozenset(["#commit", "#sync"]),
            frozenset(DIDS),
            frozenset(["app.bsky.feed.post"]),
            ("app.bsky.", "com."),
        )

    def test_without_them_it_is_the_firehose(self) -> None:
        assert ask([("cursor", "5")]) == Subscription(5, FIREHOSE)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[("kinds", value) for value in ("", "#commit", "info", "commit,sync", "Commit")],
            *[("dids", value) for value in ("", "x", ",".join(DIDS))],
            *[("collections", value) for value in ("", "app.bsky", "*", ".*", "app.*.post", "app.bsky.fo*", "a.b.c,d")],
        ],
    )
    def test_what_is_none_is_refused(self, name: str, value: str) -> None:
        assert refusal(ask([(name, value)])) == (400, "InvalidRequest")

    def test_collections_without_commits_contradict_themselves(self) -> None:
        collections = ("collections", "app.bsky.feed.post")
        assert refusal(ask([("kinds", "identity"), collections])) == (400, "InvalidRequest")
        assert wanted(("kinds", "commit"), ("kinds", "identity"), collections)

    def test_there_are_bounds(self) -> None:
        collections = [("collections", f"app.any{number}.name") for number in range(MAX_COLLECTIONS + 1)]
        assert wanted(*collections[1:])
        assert refusal(ask(collections)) == (400, "InvalidRequest")
        dids = [("dids", f"did:plc:x{number}") for number in range(MAX_DIDS + 1)]
        assert wanted(*dids[1:])
        assert refusal(ask(dids)) == (400, "InvalidRequest")
