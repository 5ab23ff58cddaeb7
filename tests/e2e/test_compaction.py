"""The archive over hours: groups become segments of both streams, and readers see the same before, meanwhile and after.

Hours pass by a shift of the relay's clock.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgerelay.archive.block import MAX_RAW_BYTES, SealedBlock, unseal
from edgerelay.archive.jetstream import render
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.archive.quarantine import quarantine_key
from edgerelay.runtime.archive_reader import ArchiveReader
from edgerelay.runtime.hour_index import names_below
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay_dev.brotli_codec import BrotliCodec
from edgerelay_dev.cli import main
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.operator.simulator_objects import SimulatorObjects
from tests.coroutines import finished
from tests.e2e.exports import exported_frames
from tests.e2e.jetstream_reader import check_lines, query_of, read_lines
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Subscriber, wait_until

TOKEN = "the operator's"
SETTINGS = {
    "ADMIN_TOKEN": TOKEN,
    "RING_BYTES": "1000000",
    "LOG_STOP_BYTES": "1000000",
    "LOG_MIN_MINUTES": "0",
    "SEAL_S": "1",
    "CHECKPOINT_S": "5",
    "ALARM_S": "5",
    "RETENTION_DAYS": "1",
}
EVENTS = 1_500
RATE = 300
KILLS = 5
LIMIT_S = 120.0
STRIKE_POLL_S = 0.002
"""Between two looks into the bucket, from outside, for the moment in which the Worker is to be killed."""

# Seconds by which the clock is shifted: an hour and more behind the events; when what was joined may go; and when all
# of it has outlived what is kept, and one day more.
CLOSED_S, SPARED_S, OUTLIVED_S = 4_000, 5_000, 200_000


def asked(relay: Relay, action: str, argument: str = "") -> Any:
    return json.loads(relay.rehearse(action, argument))


def keys(relay: Relay, folder: str) -> list[str]:
    found: list[str] = asked(relay, "objects", f"{folder}/")
    return found


def figures(relay: Relay) -> dict[str, int]:
    """What the cron has told of the archive; a snapshot may be a second old."""
    told: dict[str, int] = relay.state()["archive"]["segments"]
    return told


def keep_and_kill(relay: Relay, kills: int) -> None:
    """Begin what is done every minute, and kill it, each time a little later; then let it come to its end."""
    for number in range(kills):
        with ThreadPoolExecutor(1) as background:
            keeping = background.submit(relay.fire_cron)
            with suppress(TimeoutError):
                keeping.result(timeout=0.1 * (number + 1))
            relay.crash()
            keeping.exception()
    relay.fire_cron()


def read_all(relay: Relay, count: int) -> list[tuple[int, bytes]]:
    with Subscriber(relay.ws_url, 10**15) as reader:
        reader.wait_for(count, LIMIT_S)
        assert not reader.errors
        return [(event.seq, event.raw) for event in reader.events]


def check_operators_view(state_dir: Path, seen: list[tuple[int, bytes]]) -> None:
    """Whatever lies beside each other, the archive is whole, and has each event once."""
    assert main(["segments", "verify", "--state-dir", str(state_dir)]) == 0
    assert exported_frames(state_dir, state_dir / "exported") == [raw for _, raw in seen]


def lines_in(state_dir: Path) -> list[bytes]:
    """All lines of the bucket, as a reader finds them."""
    codec, folder = BrotliCodec(), Folder.JETSTREAM

    def load(block: SealedBlock) -> tuple[int, bytes]:
        return block.facts.contents.last_seq, unseal(block, {codec.id: codec})

    with SimulatorObjects(state_dir) as objects:
        reader, cursor, lines = ArchiveReader(objects, load, folder, folder), 1, b""
        while (found := finished(reader.find(cursor))) is not None:
            cursor, lines = found[0] + 1, lines + found[1]
    return lines.splitlines()


def errors_in(relay: Relay) -> set[str]:
    """The errors of which the whole log tells."""
    return set(re.findall(r'"level": "error".*"event": "([a-z_]+)"', relay.log_path.read_text()))


def damage(state_dir: Path, key: str) -> None:
    """Change a bit of the first block of an object, in the folder where the simulator keeps its bytes."""
    with SimulatorObjects(state_dir) as objects:
        data = finished(objects.read(key, 0, MAX_RAW_BYTES))
    (path,) = [path for path in state_dir.glob("v3/r2/*/blobs/*") if path.read_bytes() == data]
    path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])


class Point(NamedTuple):
    """A moment in the life of an archive, as its bucket shows it."""

    name: str
    is_reached: Callable[[list[str]], bool]

    @classmethod
    def put(cls, what: str, *, but: Iterable[str] = ()) -> Point:
        """The first object of a folder is there, besides these."""
        before = set(but)
        return cls(f"{what} is put", lambda names: any(name.startswith(what) and name not in before for name in names))

    @classmethod
    def delete(cls, folder: str, before: Collection[str]) -> Point:
        """The first of these objects of a folder is gone."""
        own = {name for name in before if name.startswith(f"{folder}/")}
        return cls(f"{folder} is taken away", lambda names: not own <= set(names))


def bucket_names(state_dir: Path) -> list[str]:
    """Everything in the bucket; nothing before there is one."""
    try:
        with SimulatorObjects(state_dir) as objects:
            return finished(names_below(objects, ""))
    except ObjectStoreError:
        return []


def strike(relay: Relay, point: Point) -> None:
    """Kill the Worker in the moment in which a point is reached, or a few milliseconds later."""
    deadline = time.monotonic() + LIMIT_S
    while not point.is_reached(bucket_names(relay.state_dir)):
        assert time.monotonic() < deadline, point.name
        time.sleep(STRIKE_POLL_S)
    relay.crash()


def work_and_strike(relay: Relay, work: Callable[[], object], points: Iterable[Point]) -> None:
    """Let the Worker do something, killed at one point after the other; then once to its end."""
    with ThreadPoolExecutor(1) as background:
        for point in points:
            working = background.submit(work)
            strike(relay, point)
            working.exception()
    work()


class Rig:
    """A relay that has archived what a host sent, and what a reader saw of it live."""

    def __init__(self, stack: ExitStack, state_dir: Path, strikes: Sequence[Point] = ()) -> None:
        """`strikes` are points at which the Worker is killed while the host sends."""
        network = stack.enter_context(NetworkThread(SimulatedNetwork(seed="hours", accounts=20)))
        self.relay = stack.enter_context(Relay(state_dir, {**upstream_settings(network), **SETTINGS}))
        self.relay.wait_live()
        with Subscriber(self.relay.ws_url, 10**15) as live:
            network.call(lambda network: network.start_traffic(RATE))
            for point in strikes:
                strike(self.relay, point)
            wait_until(lambda: len(network.network.hosts[0].frames) >= EVENTS, LIMIT_S, "events")
            network.wait_for(network.network.stop_traffic())
            live.wait_for(len(network.network.hosts[0].frames), LIMIT_S)
            self.seen = [(event.seq, event.raw) for event in live.events]
        wait_until(lambda: self.relay.state()["archive"]["waiting_bytes"] == 0, LIMIT_S, "everything is archived")
        self.groups = keys(self.relay, "groups")
        if not strikes:  # the simulated queue forgets what it has when the Worker is killed
            wait_until(lambda: len(keys(self.relay, "jetstream")) == len(self.groups), LIMIT_S, "lines of every group")

    def lines(self) -> list[bytes]:
        """The lines of all that was seen."""
        return [line.json for _, frame in self.seen for line in render(frame).lines]

    def shift(self, seconds: int) -> None:
        """Start the relay again with another clock. No host is read any more: its clock would be another."""
        self.relay.stop()
        self.relay.vars |= {"REHEARSAL_CLOCK_S": str(seconds), "UPSTREAM": ""}
        self.relay.start()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, tmp_path)


@pytest.mark.timeout(600)
def test_hours_pass_and_a_full_replay_is_what_was_read_live(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, seen = rig.relay, rig.seen
    assert len(rig.groups) > 2
    asked(relay, "send", '{"version":7}')
    wait_until(lambda: bool(keys(relay, "dead")), LIMIT_S, "what nobody understands is kept")

    rig.shift(CLOSED_S)
    keep_and_kill(relay, KILLS)
    assert len(keys(relay, "firehose")) < len(rig.groups)
    assert keys(relay, "groups") == rig.groups
    wait_until(lambda: figures(relay)["newest_seq"] == seen[-1][0], LIMIT_S, "figures")
    assert read_all(relay, len(seen)) == seen
    check_operators_view(tmp_path, seen)

    rig.shift(SPARED_S)
    with Subscriber(relay.ws_url, seen[0][0]) as slow:
        slow.wait_for(1, LIMIT_S)
        keep_and_kill(relay, KILLS)
        slow.wait_for(len(seen), LIMIT_S)
    assert keys(relay, "groups") == []
    assert read_all(relay, len(seen)) == seen
    check_operators_view(tmp_path, seen)
    kept = keys(relay, "firehose") + keys(relay, "jetstream")
    assert sorted(asked(relay, "rows")) == sorted(kept)
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    assert main(["reindex", relay.url]) == 0
    assert sorted(asked(relay, "rows")) == sorted(kept)
    assert errors_in(relay) <= {"hot_log_full", "dead_letter"}, "nothing but a full log and the foreign message"
    relay.stop()
    assert lines_in(tmp_path) == rig.lines()

    rig.shift(OUTLIVED_S)
    asked(relay, "sweep")
    assert [key for key in asked(relay, "objects") if key.endswith(".ers")] == []
    assert keys(relay, "manifests") == keys(relay, "dead") == []
    assert asked(relay, "rows") == {}


@pytest.mark.timeout(600)
def test_killed_at_every_step_of_the_archive_it_loses_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        rig = Rig(stack, tmp_path, [Point.put("groups"), Point.put("jetstream")])
        relay, seen = rig.relay, rig.seen
        rig.shift(CLOSED_S)
        before = bucket_names(tmp_path)
        steps = [Point.put(folder, but=before) for folder in ("firehose", "jetstream", "manifests", "catalog")]
        work_and_strike(relay, relay.fire_cron, steps)
        assert read_all(relay, len(seen)) == seen
        check_operators_view(tmp_path, seen)

        rig.shift(SPARED_S)
        before = bucket_names(tmp_path)
        work_and_strike(relay, relay.fire_cron, [Point.delete(folder, before) for folder in ("jetstream", "groups")])
        assert keys(relay, "groups") == []
        assert read_all(relay, len(seen)) == seen
        check_operators_view(tmp_path, seen)
        assert lines_in(tmp_path) == rig.lines()

        rig.shift(OUTLIVED_S)
        sweep = partial(asked, relay, "sweep")
        work_and_strike(relay, sweep, [Point.delete("firehose", bucket_names(tmp_path))])
        assert [name for name in bucket_names(tmp_path) if name.endswith(".ers")] == []


@pytest.mark.timeout(400)
def test_a_damaged_group_stays_where_it_is_and_the_others_are_joined(rig: Rig, tmp_path: Path) -> None:
    relay, bad = rig.relay, rig.groups[len(rig.groups) // 2]
    relay.stop()
    damage(tmp_path, bad)
    for seconds in (CLOSED_S, SPARED_S):
        rig.shift(seconds)
        relay.fire_cron()
    assert keys(relay, "groups") == [bad]
    assert len(keys(relay, "firehose")) >= 2
    assert keys(relay, "quarantine") == [quarantine_key(ObjectName.parse(bad))]
    wait_until(lambda: figures(relay)["quarantined"] == 1, LIMIT_S, "figures")
    relay.stop()
    assert lines_in(tmp_path) == rig.lines()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("compress", ["false", "true"])
def test_readers_of_jetstream_get_the_lines_that_lie_there_and_need_no_frames(
    rig: Rig, tmp_path: Path, compress: str
) -> None:
    relay, expected = rig.relay, [line.decode() for line in rig.lines()]
    for seconds in (CLOSED_S, SPARED_S):
        rig.shift(seconds)
        relay.fire_cron()
    assert keys(relay, "groups") == []
    segments = keys(relay, "firehose")
    relay.stop()
    for key in segments:
        damage(tmp_path, key)
    relay.start()
    query = query_of(cursor=rig.seen[0][0], compress=compress)
    check_lines(read_lines(relay, len(expected), query), expected)
    assert "archive_damaged" not in relay.log_path.read_text()
