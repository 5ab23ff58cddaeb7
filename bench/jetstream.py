"""Measure Jetstream on the offline runtime: rendered live, replayed whole and filtered, and what lines take.

    python bench/jetstream.py

Prints one table. How to read it, and what it showed, is in README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zstandard
from heap import measure_heap
from ingest import memory
from recordings import production_recording, replay_of
from relay_runs import LIMIT_S, POLL_S, cpu_s, relay_on, wait_for_state
from replay import HOUR_US, filled_relay
from subscribers import Subscribers
from table import heading, load, row, target

from edgerelay.archive.jetstream import Line, render
from edgerelay.archive.jetstream_v2 import render_events
from edgerelay.archive.object_names import Folder, own_names
from edgerelay.runtime.hour_index import names_below
from edgerelay_dev.network import NetworkProcess
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.workerd import RelayProcess
from edgerelay_dev.operator.simulator_objects import SimulatorObjects

EVENTS = 20_000
MANY = 20
DICTIONARY = "src/worker/edgerelay/cloudflare/jetstream_v1.zdict"
LEVEL = 3
"""Of zstd: the Worker's."""

TARGET_RENDERED_PER_S = 5_000
TARGET_SCANNED_PER_S = 50_000
TARGET_DELIVERED_PER_S = 20_000


class Wanted(NamedTuple):
    """A filter of readers, and the lines that pass it."""

    name: str
    query: str
    passes: Callable[[Line], bool]


def filters_of(lines: list[Line]) -> list[Wanted]:
    """One collection of about twenty equal ones, a rare one, and the account of which there is least."""

    def collection(name: str, text: str) -> Wanted:
        return Wanted(text, f"wantedCollections={name}", lambda line: line.collection in ("", name))

    by_collection = Counter(line.collection for line in lines if line.collection)
    common = min(by_collection, key=lambda name: abs(by_collection[name] - len(lines) / 20))
    did = min(Counter(line.did for line in lines).items(), key=lambda pair: (pair[1], pair[0]))[0]
    return [
        collection(common, f"one of twenty: {common}, {by_collection[common] / len(lines):.1%}"),
        collection("app.example.rare", "a collection that nobody writes"),
        Wanted("one account", f"wantedDids={did}", lambda line: line.did == did),
    ]


def measure_live(network: NetworkProcess, query: str, readers: int, lines: int) -> tuple[float, float]:
    """Lines a second to each reader while the host sends as fast as it can; and microseconds of CPU for each event."""
    network.post("/hosts/0/faults", stall=True)
    with (
        relay_on(network, 0, "trusted") as relay,
        Subscribers(f"{relay.worker_url}/subscribe?{query}", readers) as everyone,
    ):
        before_s = cpu_s(relay.worker_pid)
        network.post("/hosts/0/faults", stall=False)
        seconds = everyone.read_until(lines, LIMIT_S)
        check(everyone, lines)
        return lines / seconds, (cpu_s(relay.worker_pid) - before_s) / lines * 1_000_000


def wait_for_lines(relay: RelayProcess, last_seq: int) -> None:
    """Wait until the lines of everything up to a number are archived, so that no replay has to render them."""
    deadline = time.monotonic() + LIMIT_S
    with SimulatorObjects(relay.state_dir) as objects:
        while newest_of_lines(objects) < last_seq:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no lines up to {last_seq} after {LIMIT_S:.0f} s")
            time.sleep(POLL_S)


def newest_of_lines(objects: SimulatorObjects) -> int:
    names = own_names(asyncio.run(names_below(objects, f"{Folder.JETSTREAM}/")))
    return max([name.last_seq for name in names], default=0)


def measure_replay(relay: RelayProcess, path: str, readers: int, messages: int) -> float:
    """Seconds from the request to the last message of each."""
    started = time.monotonic()
    with Subscribers(f"{relay.worker_url}{path}", readers) as everyone:
        everyone.read_until(messages, LIMIT_S)
        check(everyone, messages)
    return time.monotonic() - started


def check(everyone: Subscribers, expected: int) -> None:
    if set(everyone.messages) != {expected}:
        raise AssertionError(f"{expected} lines became {set(everyone.messages)} messages")


def print_sizes(name: str, texts: list[bytes]) -> None:
    dictionary = zstandard.ZstdCompressionDict((Checkout.of_this_file().root / DICTIONARY).read_bytes())
    plain = sum(map(len, texts))
    packed = []
    for how, packer in (
        ("with the dictionary of v1", zstandard.ZstdCompressor(LEVEL, dict_data=dictionary)),
        ("without", zstandard.ZstdCompressor(LEVEL)),
    ):
        size_bytes = sum([len(packer.compress(text)) for text in texts])
        packed.append(f"{size_bytes / len(texts):,.0f} B {how} ({size_bytes / plain:.0%})")
    row(f"bytes of {name}", f"{plain / len(texts):,.0f} B", *packed)


def measure(recording: Path) -> None:
    frames = list(read_recording(recording))
    lines = [line for frame in frames for line in render(frame).lines]
    print_sizes("a line", [line.json for line in lines])
    print_sizes("a message of v2", [event.json.encode() for frame in frames for event in render_events(frame)])
    with NetworkProcess(replay_of(recording)) as network:
        for name, query, readers in (
            ("live to 1", "", 1),
            ("live to 1, packed", "compress=true", 1),
            (f"live to {MANY}", "", MANY),
            (f"live to {MANY}, packed", "compress=true", MANY),
        ):
            rate, cpu_us = measure_live(network, query, readers, len(lines))
            goal = target(rate >= TARGET_RENDERED_PER_S, f">= {TARGET_RENDERED_PER_S:,}") if readers == 1 else ""
            row(name, f"{rate:,.0f} lines/s each", f"{cpu_us:,.0f} us of CPU a line, with ingest", goal)
    with filled_relay(recording, len(frames)) as (relay, state):
        wait_for_lines(relay, state["archive"]["archived_seq"])
        cursor = state["started_us"] - HOUR_US
        for readers in (1, MANY):
            seconds = measure_replay(relay, f"/subscribe?cursor={cursor}", readers, len(lines))
            rate = len(lines) * readers / seconds
            goal = target(rate >= TARGET_DELIVERED_PER_S, f">= {TARGET_DELIVERED_PER_S:,}")
            row(f"replay to {readers}", f"{rate:,.0f} lines/s", "over all", goal)
        for wanted in filters_of(lines):
            count = len(list(filter(wanted.passes, lines)))
            seconds = measure_replay(relay, f"/subscribe?cursor={cursor}&{wanted.query}", 1, count)
            rate = len(frames) / seconds
            goal = target(rate >= TARGET_SCANNED_PER_S, f">= {TARGET_SCANNED_PER_S:,}")
            row(f"replay of {wanted.name}", f"{rate:,.0f} events/s scanned", f"{count} lines", goal)
        wait_for_state(relay, lambda state: not sum(shard["clients"] for shard in state["shards"]))
        row("memory after", *memory(measure_heap(relay.inspector_port)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    started = time.monotonic()
    recording = production_recording(EVENTS)
    print(f"{heading()}\n")
    measure(recording)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
