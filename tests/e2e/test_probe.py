"""The probe sees what happens to a relay while it watches."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgerelay_dev.network.background import NetworkProcess
from tests.e2e.relays import Relay
from tests.e2e.subscriber import wait_until

RATE = 50
SEEN_LIMIT_S = 60.0


@pytest.mark.timeout(300)
def test_a_crash_is_seen_and_costs_the_stream_nothing(tmp_path: Path) -> None:
    with (
        NetworkProcess(["--rate", str(RATE)]) as network,
        Relay(tmp_path / "state", {"UPSTREAM": network.ws_url(), "PLC_URL": network.plc_url}) as relay,
        Probe(relay.url, tmp_path) as probe,
    ):
        probe.wait_for("the upstream is live")
        probe.wait_for("the stream is open")
        wait_for_more_events(relay)
        relay.crash()
        probe.wait_for("RelayState was constructed anew")
        probe.wait_for("the stream is back")
        probe.wait_for("the upstream is live", times=2)
        wait_for_more_events(relay)
    report = probe.report
    assert report["relay"]["verify"] == "strict"
    assert report["object"]["constructed_anew"] == 1
    assert report["upstream"]["sockets"] >= 2  # more if a busy machine keeps the directory waiting
    assert report["flush_ms"]["samples"] > 0
    assert report["connect_ms"]["samples"] >= 2
    stream = report["stream"]
    assert stream["whole"], stream
    assert stream["repeats"] > 0
    (cut,) = stream["cuts"]
    assert cut["before"]["started_us"] < cut["after"]["started_us"]


def wait_for_more_events(relay: Relay) -> None:
    """Three seconds' worth, behind a flush that was timed: enough for the probe to look, which it does each second."""
    wait_until(lambda: bool(relay.state()["flush_ms"]), SEEN_LIMIT_S, "a flush that was timed")
    before = relay.state()["events"]
    wait_until(lambda: relay.state()["events"] > before + 3 * RATE, SEEN_LIMIT_S, "more events")


class Probe:
    """The command as a process, interrupted at the end."""

    def __init__(self, url: str, folder: Path) -> None:
        self._out, self._log = folder / "report.json", folder / "probe.log"
        command = [sys.executable, "-m", "edgerelay_dev", "probe", url, "--watch", "--every", "1"]
        self._command = [*command, "--out", str(self._out)]

    def __enter__(self) -> Probe:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            assert self._process.wait(SEEN_LIMIT_S) == 0, self._log.read_text()
        finally:
            self._process.kill()

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._out.read_text())
        return report

    def wait_for(self, line: str, times: int = 1) -> None:
        wait_until(lambda: self._log.read_text().count(line) >= times, SEEN_LIMIT_S, line)
