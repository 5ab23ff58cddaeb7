from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random
from typing import Any

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.car import read_car
from edgerelay_dev.network.clock import SteppingClock
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.malformed import Fate
from edgerelay_dev.network.traffic import COLLECTIONS, Traffic, past_records
from tests.unit.dev.network.stream_oracle import StreamOracle, unlink


@pytest.fixture
def hosts(new_host: Callable[[int], Host]) -> list[Host]:
    hosts = [new_host(0), new_host(1)]
    for host in hosts:
        for _ in range(4):
            host.create_account()
    return hosts


def test_all_that_happens_is_right(hosts: list[Host], clock: SteppingClock) -> None:
    Traffic(hosts, "seed").run(600)
    for host in hosts:
        oracle = StreamOracle(host.directory.documents.get, host.url, clock)
        verdicts = Counter(oracle.judge(message.frame) for message in host.frames)
        assert {*verdicts} == {(Fate.KEEP, ""), (Fate.REPEAT, "rev not newer")}


def test_mix_is_mostly_likes(hosts: list[Host]) -> None:
    before = sum(len(host.frames) for host in hosts)
    Traffic(hosts, "seed").run(2_000)
    happened: Counter[str] = Counter()
    created: Counter[str] = Counter()
    for host in hosts:
        for message in host.frames:
            header, body = map(unlink, decode_pair(message.frame))
            happened[header["t"]] += 1
            created.update(op["path"].split("/")[0] for op in body.get("ops", ()) if op["action"] == "create")
    assert sum(happened.values()) - before >= 2_000
    assert happened["#commit"] > 1_900
    assert all(happened[kind] > 8 for kind in ("#identity", "#account", "#sync"))
    assert 0.6 < created["app.bsky.feed.like"] / created.total() < 0.8


def test_same_seed_gives_the_same_story(new_host: Callable[[int], Host]) -> None:
    def story(seed: str) -> list[bytes]:
        host = new_host(0)
        host._clock = SteppingClock(1_795_000_000_000_000)
        for _ in range(3):
            host.create_account()
        Traffic([host], seed).run(200)
        return [message.frame for message in host.frames]

    assert story("a") == story("a")
    assert story("a") != story("b")


def test_lone_account_never_goes_away(new_host: Callable[[int], Host]) -> None:
    host = new_host(0)
    account = host.create_account()
    Traffic([host], "seed").run(500)
    assert account.active


async def test_flow_keeps_its_rate(hosts: list[Host]) -> None:
    traffic = Traffic(hosts, "seed")
    started = asyncio.get_running_loop().time()
    flow = asyncio.ensure_future(traffic.flow(200))
    await asyncio.sleep(0.2)
    elapsed = asyncio.get_running_loop().time() - started
    flow.cancel()
    assert 0 < traffic.emitted <= elapsed * 200 + 1


async def test_flow_without_a_rate_lets_others_run(hosts: list[Host]) -> None:
    traffic = Traffic(hosts, "seed")
    flow = asyncio.ensure_future(traffic.flow())
    for _ in range(5):
        await asyncio.sleep(0)
    flow.cancel()
    assert 0 < traffic.emitted <= 5 * 16


def test_past_records_are_old_distinct_and_of_all_kinds() -> None:
    records = dict(past_records(Random("a"), 2_000))
    assert len(records) == 2_000
    assert {path.split("/")[0] for path in records} == {*COLLECTIONS}
    assert all(str(record["createdAt"]) < "2026-06" for record in records.values())
    assert list(islice(past_records(Random("a"), 2_000), 5)) == list(records.items())[:5]


def test_repositories_with_a_past_make_frames_of_production_size(new_host: Callable[[int], Host]) -> None:
    host = new_host(0)
    for number in range(6):
        account = host.create_account()
        host.import_records(account, past_records(Random(number), 8_000))
    start = len(host.frames)
    Traffic([host], "seed").run(400)
    bodies: list[dict[str, Any]] = [unlink(decode_pair(message.frame)[1]) for message in host.frames[start:]]
    sizes = [len(message.frame) for message, body in zip(host.frames[start:], bodies, strict=True) if "ops" in body]
    blocks = [len(read_car(body["blocks"])[1]) for body in bodies if "ops" in body]
    mean = sum(sizes) / len(sizes)
    assert 4_500 < mean < 6_000
    mean_blocks = sum(blocks) / len(blocks)
    assert 9 < mean_blocks < 12
