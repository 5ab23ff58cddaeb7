"""Many shards: where readers are brought, what happens when one is full, mute or ends, and who is not let in."""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from edgerelay.runtime.schema import SCHEMA_VERSION
from edgerelay_dev.network import FrameReader, SimulatedNetwork, StreamClosed
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.repository import Create, Record
from edgerelay_dev.offline.preparation import Prepared
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, decode, seen, wait_until
from tests.e2e.test_state import database

LIMIT_S = 60.0
LIVE, REPLAY = "live-enam-", "replay-enam-"
"""The simulated platform says that all of us are in Austin."""


@pytest.fixture
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="placement", accounts=5)) as network:
        yield network


def emitted(background: NetworkThread) -> list[Seen]:
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def clients(relay: Relay) -> dict[str, int]:
    """Readers by shard."""
    return {each["name"]: each["clients"] for each in relay.state()["shards"]}


def wait_for_clients(relay: Relay, expected: Mapping[str, int]) -> None:
    wait_until(lambda: clients(relay) == expected, LIMIT_S, f"{expected}, not {clients(relay)}")


def come(relay: Relay, number: int = 1, **headers: str) -> FrameReader:
    """A live reader of an address of its own."""
    address = {"CF-Connecting-IP": f"198.51.{number // 250}.{number % 250 + 1}"}
    return FrameReader(relay.ws_url, timeout_s=LIMIT_S, headers={**address, **headers})


def refusal(relay: Relay, number: int = 1, path: str = "", **headers: str) -> tuple[int, dict[str, Any], str]:
    """Status, body and `Retry-After` of an answer that does not upgrade."""
    target = urlsplit(relay.worker_url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=LIMIT_S)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "CF-Connecting-IP": f"198.51.0.{number + 1}"}
    connection.request("GET", f"/xrpc/com.atproto.sync.subscribeRepos{path}", headers={**upgrade, **headers})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read() or b"{}"), answer.getheader("retry-after", "")
    connection.close()
    return found


class TestSpill:
    def test_a_full_shard_is_passed_over_and_all_full_is_said(self, tmp_path: Path, background: NetworkThread) -> None:
        more = {"SHARD_CLIENTS": "2", "SHARDS_PER_REGION": "2"}
        with Relay(tmp_path, {**upstream_settings(background), **more}) as relay, ExitStack() as stack:
            for number in range(4):
                stack.enter_context(come(relay, number))
            wait_for_clients(relay, {f"{LIVE}0": 2, f"{LIVE}1": 2})
            status, body, retry_after = refusal(relay, 5)
            assert (status, body["error"], retry_after) == (429, "RelayFull", "30")
            with Subscriber(relay.ws_url, 0) as replaying:
                replaying.wait_for(len(emitted(background)), LIMIT_S)
                wait_for_clients(relay, {f"{LIVE}0": 2, f"{LIVE}1": 2, f"{REPLAY}0": 1})
            assert relay.state()["endings"]["refused_full"] >= 2

    def test_who_leaves_makes_room_and_an_empty_shard_is_forgotten(
        self, tmp_path: Path, background: NetworkThread
    ) -> None:
        more = {"SHARD_CLIENTS": "1", "SHARDS_PER_REGION": "2"}
        with Relay(tmp_path, {**upstream_settings(background), **more}) as relay:
            with come(relay, 1), come(relay, 2):
                wait_for_clients(relay, {f"{LIVE}0": 1, f"{LIVE}1": 1})
            wait_for_clients(relay, {})
            with come(relay, 3), come(relay, 4) as reader:
                wait_for_clients(relay, {f"{LIVE}0": 1, f"{LIVE}1": 1})
                background.call(lambda network: network.traffic.run(1))
                reader.read()

    def test_no_more_shards_than_there_may_be(self, tmp_path: Path, background: NetworkThread) -> None:
        more = {"SHARD_CLIENTS": "1", "SHARDS_MAX": "1"}
        with Relay(tmp_path, {**upstream_settings(background), **more}) as relay, come(relay, 1):
            wait_for_clients(relay, {f"{LIVE}0": 1})
            wait_until(lambda: refusal(relay, 2)[0] == 429, LIMIT_S, "the table is known at the door")

    def test_no_more_clients_than_there_may_be(self, tmp_path: Path, background: NetworkThread) -> None:
        with Relay(tmp_path, {**upstream_settings(background), "CLIENTS_MAX": "1"}) as relay, come(relay, 1):
            wait_for_clients(relay, {f"{LIVE}0": 1})
            wait_until(lambda: refusal(relay, 2)[0] == 429, LIMIT_S, "the table is known at the door")


class TestFailures:
    def test_a_shard_that_does_not_answer_is_passed_over(self, tmp_path: Path, background: NetworkThread) -> None:
        with Relay(tmp_path, upstream_settings(background)) as relay, Subscriber(relay.ws_url) as before:
            wait_for_clients(relay, {f"{LIVE}0": 1})
            relay.rehearse("mute_shard", f"{LIVE}0")
            with come(relay, 1), come(relay, 2) as reader:
                wait_for_clients(relay, {f"{LIVE}0": 1, f"{LIVE}1": 2})
                background.call(lambda network: network.traffic.run(20))
                reader.read()
                before.wait_for(20, LIMIT_S)

    @pytest.mark.parametrize("action", ["end_shard", "break_shard"])
    def test_shards_end_one_by_one_and_readers_miss_nothing(
        self, action: str, tmp_path: Path, background: NetworkThread
    ) -> None:
        """Their sockets end with them; whoever comes back finds the shard that comes back, or another."""
        settings = {**upstream_settings(background), "SHARD_CLIENTS": "2"}
        with Relay(tmp_path, settings) as relay, ExitStack() as stack:
            readers = [stack.enter_context(Subscriber(relay.ws_url, 0)) for _ in range(5)]
            wait_until(lambda: sum(clients(relay).values()) == 5, LIMIT_S, "five readers")
            assert len(clients(relay)) == 3
            for turn in range(6):
                names = list(clients(relay)) or [f"{REPLAY}0"]
                relay.rehearse(action, names[turn % len(names)])
                background.call(lambda network: network.traffic.run(20))
                for reader in readers:
                    reader.wait_for(len(emitted(background)), LIMIT_S)
            for reader in readers:
                check_arrived(reader.events, emitted(background))
                assert reader.seqs == readers[0].seqs
            assert sum(reader.connections for reader in readers) > len(readers)
            assert ("task_failed" in relay.log_path.read_text()) == (action == "break_shard")

    def test_relay_state_ends_again_and_again_while_readers_come(
        self, tmp_path: Path, background: NetworkThread
    ) -> None:
        with Relay(tmp_path, upstream_settings(background)) as relay, ExitStack() as stack:
            relay.wait_live()
            readers = []
            for _ in range(4):
                relay.rehearse("abort")
                readers.append(stack.enter_context(Subscriber(relay.ws_url, 0)))
                background.call(lambda network: network.traffic.run(20))
            for reader in readers:
                reader.wait_for(len(emitted(background)), LIMIT_S)
                check_arrived(reader.events, emitted(background))
                assert reader.seqs == readers[0].seqs


def test_without_relay_state_a_reader_comes_in_reads_the_archive_and_waits(
    tmp_path: Path, background: NetworkThread
) -> None:
    """RelayState refuses a state that a newer version wrote, which is as good as being away."""
    settings = {**upstream_settings(background), "SEAL_S": "1", "ALARM_S": "5"}
    with Relay(tmp_path, settings) as relay:
        with Subscriber(relay.ws_url, 0) as reader:
            background.call(lambda network: network.traffic.run(50))
            reader.wait_for(len(emitted(background)), LIMIT_S)
        wait_until(
            lambda: relay.state()["archive"]["archived_seq"] >= reader.seqs[-1], LIMIT_S, "everything is in the archive"
        )
        relay.stop()
        set_schema_version(tmp_path, SCHEMA_VERSION + 1)
        relay.start()
        assert relay.get("/state")[0] == 503
        with Subscriber(relay.ws_url, 0, read_limit_s=LIMIT_S) as late:
            late.wait_for(len(reader.events), LIMIT_S)
            assert (late.seqs, late.connections) == (reader.seqs, 1)
            background.call(lambda network: network.traffic.run(20))
            relay.stop()
            set_schema_version(tmp_path, SCHEMA_VERSION)
            relay.start()
            late.wait_for(len(emitted(background)), LIMIT_S)
            check_arrived(late.events, emitted(background))


def set_schema_version(state_dir: Path, version: int) -> None:
    with closing(sqlite3.connect(database(state_dir))) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
        connection.commit()


class LimitedRelay(Relay):
    """A relay with a lower limit of requests."""

    REQUESTS = 6

    def _spawn(self, prepared: Prepared, configuration: Path, lock: IO[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        derived = json.loads(configuration.read_text())
        [limit] = [each for each in derived["ratelimits"] if each["name"] == "REQUEST_LIMIT"]
        limit["simple"] = {"limit": self.REQUESTS, "period": 60}
        configuration.write_text(json.dumps(derived))
        return super()._spawn(prepared, configuration, lock, log)


class TestLimits:
    def test_connections_of_one_address(self, tmp_path: Path, background: NetworkThread) -> None:
        with (
            Relay(tmp_path, {**upstream_settings(background), "ADDRESS_CLIENTS": "2"}) as relay,
            come(relay, 1, **{"CF-Connecting-IP": "2001:db8:1:2::1"}) as first,
            come(relay, 1, **{"CF-Connecting-IP": "2001:db8:1:2::2"}),
        ):
            status, body, retry_after = refusal(relay, 1, **{"CF-Connecting-IP": "2001:db8:1:2:ffff::"})
            assert (status, body["error"], retry_after) == (429, "TooManyConnections", "30")
            come(relay, 1, **{"CF-Connecting-IP": "2001:db8:1:3::1"}).close()
            first.close()

            def is_let_in() -> bool:
                try:
                    come(relay, 1, **{"CF-Connecting-IP": "2001:db8:1:2::3"}).close()
                except StreamClosed:
                    return False
                return True

            wait_until(is_let_in, LIMIT_S, "room for another of that address")

    def test_requests_of_one_address(self, tmp_path: Path, background: NetworkThread) -> None:
        address = {"CF-Connecting-IP": "203.0.113.5"}
        with LimitedRelay(tmp_path, upstream_settings(background)) as relay:
            for path in ("/health", "/nothing", "/xrpc/com.atproto.sync.getRepoStatus?did=did:web:pds.test") * 2:
                assert relay.get(path, headers=address)[0] != 429
            status, body = relay.get("/health", headers=address)
            assert (status, body["error"]) == (429, "RateLimitExceeded")
            assert relay.get("/health", headers={"CF-Connecting-IP": "203.0.113.6"})[0] != 429

    def test_tokens(self, tmp_path: Path, background: NetworkThread) -> None:
        settings = {**upstream_settings(background), "SUBSCRIBER_TOKENS": "one-token,another-token"}
        with Relay(tmp_path, settings) as relay:
            come(relay, 1, Authorization="Bearer another-token").close()
            assert refusal(relay, 2, "?token=one-token")[0] == 101
            for path, headers in (
                ("", {}),
                ("?token=wrong-token", {}),
                ("", {"Authorization": "Bearer wrong-token"}),
                ("?token=" + "x" * 8_000, {}),
                ("?token=one-token&token=another-token", {}),
            ):
                status, body, _ = refusal(relay, 3, path, **headers)
                assert (status, body["error"]) == (401, "AuthenticationRequired")
            assert not [line for line in own_lines(relay) if "-token" in str(line)]


def test_a_reader_that_stands_still_is_ended_by_name_and_holds_up_nobody(
    tmp_path: Path, background: NetworkThread
) -> None:
    settings = {**upstream_settings(background), "STUCK_S": "3", "UNSENT_BYTES": "64000"}
    with (
        Relay(tmp_path, settings) as relay,
        Subscriber(relay.worker_url, 0) as reading,
        FrameReader(relay.worker_url, 0, timeout_s=LIMIT_S) as still,
    ):
        background.call(lambda network: write_long_posts(network, LONG_POSTS))
        reading.wait_for(len(emitted(background)), LIMIT_S)
        check_arrived(reading.events, emitted(background))
        wait_until(lambda: relay.state()["endings"].get("too_slow") == 1, LIMIT_S, "the end of who stood still")
        frames, closed = read_to_end(still)
        assert (closed.code, closed.reason) == (1008, "ConsumerTooSlow")
        header, body = decode(frames.pop())
        assert (header, body["error"]) == ({"op": -1}, "ConsumerTooSlow")
        assert frames == [each.raw for each in reading.events[: len(frames)]], "and until then it got what was next"
        [ended] = [
            line for line in own_lines(relay) if line["event"] == "reader_ended" and line["reason"] == "too_slow"
        ]
        assert (ended["cursor"], ended["network"]) == (0, "127.0.0.0/24")
        assert ended["events"] == len(frames)


def test_when_memory_is_short_those_who_hold_most_of_it_go(tmp_path: Path, background: NetworkThread) -> None:
    """Nobody is stuck for long enough to be ended for that."""
    settings = {**upstream_settings(background), "STUCK_S": "3600", "UNSENT_BYTES": "1000000"}
    settings |= {"BUDGET_BYTES": "4000000", "RING_BYTES": "1000000"}
    with Relay(tmp_path, settings) as relay, ExitStack() as stack:
        reading = stack.enter_context(Subscriber(relay.worker_url, 0))
        still = [FrameReader(relay.worker_url, 0, timeout_s=LIMIT_S) for _ in range(6)]
        for each in still:
            stack.enter_context(each)
        background.call(lambda network: write_long_posts(network, LONG_POSTS))
        reading.wait_for(len(emitted(background)), LIMIT_S)
        check_arrived(reading.events, emitted(background))
        wait_until(lambda: relay.state()["endings"].get("full_buffer", 0) > 0, LIMIT_S, "the end of who held most")
        assert relay.state()["endings"].keys() <= {"full_buffer", "gone"}


def test_a_shard_whose_closed_sockets_hold_too_much_ends_and_its_readers_come_back(
    tmp_path: Path, background: NetworkThread
) -> None:
    """The peers are still there and take nothing, so that closing their sockets frees nothing."""
    settings = {**upstream_settings(background), "STUCK_S": "3600", "UNSENT_BYTES": "4000000"}
    settings |= {"BUDGET_BYTES": "2000000", "RING_BYTES": "1000000", "ADDRESS_REPLAYS": "100"}
    with Relay(tmp_path, settings) as relay, ExitStack() as stack:
        reading = stack.enter_context(Subscriber(relay.worker_url, 0))
        background.call(lambda network: write_long_posts(network, LONG_POSTS))
        for _ in range(40):
            stack.enter_context(FrameReader(relay.worker_url, 0, timeout_s=LIMIT_S))

        def has_ended() -> bool:
            background.call(lambda network: network.traffic.run(1))  # a shard looks at its sockets when something comes
            return "buffers_full" in relay.log_path.read_text()

        wait_until(has_ended, LIMIT_S, "the end of the shard")
        reading.wait_for(len(emitted(background)), LIMIT_S)
        check_arrived(reading.events, emitted(background))
        assert relay.get("/health")[0] == 200, "the interpreter that it shared is as it was"


def read_to_end(reader: FrameReader) -> tuple[list[bytes], StreamClosed]:
    frames = []
    try:
        while True:
            frames.append(reader.read())
    except StreamClosed as closed:
        return frames, closed


LONG_POSTS = 400
"""More than what sockets hold on both sides, and what a shard with two readers sends beyond it: 16 MB."""


def write_long_posts(network: SimulatedNetwork, count: int) -> None:
    [host] = network.hosts
    for _ in range(count):
        account = next(iter(host.accounts.values()))
        record: Record = {"$type": "app.bsky.feed.post", "createdAt": "2026-11-27T00:00:00Z", "text": "x" * 40_000}
        host.commit(account, Create(f"app.bsky.feed.post/{host.next_tid(account)}", record))


def own_lines(relay: Relay) -> list[dict[str, Any]]:
    return [json.loads(line) for line in relay.log_path.read_text().splitlines() if line.startswith("{")]


def test_a_crowd_and_a_burst_beyond_the_limits(tmp_path: Path, background: NetworkThread) -> None:
    """Three hundred readers on several shards; a burst of others is answered and disturbs nobody."""
    count, burst = 300, 400
    settings = {**upstream_settings(background), "SHARD_CLIENTS": "80", "CLIENTS_MAX": str(count)}
    with Relay(tmp_path, settings) as relay, ExitStack() as stack:
        relay.wait_live()
        readers = [stack.enter_context(come(relay, number)) for number in range(count)]
        wait_until(lambda: sum(clients(relay).values()) == count, LIMIT_S, "all of them are known")
        assert len(clients(relay)) == 4
        prepared = sum(each["prepared"] for each in relay.state()["shards"])
        first = len(emitted(background))
        statuses: Counter[int] = Counter()

        def storm() -> None:
            for number in range(burst // 4):
                statuses[refusal(relay, number % 200)[0]] += 1

        threads = [threading.Thread(target=storm) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            background.call(lambda network: network.traffic.run(20))
        expected = len(emitted(background)) - first
        arrived = [[seen(reader.read()) for _ in range(expected)] for reader in readers]
        for thread in threads:
            thread.join(LIMIT_S)
        assert statuses == {429: burst}
        for events in arrived:
            assert [each.seq for each in events] == [each.seq for each in arrived[0]]
        check_arrived(arrived[0], emitted(background)[first:])
        wait_until(
            lambda: sum(each["prepared"] for each in relay.state()["shards"]) == prepared + 4 * expected,
            LIMIT_S,
            "each shard made each event ready once, however many read it",
        )
        assert sum(clients(relay).values()) == count
