"""The firehose as a subscriber meets it: cursors, answers before the upgrade, and what clients must not do."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote

import pytest

from edgerelay.atproto.timestamp import datetime_text
from edgerelay_dev.network import FrameReader, SimulatedNetwork, StreamClosed
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, decode, seen, wait_until

EVENTS = 300
ARRIVE_LIMIT_S = 30.0
QUIET_S = 1.0
"""How long a stream is watched that should say nothing."""
DAY_US = 86_400_000_000
SUBSCRIBE = "/xrpc/com.atproto.sync.subscribeRepos"


class Rig(NamedTuple):
    background: NetworkThread
    relay: Relay
    events: list[Seen]
    """What a subscriber from the beginning saw."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with NetworkThread(SimulatedNetwork(seed="firehose", accounts=5)) as background:
        background.call(lambda network: network.traffic.run(EVENTS))
        count = background.call(lambda network: len(network.hosts[0].frames))
        with Relay(tmp_path_factory.mktemp("firehose"), upstream_settings(background)) as relay:
            with Subscriber(relay.ws_url, 0) as subscriber:
                subscriber.wait_for(count, ARRIVE_LIMIT_S)
            yield Rig(background, relay, subscriber.events)


def read(rig: Rig, cursor: int | str | None, count: int) -> list[bytes]:
    with FrameReader(rig.relay.ws_url, cursor, timeout_s=ARRIVE_LIMIT_S) as reader:
        return [reader.read() for _ in range(count)]


def frames(events: list[Seen]) -> list[bytes]:
    return [event.raw for event in events]


class TestCursors:
    def test_zero_is_the_window_without_a_note(self, rig: Rig) -> None:
        assert read(rig, 0, len(rig.events)) == frames(rig.events)

    @pytest.mark.parametrize("index", [0, 1, EVENTS // 2, -1])
    def test_a_number_of_ours_is_inclusive(self, rig: Rig, index: int) -> None:
        wanted = rig.events[index:]
        assert read(rig, wanted[0].seq, len(wanted)) == frames(wanted)

    def test_a_number_between_two_events_starts_at_the_next(self, rig: Rig) -> None:
        gaps = [index for index, (one, next_) in enumerate(pairwise(rig.events), start=1) if next_.seq - one.seq > 1]
        wanted = rig.events[gaps[len(gaps) // 2] :]
        assert read(rig, wanted[0].seq - 1, len(wanted)) == frames(wanted)

    def test_a_time_may_stand_for_a_number(self, rig: Rig) -> None:
        wanted = rig.events[EVENTS // 2 :]
        path = f"{SUBSCRIBE}?since={quote(datetime_text(wanted[0].seq))}"
        with FrameReader(rig.relay.ws_url, timeout_s=ARRIVE_LIMIT_S, path=path) as reader:
            assert [reader.read() for _ in wanted] == frames(wanted)

    @pytest.mark.parametrize("query", ["since=yesterday", "since=2026-11-01T12:00:00Z&cursor=5", "window=most"])
    def test_what_contradicts_itself_is_refused_before_the_upgrade(self, rig: Rig, query: str) -> None:
        with pytest.raises(StreamClosed) as refused:
            FrameReader(rig.relay.ws_url, timeout_s=ARRIVE_LIMIT_S, path=f"{SUBSCRIBE}?{query}")
        assert refused.value.code == 400

    def test_none_is_live(self, rig: Rig) -> None:
        with Subscriber(rig.relay.ws_url) as subscriber:
            wait_until(lambda: clients(rig) == 1, ARRIVE_LIMIT_S, "the reader is known")
            rig.background.call(lambda network: network.traffic.run(1))
            subscriber.wait_for(1, ARRIVE_LIMIT_S)
            assert subscriber.seqs[0] > rig.events[-1].seq

    def test_the_future_is_refused_on_the_stream(self, rig: Rig) -> None:
        with FrameReader(rig.relay.ws_url, time.time_ns() // 1_000 + DAY_US, timeout_s=ARRIVE_LIMIT_S) as reader:
            header, body = decode(reader.read())
            assert (header, body["error"]) == ({"op": -1}, "FutureCursor")
            with pytest.raises(StreamClosed) as closed:
                reader.read()
        assert (closed.value.code, closed.value.reason) == (1008, "FutureCursor")

    @pytest.mark.parametrize("cursor", [1, 31_527_015_322], ids=["small", "of another relay"])
    def test_a_foreign_number_is_told_and_gets_the_window(self, rig: Rig, cursor: int) -> None:
        info, *rest = read(rig, cursor, len(rig.events) + 1)
        header, body = decode(info)
        assert (header["t"], body["name"]) == ("#info", "OutdatedCursor")
        assert rest == frames(rig.events)

    def test_older_than_what_is_kept_is_told(self, rig: Rig) -> None:
        info, *rest = read(rig, time.time_ns() // 1_000 - 63 * DAY_US, len(rig.events) + 1)
        assert decode(info)[1]["name"] == "OutdatedCursor"
        assert rest == frames(rig.events)

    @pytest.mark.parametrize("cursor", ["abc", "-1", "1.5", "1e9", "%00", "0x10", "1&cursor=2"])
    def test_a_malformed_one_is_refused_before_the_upgrade(self, rig: Rig, cursor: str) -> None:
        with pytest.raises(StreamClosed) as refused:
            FrameReader(rig.relay.ws_url, cursor, timeout_s=ARRIVE_LIMIT_S)
        assert refused.value.code == 400


def clients(rig: Rig) -> int:
    return sum(shard["clients"] for shard in rig.relay.state()["shards"])


class TestAnswersBeforeTheUpgrade:
    def test_without_an_upgrade(self, rig: Rig) -> None:
        status, body = rig.relay.get(SUBSCRIBE)
        assert (status, body["error"]) == (426, "UpgradeRequired")
        assert body["requestId"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_with_another_method(self, rig: Rig, method: str) -> None:
        status, body = rig.relay.get(SUBSCRIBE, method=method)
        assert (status, body["error"]) == (405, "MethodNotAllowed")

    def test_too_many_parameters(self, rig: Rig) -> None:
        query = "&".join(f"a{index}=1" for index in range(1_000))
        assert rig.relay.get(f"{SUBSCRIBE}?{query}", headers={"Upgrade": "websocket"})[0] in (400, 426)

    @pytest.mark.parametrize(
        ("path", "status", "error"),
        [("/nothing", 404, "NotFound"), ("/xrpc/com.atproto.sync.getBlocks", 501, "MethodNotImplemented")],
    )
    def test_what_is_not_served(self, rig: Rig, path: str, status: int, error: str) -> None:
        found, body = rig.relay.get(path)
        assert (found, body["error"]) == (status, error)

    def test_any_origin_may_ask(self, rig: Rig) -> None:
        assert rig.relay.get("/", method="OPTIONS", headers={"Origin": "https://example.com"})[0] == 204


class TestInformation:
    def test_the_service(self, rig: Rig) -> None:
        status, body = rig.relay.get("/")
        assert status == 200
        assert body["name"] == "EdgeRelay"
        assert body["cursor"]["oldest"] == rig.events[0].seq
        assert SUBSCRIBE in body["endpoints"]

    @pytest.mark.parametrize("path", ["/health", "/xrpc/_health"])
    def test_health(self, rig: Rig, path: str) -> None:
        status, body = rig.relay.get(path)
        assert (status, body["status"], body["upstream"]) == (200, "ok", "live")

    def test_state(self, rig: Rig) -> None:
        state = rig.relay.state()
        assert state["upstream"]["kind"] == "pds"
        assert state["events"] == state["upstream"]["low"]
        assert state["hot_log"]["last_seq"] >= rig.events[-1].seq


class TestClients:
    def test_what_a_client_sends_is_ignored(self, rig: Rig) -> None:
        with FrameReader(rig.relay.ws_url, 0, timeout_s=ARRIVE_LIMIT_S) as reader:
            send_garbage(reader)
            received = [reader.read() for _ in rig.events]
        assert received == frames(rig.events)

    def test_a_close_is_answered(self, rig: Rig) -> None:
        with FrameReader(rig.relay.ws_url, timeout_s=ARRIVE_LIMIT_S) as reader:
            reader._socket.sendall(b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big"))
            with pytest.raises(StreamClosed) as closed:
                reader.read()
        assert closed.value.code == 1000

    def test_reconnecting_after_silence_loses_nothing(self, rig: Rig) -> None:
        with Subscriber(rig.relay.ws_url, rig.events[-1].seq, read_limit_s=QUIET_S) as subscriber:
            wait_until(lambda: subscriber.connections >= 3, ARRIVE_LIMIT_S, "three connections")
            rig.background.call(lambda network: network.traffic.run(20))
            emitted = [seen(x.frame) for x in rig.background.call(lambda network: list(network.hosts[0].frames))]
            before = {event.essence for event in rig.events[:-1]}
            expected = [event for event in emitted if event.essence not in before]
            subscriber.wait_for(len(expected), ARRIVE_LIMIT_S)
            assert subscriber.seqs == sorted(set(subscriber.seqs))
            check_arrived(subscriber.events, expected)

    def test_connections_from_one_address_are_limited(self, rig: Rig) -> None:
        refusals = []
        for _ in range(130):
            try:
                FrameReader(rig.relay.ws_url, timeout_s=ARRIVE_LIMIT_S).close()
            except StreamClosed as refused:
                refusals.append(refused.code)
        assert set(refusals) == {429}


def send_garbage(reader: FrameReader) -> None:
    """Text, binary, a ping and a long message, masked as clients must."""
    own: socket.socket = reader._socket
    for opcode, size in ((1, 5), (2, 50), (9, 4), (2, 70_000)):
        length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
        own.sendall(bytes([0x80 | opcode]) + length + bytes(4) + b"x" * size)
