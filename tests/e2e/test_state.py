"""State that outlives the code, storage that refuses, objects that end alone, settings that are wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from edgerelay.runtime.schema import MIGRATIONS, SCHEMA_VERSION
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_arrived, seen, wait_until

ARRIVE_LIMIT_S = 60.0
DISK_MB = 12


@pytest.fixture
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="state", accounts=5)) as network:
        yield network


def settings(background: NetworkThread, **more: str) -> dict[str, str]:
    return {**upstream_settings(background), "BACKOFF_CAP_S": "2", **more}


def emitted(background: NetworkThread) -> list[Seen]:
    return [seen(each.frame) for each in background.call(lambda network: list(network.hosts[0].frames))]


def expect(subscriber: Subscriber, events: list[Seen]) -> None:
    subscriber.wait_for(len(events), ARRIVE_LIMIT_S)
    check_arrived(subscriber.events, events)


def database(state_dir: Path) -> Path:
    """The SQLite file of RelayState."""
    for path in state_dir.rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return path
    raise AssertionError(f"no state of RelayState in {state_dir}")


class TestSchema:
    def test_an_older_state_is_brought_forward(self, tmp_path: Path, background: NetworkThread) -> None:
        """What version 1 wrote, with its log, goes on in this version: nothing lost, nothing twice."""
        with Relay(tmp_path, settings(background)) as relay, Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, emitted(background))
            before = subscriber.seqs
        with closing(sqlite3.connect(database(tmp_path))) as connection:
            make_version_1(connection)
        background.call(lambda network: network.traffic.run(20))
        with Relay(tmp_path, settings(background)) as relay, Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, emitted(background))
            assert subscriber.seqs[: len(before)] == before
            assert relay.state()["storage"]["schema_version"] == SCHEMA_VERSION

    def test_a_newer_state_is_refused_and_left_alone(self, tmp_path: Path, background: NetworkThread) -> None:
        with Relay(tmp_path, settings(background)) as relay:
            relay.wait_live()
        path = database(tmp_path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (SCHEMA_VERSION + 1,))
            connection.commit()
            content = list(connection.iterdump())
        with Relay(tmp_path, settings(background)) as relay:
            status, body = relay.get("/health")
            assert status == 503
            assert f"schema version {SCHEMA_VERSION + 1}" in body["message"]
        with closing(sqlite3.connect(path)) as connection:
            ours = [line for line in connection.iterdump() if "_cf_" not in line]
        assert ours == [line for line in content if "_cf_" not in line]


def make_version_1(connection: sqlite3.Connection) -> None:
    """Undo what the later steps added: as the first version left it."""
    for step in MIGRATIONS[1:]:
        for statement in step:
            if statement.startswith("CREATE TABLE"):
                connection.execute(f"DROP TABLE {statement.split()[2]}")
    connection.execute("UPDATE meta SET value = 1 WHERE key = 'schema_version'")
    connection.commit()


class TestObjects:
    def test_relay_state_ends_alone(self, tmp_path: Path, background: NetworkThread) -> None:
        """The readers' sockets stay open; what they read goes on where it stopped."""
        with Relay(tmp_path, settings(background)) as relay, Subscriber(relay.ws_url, 0) as subscriber:
            expect(subscriber, emitted(background))
            for _ in range(3):
                started_us = relay.state()["started_us"]
                relay.rehearse("abort")
                background.call(lambda network: network.traffic.run(20))
                wait_until(
                    lambda started_us=started_us: relay.state()["started_us"] > started_us,  # type: ignore[misc]
                    ARRIVE_LIMIT_S,
                    "a new RelayState",
                )
                expect(subscriber, emitted(background))


class TestSettings:
    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"FLUSH_MS": "soon"}, "FLUSH_MS"),
            ({"FLUSH_MS": "0"}, "FLUSH_MS"),
            ({"VERIFY": "maybe"}, "VERIFY"),
            ({"UPSTREAM": "https://example.com"}, "UPSTREAM"),
            ({"FLUSHMS": "40"}, "FLUSHMS"),
        ],
    )
    def test_a_wrong_one_refuses_by_name(self, tmp_path: Path, wrong: dict[str, str], named: str) -> None:
        with Relay(tmp_path, wrong) as relay:
            status, body = relay.get("/health")
            assert (status, body["error"]) == (503, "SettingsError")
            assert named in body["message"]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes; skips where none can be mounted."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class TestStorage:
    def test_a_full_disk_is_named_and_loses_nothing(self, tmp_path: Path, background: NetworkThread) -> None:
        with ExitStack() as stack:
            disk = stack.enter_context(small_disk(tmp_path / "disk"))
            relay = stack.enter_context(Relay(disk, settings(background), log_path=tmp_path / "relay.log"))
            subscriber = stack.enter_context(Subscriber(relay.ws_url, 0))
            expect(subscriber, emitted(background))
            ballast = disk / "ballast"
            fill(ballast)
            background.call(lambda network: network.traffic.run(400))
            wait_until(lambda: "disk is full" in problems(relay), ARRIVE_LIMIT_S, "the full disk is named")
            ballast.unlink()
            expect(subscriber, emitted(background))
            assert subscriber.seqs == sorted(set(subscriber.seqs))


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError:
            return


def problems(relay: Relay) -> str:
    """What `/health` says is wrong, or the refusal itself."""
    try:
        return str(relay.get("/health")[1])
    except OSError:
        return ""
