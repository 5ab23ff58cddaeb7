from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from edgerelay_dev.network.background import NetworkProcess, NetworkThread
from edgerelay_dev.network.network import SimulatedNetwork
from edgerelay_dev.network.reader import FrameReader, StreamClosed


class TestThread:
    def test_calls_run_on_the_networks_loop(self) -> None:
        with NetworkThread(SimulatedNetwork(accounts=2)) as thread:
            loops = {thread.call(lambda _: asyncio.get_running_loop()) for _ in range(2)}
            assert loops == {thread._loop}
            thread.call(lambda network: network.traffic.run(10))
            host = thread.network.hosts[0]
            with FrameReader(host.ws_url, 0) as reader:
                assert [reader.read() for _ in host.frames] == [message.frame for message in host.frames]

    def test_errors_come_back_to_the_caller(self) -> None:
        with NetworkThread(SimulatedNetwork(accounts=1)) as thread, pytest.raises(ValueError, match="no such fault"):
            thread.call(lambda network: network.hosts[0].faults.set(nonsense=1))

    def test_leaving_cuts_readers(self) -> None:
        with NetworkThread(SimulatedNetwork(accounts=1)) as thread:
            reader = FrameReader(thread.network.hosts[0].ws_url)
        with pytest.raises(StreamClosed):
            reader.read()


class TestProcess:
    """Also the tests of the command and of the control endpoint as others meet them."""

    def test_command_says_where_it_listens_and_obeys(self) -> None:
        with NetworkProcess(["--hosts", "2", "--accounts", "4"]) as process:
            state = process.get()
            assert [host["newest"] for host in state["hosts"]] == [8, 8]
            did = next(iter(state["hosts"][0]["accounts"]))
            with urlopen(f"{process.plc_url}/{did}", timeout=5) as answer:
                assert json.load(answer)["id"] == did
            with FrameReader(process.ws_url(1), 8) as reader:
                assert process.post("/hosts/1/inject", name="not_cbor") == {"result": 9}
                assert reader.read().startswith(b"\xff")
                assert process.post("/hosts/1/drop") == {"result": 1}
                with pytest.raises(StreamClosed):
                    reader.read()
            with pytest.raises(HTTPError, match="400"):
                process.post("/hosts/1/nonsense")

    def test_command_records_and_replays(self, tmp_path: Path) -> None:
        path = tmp_path / "stream.bin"
        with NetworkProcess(["--accounts", "2", "--events", "30", "--record", str(path), "--exit"]) as process:
            process._process.wait(10)
        replay = ["--hosts", "0", "--replay", str(path), "--replay-documents", f"{path}.plc.json", "--replay-loop"]
        with NetworkProcess(replay) as process, FrameReader(process.ws_url()) as reader:
            frames = [reader.read() for _ in range(200)]
            assert b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames).startswith(path.read_bytes())

    def test_command_that_cannot_start_is_an_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(RuntimeError, match="did not start"), NetworkProcess(["--nonsense"]):
            pass
        assert "--nonsense" in capfd.readouterr().err
