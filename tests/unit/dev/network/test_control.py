from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgerelay_dev.network.control import HOST_ACTIONS, Control
from edgerelay_dev.network.malformed import MALFORMED
from edgerelay_dev.network.network import SimulatedNetwork
from edgerelay_dev.network.server import Request


@pytest.fixture
async def network() -> AsyncIterator[SimulatedNetwork]:
    async with SimulatedNetwork("control", hosts=2, accounts=2) as network:
        yield network


async def command(network: SimulatedNetwork, path: str, **arguments: object) -> Any:
    request = Request("POST", path, {}, {}, json.dumps(arguments).encode())
    answer = await Control(network).answer(request)
    body = json.loads(answer.body)
    return body["result"] if answer.status == 200 else (answer.status, body["error"])


async def describe(network: SimulatedNetwork, path: str = "/") -> Any:
    return json.loads((await Control(network).answer(Request("GET", path, {}, {}, b""))).body)


async def test_state_names_hosts_and_accounts(network: SimulatedNetwork) -> None:
    state = await describe(network)
    assert [host["url"] for host in state["hosts"]] == [host.url for host in network.hosts]
    assert [host["newest"] for host in state["hosts"]] == [4, 4]
    assert [*state["hosts"][0]["accounts"].values()] == ["active"]
    assert state["plc"] == {"url": network.plc_url, "lookups": 0, "dids": 0}


async def test_kinds_of_malformed_frames_are_listed(network: SimulatedNetwork) -> None:
    kinds = await describe(network, "/malformed")
    assert {*kinds} == {*MALFORMED}
    assert kinds["high_s"] == {"description": MALFORMED["high_s"].description, "fate": "reject"}


async def test_every_host_action_can_be_called(network: SimulatedNetwork) -> None:
    arguments: dict[str, dict[str, object]] = {
        "send_error": {"name": "FutureCursor"},
        "send_info": {"name": "OutdatedCursor"},
        "send_text": {"text": "text"},
        "forget": {"count": 1},
        "skip": {"count": 5},
        "inject": {"name": "high_s"},
        "create_account": {"curve": "p256"},
        "change_handle": {"handle": "new.test"},
        "rotate_key": {"curve": "p256"},
        "set_status": {"status": "takendown"},
        "sync": {"fresh": True},
        "delete_account": {"purge": False},
    }
    host = network.hosts[0]
    (did,) = host.accounts
    for action in HOST_ACTIONS:
        about = {} if action in ("clear", "reset_sequence", "create_account", "forget", "skip") else {"did": did}
        about = {} if action.startswith("send_") else about
        newest = host.log.newest
        result = await command(network, f"/hosts/0/{action}", **arguments.get(action, {}), **about)
        assert not isinstance(result, tuple), (action, result)
        if isinstance(result, int):
            assert result > newest


async def test_faults_are_switched(network: SimulatedNetwork) -> None:
    await command(network, "/hosts/1/faults", stall=True, date_skew_s=1_200)
    assert (network.hosts[1].faults.stall, network.hosts[1].faults.date_skew_s) == (True, 1_200)
    assert await command(network, "/hosts/0/drop") == 0


async def test_directory_fails_and_heals(network: SimulatedNetwork) -> None:
    (did,) = network.hosts[0].accounts
    await command(network, "/plc/fail", did=did, status=500)
    assert (await network.directory.answer(Request("GET", f"/{did}", {}, {}, b""))).status == 500
    await command(network, "/plc/heal")
    assert (await network.directory.answer(Request("GET", f"/{did}", {}, {}, b""))).status == 200
    await command(network, "/plc/tombstone", did=did, status=404)
    assert (await network.directory.answer(Request("GET", f"/{did}", {}, {}, b""))).status == 404


async def test_account_moves(network: SimulatedNetwork) -> None:
    (did,) = network.hosts[0].accounts
    assert await command(network, "/hosts/0/move_account", did=did, target=1) == [5, 6, 7]
    assert did in network.hosts[1].accounts


async def test_traffic_is_made_and_paced(network: SimulatedNetwork) -> None:
    await command(network, "/emit", count=7)
    assert (await describe(network))["traffic"] == 7
    await command(network, "/traffic", rate="inf")
    await command(network, "/traffic", rate=1)
    await command(network, "/traffic", rate=0)
    assert network._flow is None


@pytest.mark.parametrize(
    ("path", "arguments", "error"),
    [
        ("/nonsense", {}, "KeyError"),
        ("/hosts/0/nonsense", {}, "KeyError"),
        ("/hosts/7/drop", {}, "IndexError"),
        ("/hosts/x/drop", {}, "ValueError"),
        ("/hosts/0/faults", {"nonsense": 1}, "ValueError"),
        ("/hosts/0/inject", {"name": "nonsense"}, "KeyError"),
        ("/emit", {"nonsense": 1}, "TypeError"),
    ],
)
async def test_wrong_commands_are_named(
    network: SimulatedNetwork, path: str, arguments: dict[str, object], error: str
) -> None:
    assert await command(network, path, **arguments) == (400, error)


async def test_unknown_page_is_named(network: SimulatedNetwork) -> None:
    assert (await describe(network, "/nonsense"))["error"] == "KeyError"
