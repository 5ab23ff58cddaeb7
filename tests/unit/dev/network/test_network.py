from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.clock import SteppingClock
from edgerelay_dev.network.network import SimulatedNetwork
from edgerelay_dev.network.reader import FrameReader
from edgerelay_dev.network.recording import Recorder
from tests.unit.dev.network.conftest import START_US


async def read_all(ws_url: str, count: int) -> list[bytes]:
    def run() -> list[bytes]:
        with FrameReader(ws_url, 0) as reader:
            return [reader.read() for _ in range(count)]

    return await asyncio.to_thread(run)


def get_json(url: str) -> Any:
    with urlopen(url, timeout=5) as answer:
        return json.load(answer)


async def test_readers_get_exactly_what_hosts_emitted() -> None:
    async with SimulatedNetwork("network", hosts=2, accounts=5) as network:
        network.traffic.run(200)
        assert [len(host.accounts) for host in network.hosts] == [3, 2]
        for host in network.hosts:
            assert await read_all(host.ws_url, len(host.frames)) == [message.frame for message in host.frames]


async def test_directory_answers_for_every_account() -> None:
    async with SimulatedNetwork("network", hosts=2, accounts=4) as network:
        for host in network.hosts:
            for did, account in host.accounts.items():
                document = await asyncio.to_thread(get_json, f"{network.plc_url}/{did}")
                assert document["service"][0]["serviceEndpoint"] == host.url
                assert document["verificationMethod"][0]["publicKeyMultibase"] == account.key.multikey


async def test_same_seed_and_clock_give_the_same_bytes() -> None:
    async def story() -> list[bytes]:
        clock = SteppingClock(START_US)
        async with SimulatedNetwork(7, hosts=2, accounts=4, records=50, clock=clock) as network:
            network.traffic.run(100)
            return [message.frame for host in network.hosts for message in host.frames]

    assert await story() == await story()


async def test_records_from_the_beginning_are_told_by_a_sync() -> None:
    async with SimulatedNetwork(accounts=1, records=30) as network:
        (host,) = network.hosts
        (account,) = host.accounts.values()
        assert len(account.repository.records) == 30
        assert decode_pair(host.frames[-1].frame)[0] == {"t": "#sync", "op": 1}


async def test_traffic_flows_until_it_is_stopped() -> None:
    async with SimulatedNetwork(accounts=2) as network:
        network.start_traffic()
        await network.hosts[0].log.wait(network.hosts[0].log.newest)
        await network.stop_traffic()
        emitted = network.traffic.emitted
        await asyncio.sleep(0.01)
        assert network.traffic.emitted == emitted


async def test_what_goes_wrong_in_traffic_is_told_at_once_and_raised_when_it_is_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = SimulatedNetwork(accounts=1)
    await network.start()
    network.hosts[0].accounts.clear()
    network.start_traffic()
    await asyncio.sleep(0.01)
    assert "traffic ended" in caplog.text
    with pytest.raises(IndexError):
        await network.stop()
    await network.stop()


async def test_recording_is_replayed_with_its_documents(tmp_path: Path) -> None:
    path = tmp_path / "recording.bin"
    async with SimulatedNetwork(accounts=2) as network:
        with path.open("wb") as file:
            network.hosts[0].listeners.append(Recorder(file))
            network.traffic.run(50)
        recorded = [message.frame for message in network.hosts[0].frames[8:]]
        network.directory.save(tmp_path / "plc.json")
    async with SimulatedNetwork(hosts=0) as network:
        host = await network.add_replay(path, documents=tmp_path / "plc.json")
        assert network.served == [host]
        assert await read_all(host.ws_url, len(recorded)) == recorded
        documents = network.directory.documents.values()
        assert {document["service"][0]["serviceEndpoint"] for document in documents} == {host.url}


async def test_hosts_can_start_at_a_higher_number() -> None:
    async with SimulatedNetwork(accounts=1, first_seq=1_000) as network:
        assert [message.seq for message in network.hosts[0].frames] == [1_000, 1_001, 1_002, 1_003]


async def test_ports_and_name_can_be_chosen() -> None:
    async with SimulatedNetwork(hosts=0, hostname="127.0.0.1") as free:
        port = int(free.plc_url.rsplit(":", 1)[1])
    async with SimulatedNetwork(hosts=0, hostname="127.0.0.1", base_port=port) as network:
        assert network.plc_url == f"http://127.0.0.1:{port}"


async def test_legacy_documents_can_be_asked_for() -> None:
    async with SimulatedNetwork(accounts=1, legacy_documents=True) as network:
        (document,) = network.directory.documents.values()
        assert document["verificationMethod"][0]["id"] == "#atproto"
