"""Relays on workerd for tests: started with settings, asked for their state, told to rehearse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.offline.workerd import RelayProcess
from tests.e2e.subscriber import wait_until

__all__ = ["FORGETFUL", "Relay", "upstream_settings"]

ANSWER_LIMIT_S = 20.0
START_LIMIT_S = 60.0
FORGETFUL = {
    "RING_BYTES": "1000000",
    "LOG_STOP_BYTES": "2000000",
    "LOG_MIN_MINUTES": "0",
    "SEAL_S": "1",
    "CHECKPOINT_S": "5",
    "ALARM_S": "5",
}
"""Settings with which readers of a ring and a log of a few megabytes are in the archive soon."""

Json = dict[str, Any]


def upstream_settings(background: NetworkThread, host: int = 0) -> dict[str, str]:
    """What makes a relay read a host of a simulated network from its oldest event, and ask its directory."""
    upstream = background.call(lambda network: network.hosts[host].ws_url)
    return {"UPSTREAM": upstream, "UPSTREAM_START": "oldest", "PLC_URL": background.network.plc_url}


class Relay(RelayProcess):
    """A relay with the endpoints that tests use."""

    def __init__(self, state_dir: Path, settings: Mapping[str, str], log_path: Path | None = None) -> None:
        super().__init__(state_dir, vars={"REHEARSAL": "on", **settings}, log_path=log_path)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, Json]:
        """The status and the JSON body of an answer, whatever the status."""
        request = Request(self.url + path, method=method, headers=dict(headers or {}))
        try:
            with urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"{}")

    def state(self) -> Json:
        """What `/state` says; it is published once a second."""
        status, state = self.get("/state")
        assert status == 200, state
        return state

    def upstream(self) -> Json:
        """The part of the state about the host."""
        upstream: Json = self.state()["upstream"]
        return upstream

    def forgotten_up_to(self) -> int:
        """Everything up to this number is in the archive only."""
        return int(self.state()["hot_log"]["missing_up_to"])

    def rehearse(self, action: str, argument: str = "") -> str:
        """Ask RelayState for something that only tests may ask for; returns what it says."""
        with urlopen(f"{self.url}/rehearsal/{action}?argument={quote(argument)}", timeout=ANSWER_LIMIT_S) as answer:
            assert answer.status == 200
            text: str = answer.read().decode()
            return text

    def wait_live(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait until the host is subscribed to."""
        wait_until(lambda: self.upstream()["state"] == "live", limit_s, "upstream live")

    def crash(self) -> None:
        """Kill the Worker's process, and wait until it is back."""
        self.kill_workerd()
        self.wait_until_answering(START_LIMIT_S)
