"""A relay on workerd: it starts, dies in every way, and comes back on the same state and port."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerelay_dev.offline.processes import running
from edgerelay_dev.offline.workerd import RelayProcess, StartError


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("state"), vars={"VERIFY": "trusted"}) as process:
        yield process


@pytest.fixture(autouse=True)
def started(relay: RelayProcess) -> None:
    """Have the relay run, whatever the test before did to it."""
    if not relay.pids:
        relay.start()


def state(url: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{url}/state", timeout=10) as response:
        answer: dict[str, object] = json.load(response)
        return answer


def test_it_answers_through_the_proxy_and_past_it(relay: RelayProcess) -> None:
    assert relay.url != relay.worker_url
    assert state(relay.url)["verify"] == state(relay.worker_url)["verify"] == "trusted"


def test_a_killed_relay_leaves_no_process(relay: RelayProcess) -> None:
    pids = relay.pids
    assert relay.worker_pid in pids
    relay.kill()
    assert running(pids) == []
    assert relay.pids == []


def test_a_stopped_relay_leaves_no_process(relay: RelayProcess) -> None:
    pids = relay.pids
    relay.stop()
    assert running(pids) == []


def test_a_restarted_relay_has_the_port_and_the_state_of_before(relay: RelayProcess) -> None:
    url, folders = relay.url, sorted(relay.state_dir.glob("v3/do/*"))
    assert folders, "the relay stored nothing: this test would prove nothing"
    relay.restart()
    assert relay.url == url
    assert sorted(relay.state_dir.glob("v3/do/*")) == folders
    assert state(url)["verify"] == "trusted"


def test_only_the_worker_dies_and_comes_back_by_itself(relay: RelayProcess) -> None:
    before = relay.pids
    worker = relay.worker_pid
    relay.kill_workerd()
    relay.wait_until_answering()
    assert relay.worker_pid not in (None, worker)
    assert set(before) - set(relay.pids) == {worker}


def test_a_second_relay_on_the_same_state_is_refused(relay: RelayProcess) -> None:
    with pytest.raises(StartError, match="another relay runs on the state"):
        RelayProcess(relay.state_dir).start()
    assert state(relay.url)["verify"] == "trusted"


def test_a_relay_that_cannot_start_says_why(relay: RelayProcess, tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        RelayProcess(tmp_path, port=relay.port).start()
    assert str(relay.port) in str(caught.value)
