"""Streams recorded from the simulated network once and kept, with the DID documents of their accounts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random

from edgerelay_dev.network import NetworkProcess, SimulatedNetwork
from edgerelay_dev.network.recording import Recorder, read_recording
from edgerelay_dev.network.repository import Create, Record
from edgerelay_dev.offline.checkout import Checkout

__all__ = ["documents_of", "network_of", "production_recording", "replay_of", "shortened", "strangers_recording"]

LENGTH_BYTES = 4
CREATED_AT = "2026-11-23T00:00:00.000Z"


def documents_of(recording: Path) -> Path:
    """Where the DID documents of its accounts are."""
    return Path(f"{recording}.plc.json")


def replay_of(recording: Path, *options: str) -> list[str]:
    """The arguments of a network of one host that replays a recording, and a directory that knows its accounts."""
    return ["--hosts", "0", "--replay", str(recording), "--replay-documents", str(documents_of(recording)), *options]


@contextmanager
def network_of(recording: Path, *options: str) -> Iterator[NetworkProcess]:
    """A network of its own for each recording: the documents of an account name one host."""
    with NetworkProcess(replay_of(recording, *options)) as network:
        yield network


def production_recording(events: int) -> Path:
    """Return a recording of so many events and those that open the accounts; takes a minute when there is none yet."""
    with _kept(f"production-{events}") as (path, partial):
        if partial is not None:
            print(f"recording {events} production-shaped events, once", flush=True)
            command = [sys.executable, "-m", "edgerelay_dev.network", "--production", "--exit"]
            command += ["--events", str(events), "--record", str(partial)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def strangers_recording(accounts: int, events: int) -> Path:
    """Return a recording of accounts that have been there before it begins: each writes once, in any order, and then
    whoever comes. Takes a minute or two when there is none yet."""
    with _kept(f"strangers-{accounts}-{events}") as (path, partial):
        if partial is not None:
            print(f"recording {events} events of {accounts} accounts, once", flush=True)
            _record_strangers(partial, accounts, events)
    return path


def _record_strangers(path: Path, accounts: int, events: int) -> None:
    network, random = SimulatedNetwork("strangers"), Random("strangers")
    (host,) = network.hosts
    host.url = "http://localhost"
    everybody = [host.create_account() for _ in range(accounts)]
    writers = random.sample(everybody, accounts) + random.choices(everybody, k=events - accounts)
    with path.open("wb") as file:
        host.listeners.append(Recorder(file))
        for account in writers:
            key = host.next_tid(account)
            record: Record = {"$type": "app.bsky.feed.post", "createdAt": CREATED_AT, "text": key}
            host.commit(account, Create(f"app.bsky.feed.post/{key}", record))
    network.directory.save(documents_of(path))


@contextmanager
def _kept(name: str) -> Iterator[tuple[Path, Path | None]]:
    """The path of a recording; and of what is to be recorded, if it is not there yet."""
    folder = Checkout.of_this_file().cache / "recordings"
    path, partial = folder / f"{name}.bin", folder / f"{name}.partial"
    if path.exists() and documents_of(path).exists():
        yield path, None
        return
    folder.mkdir(parents=True, exist_ok=True)
    yield path, partial
    documents_of(partial).rename(documents_of(path))
    partial.rename(path)


def shortened(recording: Path, frames: int, folder: Path) -> Path:
    """Write the first frames of a recording into a folder."""
    path = folder / f"{recording.stem}-first-{frames}.bin"
    with path.open("wb") as file:
        for frame in islice(read_recording(recording), frames):
            file.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    shutil.copyfile(documents_of(recording), documents_of(path))
    return path
