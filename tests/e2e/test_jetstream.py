"""Jetstream v1 as its clients meet it: lines live and in replay, filters, hello, updates, compression and refusals."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
import zstandard
from atproto import JetstreamClient, models
from cbor2 import dumps
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from edgerelay.api.subscribe_events import DICTIONARY_ID
from edgerelay.atproto.timestamp import datetime_text
from edgerelay_dev.network import FrameReader, SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.repository import Create
from tests.e2e.jetstream_reader import (
    LIMIT_S,
    LineReader,
    Query,
    check_lines,
    lines_of,
    open_stream,
    query_of,
    read_lines,
    unpack,
)
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, seen, wait_until
from tests.oracle import jetstream
from tests.vectors import expected_lines, recording

HAPPENINGS = 400
QUIET_S = 1.0
SLEEPS_AFTER_S = 10.0
"""Silence after which the runtime lets an object with nothing but sleeping sockets go."""
LIKE, POST, FEED = "app.bsky.feed.like", "app.bsky.feed.post", "app.bsky.feed."
DAY_US = 86_400_000_000
NSID = "network.bsky.jetstream.subscribeEvents"
EVENTS = f"/xrpc/{NSID}"
DICTIONARY = "/xrpc/network.bsky.jetstream.getZstdDictionary"
FIREHOSE = "/xrpc/com.atproto.sync.subscribeRepos"

Json = dict[str, Any]


class Rig(NamedTuple):
    background: NetworkThread
    relay: Relay
    events: list[Seen]
    """What a subscriber of the firehose saw."""

    lines: list[str]
    """What must be seen from the beginning on."""

    @property
    def dids(self) -> list[str]:
        return sorted({event.did for event in self.events})


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with NetworkThread(SimulatedNetwork(seed="jetstream", accounts=6)) as background:
        background.call(lambda network: network.traffic.run(HAPPENINGS))
        count = background.call(lambda network: len(network.hosts[0].frames))
        with Relay(tmp_path_factory.mktemp("jetstream"), upstream_settings(background)) as relay:
            with Subscriber(relay.ws_url, 0) as subscriber:
                subscriber.wait_for(count, LIMIT_S)
            yield Rig(background, relay, subscriber.events, lines_of(subscriber.events))


def that(lines: list[str], condition: Callable[[Json], bool]) -> list[str]:
    return [line for line in lines if condition(json.loads(line))]


def collection_of(line: Json) -> str:
    """Empty if it is not about a record."""
    return str(line.get("commit", {}).get("collection", ""))


def update(**payload: Any) -> str:
    return json.dumps({"type": "options_update", "payload": payload})


def time_of(line: str) -> int:
    return int(json.loads(line)["time_us"])


def is_quiet(stream: ClientConnection) -> bool:
    try:
        stream.recv(QUIET_S)
    except TimeoutError:
        return True
    return False


class TestReplay:
    @pytest.mark.parametrize("path", ["/subscribe", "/jetstream"])
    def test_every_line_from_the_beginning(self, rig: Rig, path: str) -> None:
        check_lines(read_lines(rig.relay, len(rig.lines), query_of(cursor=0), path), rig.lines)

    @pytest.mark.parametrize("index", [1, HAPPENINGS // 2, HAPPENINGS - 1])
    def test_a_time_is_a_cursor_and_inclusive(self, rig: Rig, index: int) -> None:
        rest = rig.lines[index:]
        check_lines(read_lines(rig.relay, len(rest), query_of(cursor=time_of(rest[0]))), rest)

    def test_a_cursor_may_lie_within_a_commit(self, rig: Rig) -> None:
        times = [time_of(line) for line in rig.lines]
        index = next(index for index in range(1, len(times) - 1) if times[index] == times[index - 1] + 1)
        rest = rig.lines[index:]
        check_lines(read_lines(rig.relay, len(rest), query_of(cursor=times[index])), rest)

    def test_a_cursor_that_was_clamped_is_told_in_a_header(self, rig: Rig) -> None:
        with open_stream(rig.relay, query_of(cursor=-5)) as old, open_stream(rig.relay, query_of(cursor=1)) as small:
            assert unpack(old.recv(LIMIT_S)) == unpack(small.recv(LIMIT_S)) == rig.lines[0]
            assert all(int(clamped(each)) > 10**15 for each in (old, small))
        with open_stream(rig.relay, query_of(cursor=time_of(rig.lines[5]))) as exact:
            assert clamped(exact) == ""


def clamped(stream: ClientConnection) -> str:
    assert stream.response is not None
    return stream.response.headers.get("x-edgerelay-cursor", "")


class TestFilters:
    @pytest.mark.parametrize(
        ("names", "condition"),
        [
            ([LIKE], lambda name: name == LIKE),
            ([LIKE, "app.bsky.graph.*"], lambda name: name == LIKE or name.startswith("app.bsky.graph.")),
            (["app.bsky.feed.*"], lambda name: name.startswith(FEED)),
            ([POST, "net.example.none", ".*"], lambda name: name == POST),
        ],
        ids=["exact", "both", "prefix", "rare"],
    )
    def test_collections_are_those_of_commits(
        self, rig: Rig, names: list[str], condition: Callable[[str], bool]
    ) -> None:
        expected = that(rig.lines, lambda line: not collection_of(line) or condition(collection_of(line)))
        assert 0 < len(expected) < len(rig.lines)
        query = query_of(cursor=0, wantedCollections=names)
        check_lines(read_lines(rig.relay, len(expected), query), expected)

    def test_accounts_hold_for_everything(self, rig: Rig) -> None:
        dids = rig.dids[:2]
        expected = that(rig.lines, lambda line: line["did"] in dids)
        query = query_of(cursor=0, wantedDids=dids)
        check_lines(read_lines(rig.relay, len(expected), query), expected)
        likes = that(expected, lambda line: collection_of(line) in ("", LIKE))
        check_lines(read_lines(rig.relay, len(likes), [*query, ("wantedCollections", LIKE)]), likes)

    def test_messages_that_are_too_large_are_left_out(self, rig: Rig) -> None:
        sizes = sorted(len(line.encode()) for line in rig.lines)
        limit = sizes[len(sizes) // 2]
        expected = [line for line in rig.lines if len(line.encode()) <= limit]
        query = query_of(cursor=0, maxMessageSizeBytes=limit)
        check_lines(read_lines(rig.relay, len(expected), query), expected)

    def test_what_counts_is_what_is_sent(self, rig: Rig) -> None:
        with open_stream(rig.relay, query_of(cursor=0, compress="true")) as stream:
            packed = [stream.recv(LIMIT_S) for _ in rig.lines]
        limit = sorted(map(len, packed))[len(packed) // 2]
        expected = [unpack(each) for each in packed if len(each) <= limit]
        query = query_of(cursor=0, compress="true", maxMessageSizeBytes=limit)
        check_lines(read_lines(rig.relay, len(expected), query), expected)


class TestCompression:
    @pytest.mark.parametrize(("query", "headers"), [(query_of(compress="true"), {}), ((), {"Socket-Encoding": "zstd"})])
    def test_each_line_is_one_frame_that_says_its_size(self, rig: Rig, query: Query, headers: dict[str, str]) -> None:
        """The client offers permessage-deflate, too."""
        with open_stream(rig.relay, [*query, *query_of(cursor=0)], **headers) as stream:
            messages = [stream.recv(LIMIT_S) for _ in rig.lines]
        assert all(isinstance(message, bytes) for message in messages)
        check_lines([unpack(message) for message in messages], rig.lines)


class TestLive:
    def test_now_is_live_and_replays_nothing(self, rig: Rig) -> None:
        """What clients do that always give a cursor, when the stream is quiet."""
        now_us, ahead_us = time.time_ns() // 1_000, time.time_ns() // 1_000 + 30_000_000
        queries = [query_of(cursor=now_us), query_of(cursor=ahead_us), query_of(), query_of(cursor="")]
        with ExitStack() as stack:
            streams = [stack.enter_context(open_stream(rig.relay, query)) for query in queries]
            assert all(is_quiet(stream) for stream in streams)
            expected = more(rig, 10)
            for stream in streams:
                check_lines([unpack(stream.recv(LIMIT_S)) for _ in expected], expected)

    def test_all_wires_and_filters_at_once(self, rig: Rig) -> None:
        did = rig.dids[0]
        with ExitStack() as stack:
            plain, packed, likes, of_one = (
                stack.enter_context(open_stream(rig.relay, query))
                for query in (
                    query_of(),
                    query_of(compress="true"),
                    query_of(wantedCollections=LIKE),
                    query_of(wantedDids=did, compress="true"),
                )
            )
            expected = more(rig, 200)
            for stream, wanted in (
                (plain, expected),
                (packed, expected),
                (likes, that(expected, lambda line: collection_of(line) in ("", LIKE))),
                (of_one, that(expected, lambda line: line["did"] == did)),
            ):
                check_lines([unpack(stream.recv(LIMIT_S)) for _ in wanted], wanted)


def more(rig: Rig, count: int) -> list[str]:
    """Let so many things happen, and wait until the relay has them; returns their lines."""
    before = rig.events[-1].seq
    host_before = rig.background.call(lambda network: len(network.hosts[0].frames))
    rig.background.call(lambda network: network.traffic.run(count))
    due = rig.background.call(lambda network: len(network.hosts[0].frames)) - host_before
    with Subscriber(rig.relay.ws_url, before + 1) as subscriber:
        subscriber.wait_for(due, LIMIT_S)
    rig.events.extend(subscriber.events)
    found = lines_of(subscriber.events)
    rig.lines.extend(found)
    return found


class TestHello:
    def test_nothing_comes_before_it_and_then_what_it_says(self, rig: Rig) -> None:
        did, cursor = rig.dids[0], time_of(rig.lines[100])
        strangers = [f"did:plc:{number:024}" for number in range(9_999)]
        with open_stream(rig.relay, query_of(requireHello="true", cursor=cursor, wantedCollections=POST)) as stream:
            assert is_quiet(stream)
            stream.send("{}")
            stream.send(json.dumps({"type": "unknown", "payload": 5}))
            stream.send(b"binary")
            assert is_quiet(stream)
            stream.send(update(wantedDids=[did, *strangers]))
            expected = that(rig.lines[100:], lambda line: line["did"] == did)
            check_lines([unpack(stream.recv(LIMIT_S)) for _ in expected], expected)

    def test_without_a_cursor_it_is_live_from_then_on(self, rig: Rig) -> None:
        with open_stream(rig.relay, query_of(requireHello="true")) as stream:
            more(rig, 3)
            stream.send(update())
            assert is_quiet(stream)
            expected = more(rig, 3)
            check_lines([unpack(stream.recv(LIMIT_S)) for _ in expected], expected)

    def test_an_update_replaces_everything_while_the_stream_runs(self, rig: Rig) -> None:
        limit = len(rig.lines[-1].encode())
        with open_stream(rig.relay, query_of(wantedCollections=LIKE, wantedDids=rig.dids[0])) as stream:
            stream.send(update(maxMessageSizeBytes=limit))
            assert is_quiet(stream)
            expected = [line for line in more(rig, 100) if len(line.encode()) <= limit]
            check_lines([unpack(stream.recv(LIMIT_S)) for _ in expected], expected)

    @pytest.mark.parametrize(
        ("message", "code", "reason"),
        [
            ("nonsense", 1000, "failed to unmarshal subscriber sourced message: "),
            ('{"type":"options_update"}', 1000, "failed to unmarshal subscriber options update: "),
            (update(wantedDids="x"), 1000, "failed to unmarshal subscriber options update: "),
            (update(wantedDids=["x" * 1_000]), 1000, "failed to parse subscriber options: invalid DID: xxx"),
            (update(wantedCollections=["app.bsky"]), 1000, "failed to parse subscriber options: invalid collection: a"),
            ("[" * 500_000, 1000, "failed to unmarshal subscriber sourced message: "),
        ],
    )
    def test_what_cannot_be_ends_the_stream_by_its_reason(self, rig: Rig, message: str, code: int, reason: str) -> None:
        with open_stream(rig.relay) as stream:
            stream.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(LIMIT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code
        assert closed.value.rcvd.reason.startswith(reason)

    def test_a_message_that_is_too_large_is_ignored(self, rig: Rig) -> None:
        with open_stream(rig.relay) as stream:
            stream.send("x" * 10_000_001)
            assert is_quiet(stream)
            expected = more(rig, 3)
            check_lines([unpack(stream.recv(LIMIT_S)) for _ in expected], expected)

    def test_a_flood_ends_by_its_name_and_disturbs_nobody(self, rig: Rig) -> None:
        with open_stream(rig.relay) as other, open_stream(rig.relay) as stream:
            with pytest.raises(ConnectionClosed) as closed:
                flood(stream)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "TooManyMessages")
            expected = more(rig, 3)
            check_lines([unpack(other.recv(LIMIT_S)) for _ in expected], expected)


def flood(stream: ClientConnection) -> None:
    for _ in range(10_000):
        stream.send('{"type":"x"}')
    stream.recv(LIMIT_S)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("cursor=x", "invalid cursor: x"),
        ("cursor=1.5&wantedDids=x", "invalid cursor: 1.5"),
        ("wantedCollections=a,b", "invalid subscriber options: invalid collection: a,b"),
        ("wantedDids=x", "invalid subscriber options"),
        ("&".join(["wantedCollections=app.*"] * 101), "invalid subscriber options: too many wanted collections"),
    ],
)
def test_refusals_before_the_upgrade_are_those_of_v1(rig: Rig, query: str, body: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_stream(rig.relay, path=f"/subscribe?{query}&")
    response = refused.value.response
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=UTF-8")
    assert bytes(response.body).decode() == body


class TestV2:
    def test_everything_is_there_with_syncs_and_numbers_that_are_ours(self, rig: Rig) -> None:
        expected = payloads_of(rig.events)
        assert {payload["$type"].partition("#")[2] for payload in expected} >= {"commit", "identity", "account"}
        query = query_of(cursor=rig.events[0].seq)
        messages = [json.loads(line) for line in read_lines(rig.relay, len(expected), query, EVENTS)]
        assert {message["$type"] for message in messages} == {"message"}
        assert [message["payload"] for message in messages] == expected

    def test_filters_hold_in_replay_and_live(self, rig: Rig) -> None:
        did = rig.dids[0]

        def wanted(events: list[Seen]) -> list[Json]:
            found = [payload for payload in payloads_of(events) if payload["did"] == did]
            return [payload for payload in found if payload.get("collection") == LIKE]

        query = query_of(cursor=rig.events[0].seq, kinds="commit", collections=LIKE, dids=did)
        with open_stream(rig.relay, query, EVENTS) as stream:
            expected = wanted(rig.events)
            assert [json.loads(stream.recv(LIMIT_S))["payload"] for _ in expected] == expected
            before = len(rig.events)
            more(rig, 100)
            expected = wanted(rig.events[before:])
            assert [json.loads(stream.recv(LIMIT_S))["payload"] for _ in expected] == expected

    @pytest.mark.parametrize("dictionary", [None, DICTIONARY_ID])
    @pytest.mark.parametrize(("offset_us", "name"), [(-63 * DAY_US, "OutdatedCursor"), (DAY_US, "FutureCursor")])
    def test_what_becomes_of_a_cursor_is_told(
        self, rig: Rig, offset_us: int, name: str, dictionary: int | None
    ) -> None:
        query = query_of(cursor=time.time_ns() // 1_000 + offset_us, zstdDictionary=dictionary)
        with open_stream(rig.relay, query, EVENTS, protocol="xrpc.v1.json") as stream:
            assert stream.subprotocol == "xrpc.v1.json"
            said = stream.recv(LIMIT_S)
            assert isinstance(said, str) == (dictionary is None)
            info = json.loads(unpack(said))["payload"]
            assert (info["$type"], info["name"]) == (f"{NSID}#info", name)
            before = len(rig.events)
            more(rig, 1)
            expected = payloads_of(rig.events if offset_us < 0 else rig.events[before:])
            assert json.loads(unpack(stream.recv(LIMIT_S)))["payload"] == expected[0]

    @pytest.mark.parametrize("limit", [0, 500])
    def test_inside_of_packed_messages_are_the_texts_live_and_in_replay(self, rig: Rig, limit: int) -> None:
        dictionary, headers = get_dictionary(rig.relay)
        query = query_of(cursor=rig.events[0].seq, maxMessageSizeBytes=limit)
        packing = [*query, *query_of(zstdDictionary=headers["x-zstd-dictionary-id"])]
        with open_stream(rig.relay, query, EVENTS) as plain, open_stream(rig.relay, packing, EVENTS) as packed:
            more(rig, 50)
            texts = [unpack(plain.recv(LIMIT_S)) for _ in small_ones(rig, limit)]
            messages = [packed.recv(LIMIT_S) for _ in texts]
        assert all(isinstance(message, bytes) for message in messages)
        assert [unpack(message, dictionary) for message in messages] == texts
        with open_stream(rig.relay, packing, EVENTS) as replay:
            assert [replay.recv(LIMIT_S) for _ in messages] == messages

    def test_the_dictionary_is_there_for_whoever_asks(self, rig: Rig) -> None:
        dictionary, headers = get_dictionary(rig.relay)
        number = zstandard.ZstdCompressionDict(dictionary).dict_id()
        assert number == int(headers["x-zstd-dictionary-id"]) == DICTIONARY_ID
        assert (headers["content-type"], headers["etag"]) == ("application/octet-stream", f'"zstd-dict-{number}"')
        assert get_dictionary(rig.relay, f"?id={number}")[0] == dictionary
        assert rig.relay.get(DICTIONARY, headers={"If-None-Match": headers["etag"]})[0] == 304
        status, refusal = rig.relay.get(f"{DICTIONARY}?id=5")
        assert (status, refusal["error"]) == (404, "DictionaryNotFound")

    def test_the_client_atproto_asks_for_it_by_itself(self, rig: Rig) -> None:
        expected = [payload["seq"] for payload in payloads_of(rig.events)]
        client = JetstreamClient(
            models.NetworkBskyJetstreamSubscribeEvents.Params(cursor=expected[0]), base_uri=f"{rig.relay.ws_url}/xrpc"
        )
        found: list[int] = []

        def receive(event: Any) -> None:
            found.append(event.seq)
            if len(found) == len(expected):
                client.stop()

        client.start(receive)
        client._xrpc_client.request.close()  # which it does not do itself
        assert (found, client.compressed) == (expected, True)

    def test_clients_say_nothing(self, rig: Rig) -> None:
        with open_stream(rig.relay, (), EVENTS) as stream:
            stream.send("{}")
            with pytest.raises(ConnectionClosed) as closed:
                stream.recv(LIMIT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008

    @pytest.mark.parametrize(
        ("query", "error"),
        [
            ("cursor=5", "CursorTooOld"),
            ("zstdDictionary=1", "UnknownZstdDictionary"),
            ("wantedDids=x", "InvalidRequest"),
        ],
    )
    def test_refusals_have_names(self, rig: Rig, query: str, error: str) -> None:
        with pytest.raises(InvalidStatus) as refused:
            open_stream(rig.relay, path=f"{EVENTS}?{query}&")
        assert refused.value.response.status_code == 400
        assert json.loads(bytes(refused.value.response.body))["error"] == error


def get_dictionary(relay: Relay, query: str = "") -> tuple[bytes, Mapping[str, str]]:
    """The bytes, and the headers by their names."""
    with urlopen(Request(f"{relay.worker_url}{DICTIONARY}{query}"), timeout=LIMIT_S) as answer:
        return answer.read(), answer.headers


def small_ones(rig: Rig, limit: int) -> list[Json]:
    """What v2 says of everything, but for messages that are larger; a limit of 0 is none."""
    payloads = payloads_of(rig.events)
    return [each for each in payloads if not limit or size_of(each) <= limit]


def size_of(payload: Json) -> int:
    """Bytes of a message of v2."""
    message = {"$type": "message", "payload": payload}
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())


def payloads_of(events: list[Seen]) -> list[Json]:
    """What v2 says of events, by the lines of v1."""
    payloads = []
    for event in events:
        lines = [json.loads(line) for line in jetstream.lines(event.raw) if line]
        if event.kind == "#sync":
            inside = {**event.body, "blocks": base64.b64encode(event.body["blocks"]).decode().rstrip("=")}
            lines = [{"kind": "sync", "time_us": event.seq, "did": event.did, "sync": inside}]
        for line in lines:
            number, kind = line["time_us"], line["kind"]
            own = {"$type": f"{NSID}#{kind}", "did": line["did"], "seq": number, "time": datetime_text(number)}
            payloads.append({**(line[kind] if kind == "commit" else {kind: line[kind]}), **own})
    return payloads


ODD: dict[str, tuple[bytes, bool]] = {
    "deep-list": (b"\x81" * 9_000 + b"\x01", False),
    "deep-map": (b"\xa1\x61a" * 300_000 + b"\x01", False),
    "huge-text": (dumps({"v": "<" * 300_000}), True),
    "float": (dumps({"v": 0.5}), False),
    "whole-float": (dumps({"v": 3.0}), True),
    "bytes": (dumps({"v": b"abc"}), True),
    "bytes-in-json": (dumps({"v": {"$bytes": "YWJj"}}), True),
    "bad-bytes-in-json": (dumps({"v": {"$bytes": "="}}), False),
    "bad-link-in-json": (dumps({"v": {"$link": 5}}), False),
    "half-a-character": (b"\xa1\x61v\x63\xed\xa0\x80", False),
    "no-cbor": (b"\xff", False),
    "last": (dumps({"v": "as usual"}), True),
}
"""Records by their keys, and whether they have a JSON form."""


@pytest.mark.timeout(120)
def test_odd_records_cost_their_own_lines_and_nothing_else(tmp_path: Path) -> None:
    streams: list[tuple[str, Query]] = [
        ("/subscribe", query_of(wantedCollections=POST)),
        ("/subscribe", query_of(wantedCollections=POST, compress="true")),
        (EVENTS, query_of(collections=POST)),
        (EVENTS, query_of(collections=POST, zstdDictionary=DICTIONARY_ID)),
    ]
    expected = [name for name, (_, has_json) in ODD.items() if has_json]
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="odd records", accounts=1)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        first_us = int(relay.state()["started_us"])
        live = [stack.enter_context(open_stream(relay, query, path)) for path, query in streams]
        background.call(write_odd_records)
        assert [record_keys(stream) for stream in live] == [expected] * len(streams)
        for path, query in streams:
            with open_stream(relay, [*query, *query_of(cursor=first_us)], path) as replay:
                assert record_keys(replay) == expected


def write_odd_records(network: SimulatedNetwork) -> None:
    (host,) = network.hosts
    (account,) = host.accounts.values()
    for name, (record, _) in ODD.items():
        host.commit(account, Create(f"{POST}/{name}", record))


def record_keys(stream: ClientConnection) -> list[str]:
    """The keys of the records that come, whatever the wire, up to the last one."""
    found: list[str] = []
    while "last" not in found:
        event = json.loads(unpack(stream.recv(LIMIT_S)))
        written = event.get("commit") or event.get("payload", {})
        found += [written["rkey"]] if "rkey" in written else []
    return found


class TestFirehoseFilters:
    @pytest.mark.parametrize(
        ("query", "condition"),
        [
            (f"collections={POST}", lambda event: is_of(event, POST) or event.kind != "#commit"),
            ("collections=app.bsky.graph.*&kinds=commit", lambda event: is_of(event, "app.bsky.graph.")),
            ("kinds=identity&kinds=account", lambda event: event.kind in ("#identity", "#account")),
            ("dids={did}", lambda event: True),
            (f"dids={{did}}&kinds=commit&collections={LIKE}", lambda event: is_of(event, LIKE)),
        ],
    )
    def test_the_same_in_replay_and_live(self, rig: Rig, query: str, condition: Callable[[Seen], bool]) -> None:
        did = rig.dids[0]
        path = f"{FIREHOSE}?{query.format(did=did)}"

        def wanted(events: list[Seen]) -> list[bytes]:
            return [event.raw for event in events if condition(event) and ("dids" not in query or event.did == did)]

        expected = wanted(rig.events)
        assert 0 < len(expected) < len(rig.events)
        with FrameReader(rig.relay.ws_url, timeout_s=LIMIT_S, path=f"{path}&cursor=0") as reader:
            assert [reader.read() for _ in expected] == expected
            before = len(rig.events)
            more(rig, 50)
            expected = wanted(rig.events[before:])
            assert [reader.read() for _ in expected] == expected

    @pytest.mark.parametrize("query", ["kinds=posts", "dids=x", "collections=x", f"kinds=sync&collections={POST}"])
    def test_what_cannot_be_is_refused_before_the_upgrade(self, rig: Rig, query: str) -> None:
        status, body = rig.relay.get(f"{FIREHOSE}?{query}", headers={"Upgrade": "websocket"})
        assert status in (400, 426), body


def is_of(event: Seen, beginning: str) -> bool:
    return any(op["path"].startswith(beginning) for op in event.body.get("ops", ()))


@pytest.mark.timeout(300)
def test_readers_of_every_wire_and_filter_see_everything_once_while_the_relay_is_killed(tmp_path: Path) -> None:
    kills, events, rate = 4, 1_500, 150
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="killed", accounts=10)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        first_us = int(relay.state()["started_us"])
        firehose = stack.enter_context(Subscriber(relay.ws_url, first_us))
        did = background.call(lambda network: min(network.hosts[0].accounts))
        hello = update(wantedDids=[did, *[f"did:plc:{number:024}" for number in range(5_000)]])
        conditions: list[tuple[LineReader, Callable[[Json], bool]]] = [
            (LineReader(relay, cursor=first_us), lambda line: True),
            (LineReader(relay, query_of(compress="true"), first_us), lambda line: True),
            (
                LineReader(relay, query_of(wantedCollections=[LIKE, "app.bsky.graph.*"]), first_us),
                lambda line: not collection_of(line) or collection_of(line).startswith((LIKE, "app.bsky.graph.")),
            ),
            (
                LineReader(relay, query_of(requireHello="true"), first_us, lambda: hello),
                lambda line: bool(line["did"] == did),
            ),
        ]
        for reader, _ in conditions:
            stack.enter_context(reader)
        background.call(lambda network: network.start_traffic(rate))
        for number in range(1, kills + 1):
            due = events * number // (kills + 1)
            wait_until(lambda due=due: len(background.network.hosts[0].frames) >= due, 60.0, f"{due} events")  # type: ignore[misc]
            relay.crash()
        wait_until(lambda: len(background.network.hosts[0].frames) >= events, 60.0, "the last event")
        background.wait_for(background.network.stop_traffic())
        emitted = [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]
        firehose.wait_for(len(emitted), 60.0)
        expected = lines_of(firehose.events)
        for reader, condition in conditions:
            wanted = that(expected, condition)
            reader.wait_for(len(wanted), 60.0)
            check_lines(reader.lines, wanted)
            assert reader.connections >= 2


@pytest.mark.timeout(120)
def test_a_shard_that_slept_remembers_what_its_readers_want(tmp_path: Path) -> None:
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="asleep", accounts=6)))
        relay = stack.enter_context(Relay(tmp_path, upstream_settings(background)))
        relay.wait_live()
        wait_until(lambda: relay.state()["events"] > 0 and is_even(background, relay), LIMIT_S, "all that was before")
        dids = background.call(lambda network: sorted(network.hosts[0].accounts))
        large = update(wantedDids=[*dids[:2], *[f"did:plc:{number:024}" for number in range(9_998)]])
        now = query_of(cursor=time.time_ns() // 1_000)
        of_many = stack.enter_context(open_stream(relay, [*now, *query_of(requireHello="true", compress="true")]))
        of_many.send(large)
        small = stack.enter_context(open_stream(relay, query_of(wantedCollections=LIKE)))
        ahead = stack.enter_context(open_stream(relay, query_of(cursor=2**52)))
        silent = stack.enter_context(open_stream(relay, query_of(requireHello="true")))
        frames = stack.enter_context(Subscriber(relay.ws_url))
        background.call(lambda network: network.traffic.run(20))
        first = lines_of_next(frames, 0)
        time.sleep(1.5 * SLEEPS_AFTER_S)  # the silence itself is what is tried
        background.call(lambda network: network.traffic.run(100))
        second = lines_of_next(frames, 20)
        silent.send(update())
        assert is_quiet(silent)
        background.call(lambda network: network.traffic.run(20))
        third = lines_of_next(frames, 120)
        everything = [*first, *second, *third]
        for stream, wanted in (
            (of_many, that(everything, lambda line: line["did"] in dids[:2])),
            (small, that(everything, lambda line: collection_of(line) in ("", LIKE))),
            (ahead, everything),
            (silent, third),
        ):
            check_lines([unpack(stream.recv(LIMIT_S)) for _ in wanted], wanted)
        woke = [line for line in relay.log_path.read_text().splitlines() if '"shard_woke"' in line]
        assert woke, "the shard did not sleep: the test is worth nothing"


def is_even(background: NetworkThread, relay: Relay) -> bool:
    """Whether the relay has everything that the host has sent."""
    return bool(relay.state()["events"] == len(background.network.hosts[0].frames))


def lines_of_next(subscriber: Subscriber, first: int) -> list[str]:
    """The lines of the events from an index on, when they have come."""
    wait_until(lambda: len(subscriber.events) > first, LIMIT_S, "the first event")
    count = -1
    while count != len(subscriber.events):
        count = len(subscriber.events)
        time.sleep(QUIET_S)
    return lines_of(subscriber.events[first:])


def test_what_the_whole_network_sent_becomes_what_v1_made_of_it(tmp_path: Path, shared_data: Path) -> None:
    """150 frames, and the 152 lines that Jetstream served for them: the same bytes but for the numbers."""
    frames = recording(shared_data)
    path = tmp_path / "frames.bin"
    path.write_bytes(b"".join([len(frame).to_bytes(4, "big") + frame for frame in frames]))
    with NetworkThread(SimulatedNetwork(seed="golden", hosts=0)) as background:
        host = background.wait_for(background.network.add_replay(path))
        settings = {"UPSTREAM": host.ws_url, "UPSTREAM_KIND": "relay", "UPSTREAM_START": "oldest", "VERIFY": "trusted"}
        with Relay(tmp_path / "state", {**settings, "PLC_URL": background.network.plc_url}) as relay:
            wait_until(lambda: relay.state()["events"] == len(frames), LIMIT_S, "all frames")
            # Jetstream keeps the order of each account's events only.
            expected = sorted(map(unnumbered, expected_lines(shared_data)))
            for query in (query_of(cursor=0), query_of(cursor=0, compress="true")):
                found = read_lines(relay, len(expected), query)
                assert sorted(map(unnumbered, found)) == expected
                times = list(map(time_of, found))
                assert times == sorted(set(times))


def unnumbered(line: str) -> str:
    """A line without what only its server can know."""
    return re.sub(r'("time_us"|"(?:identity|account)":\{.*"seq"):\d+', r"\1:0", line)
