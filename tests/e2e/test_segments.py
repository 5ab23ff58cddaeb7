"""What operators see of the archive of a relay that runs: the same events that its subscribers saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgerelay.archive.jetstream import render
from edgerelay_dev.cli import main
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.operator.simulator_objects import SimulatorObjects
from tests.coroutines import finished
from tests.e2e.exports import exported_frames
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, wait_until

EVENTS = 600
RATE = 200
LIMIT_S = 120.0
SETTINGS = {"SEAL_S": "1", "ALARM_S": "5"}


class Rig:
    """A relay that goes on running, what its bucket holds by now, and what a subscriber saw of that."""

    def __init__(self, stack: ExitStack, state_dir: Path) -> None:
        self.state_dir = state_dir
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="segments", accounts=10)))
        self.relay = stack.enter_context(Relay(state_dir, {**upstream_settings(background), **SETTINGS}))
        self.relay.wait_live()
        subscriber = stack.enter_context(Subscriber(self.relay.ws_url, 0))
        background.call(lambda network: network.start_traffic(RATE))
        subscriber.wait_for(EVENTS, LIMIT_S)
        background.wait_for(background.network.stop_traffic())
        emitted = background.call(lambda network: len(network.hosts[0].frames))
        subscriber.wait_for(emitted, LIMIT_S)
        self.seen: list[Seen] = list(subscriber.events)
        wait_until(self._is_archived, LIMIT_S, "all of it is in the bucket")

    def _is_archived(self) -> bool:
        return int(self.relay.state()["archive"]["archived_seq"]) >= self.seen[-1].seq

    def segments(self, *arguments: str) -> int:
        action, *others = arguments
        return main(["segments", action, "--state-dir", str(self.state_dir), *others])


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path_factory.mktemp("state"))


@pytest.mark.timeout(300)
def test_the_frames_are_those_that_a_subscriber_saw(rig: Rig, tmp_path: Path) -> None:
    assert exported_frames(rig.state_dir, tmp_path / "frames") == [each.raw for each in rig.seen]


@pytest.mark.timeout(300)
def test_the_lines_are_those_of_the_frames(rig: Rig, tmp_path: Path) -> None:
    out, middle = tmp_path / "lines", rig.seen[len(rig.seen) // 2]
    wanted = ["--since", str(middle.seq), "--did", middle.did]
    assert rig.segments("export", "--jsonl", "--out", str(out), *wanted) == 0
    frames = [each.raw for each in rig.seen if each.seq >= middle.seq and each.did == middle.did]
    assert out.read_bytes().splitlines() == [line.json for frame in frames for line in render(frame).lines]


@pytest.mark.timeout(300)
def test_it_is_whole_and_told_and_listed(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert rig.segments("verify") == 0
    assert capsys.readouterr().out.startswith("firehose: ")
    assert rig.segments("cat") == 0
    assert [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()] == [each.seq for each in rig.seen]
    with SimulatorObjects(rig.state_dir) as objects:
        groups = finished(objects.names("groups/"))
    assert rig.segments("ls") == 0
    listed = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert [key for key in listed if key.startswith("groups/")] == groups


@pytest.mark.timeout(300)
def test_a_cursor_leads_to_the_block_that_holds_it(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    cursor = rig.seen[len(rig.seen) // 2].seq
    assert main(["cursor", str(cursor), "--state-dir", str(rig.state_dir)]) == 0
    held = [line for line in capsys.readouterr().out.splitlines() if line.startswith("held by")]
    assert held
    for line in held:
        first, _, last = line.rpartition("events ")[2].partition(" to ")
        assert int(first) <= cursor <= int(last)


@pytest.mark.timeout(300)
def test_the_relay_does_not_notice(rig: Rig) -> None:
    archive = rig.relay.state()["archive"]
    assert (archive["failures"], archive["last_problem"]) == (0, "")


@pytest.mark.timeout(300)
def test_so_it_is_when_the_relay_was_killed(rig: Rig, tmp_path: Path) -> None:
    rig.relay.kill()
    assert exported_frames(rig.state_dir, tmp_path / "frames") == [each.raw for each in rig.seen]
