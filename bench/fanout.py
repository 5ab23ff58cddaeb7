"""Measure fan-out on the offline runtime: one event to many clients, beside bare sends on the same runtime.

    python bench/fanout.py
    python bench/fanout.py --minutes 5

Prints one table: sends a second and CPU for 1, 10, 100 and 1,000 clients that read the whole stream. With `--minutes`,
instead, a thousand clients for that long at half of what bare sends can do: 800 that read, each of which must get every
event, and 200 that never read and must be ended by name; latency and memory. How to read it, and what it showed, is in
README.md.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bare_process import BareProcess, Sends, measure_send
from heap import Heap, measure_heap
from recordings import production_recording, replay_of, shortened
from relay_runs import measure_flow, read_for, relay_on, state_of, time_of, wait_for_state
from subscribers import Subscribers
from table import heading, load, row, spread, target

from edgerelay_dev.network import FrameReader, NetworkProcess
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.workerd import RelayProcess

RECORDED = 20_000
EVENTS = {1: 20_000, 10: 10_000, 100: 2_000, 1_000: 300}
"""Events for so many clients: some seconds of sending each."""

TARGET_OF_BARE = 0.9
READING = 800
STALLED = 200
SHARE_OF_BARE = 0.5
SETTLE_S = 15.0
"""After the last event, until memory is looked at."""

STUCK_LIMIT_S = 300.0
MEMORY_MARGIN_MB = 20.0


def measure_bare(clients: int, size_bytes: int) -> Sends:
    with tempfile.TemporaryDirectory() as folder, BareProcess(Path(folder)) as bare:
        return measure_send(bare, clients, EVENTS[clients] * clients, size_bytes)


@contextmanager
def network_of(recording: Path, *options: str) -> Iterator[NetworkProcess]:
    """A network of its own for each recording: the documents of an account name one host."""
    with NetworkProcess(replay_of(recording, *options)) as network:
        yield network


def measure_clients(recording: Path, size_bytes: int) -> None:
    alone_us = 0.0
    for clients, events in EVENTS.items():
        bare = measure_bare(clients, size_bytes)
        with tempfile.TemporaryDirectory() as folder:
            part = shortened(recording, events, Path(folder)) if events < RECORDED else recording
            count = len(list(read_recording(part)))
            with network_of(part) as network:
                flow = measure_flow(network, 0, count, "trusted", clients)
        alone_us = alone_us or flow.cpu_us
        ratio = flow.deliveries_per_s / bare.per_s
        goal = target(ratio >= TARGET_OF_BARE, f">= {TARGET_OF_BARE:.0%}") if clients > 1 else ""
        row(f"bare sends to {clients:,}", f"{bare.per_s:,.0f} sends/s", f"{bare.cpu_us:,.1f} us of CPU each")
        row(f"relay to {clients:,}", f"{flow.deliveries_per_s:,.0f} sends/s", f"{ratio:.0%} of bare", goal)
        row(f"relay to {clients:,}: CPU", f"{flow.cpu_us / clients:,.1f} ms for 1,000", "taking the events in included")
        if clients > 1:
            more_us = (flow.cpu_us - alone_us) / (clients - 1)
            row(f"relay to {clients:,}: CPU", f"{more_us:,.1f} ms for 1,000 more", f"bare {bare.cpu_us:,.1f} ms")


def measure_minutes(recording: Path, size_bytes: int, minutes: float) -> None:
    bare = measure_bare(1_000, size_bytes)
    rate = max(1, int(bare.per_s * SHARE_OF_BARE / (READING + 1)))
    row("bare sends to 1,000", f"{bare.per_s:,.0f} sends/s", f"so {rate} events/s for half of it")
    with (
        network_of(recording, "--replay-rate", str(rate), "--replay-restamp") as network,
        relay_on(network, 0, "trusted", UPSTREAM_START="live") as relay,
    ):
        before = measure_heap(relay.inspector_port)
        latencies_ms = watch_crowd(network, relay, minutes)
        low, high = spread(latencies_ms)
        row(f"latency to {READING:,} at {rate} events/s", f"p50 {low:.0f} ms, p99 {high:.0f} ms")
        time.sleep(SETTLE_S)
        report_memory(before, measure_heap(relay.inspector_port))


def watch_crowd(network: NetworkProcess, relay: RelayProcess, minutes: float) -> list[float]:
    """The latencies that one reader among them saw; fails unless everybody that reads got everything."""
    url = f"{relay.worker_url}{SUBSCRIBE}"
    network.post("/hosts/0/faults", stall=True)
    seen: list[tuple[int, bytes]] = []
    with (
        FrameReader(relay.worker_url, headers={"CF-Connecting-IP": "198.51.100.1"}, timeout_s=STUCK_LIMIT_S) as one,
        Subscribers(url, READING) as readers,
        Subscribers(url, STALLED, first=READING),
    ):
        thread = threading.Thread(target=lambda: seen.extend(read_for(one, minutes * 60)))
        network.post("/hosts/0/faults", stall=False)
        thread.start()
        readers.read_for(minutes * 60)
        network.post("/hosts/0/faults", stall=True)
        thread.join()
        sent = state_of(relay)["events"]
        readers.read_until(len(seen), STUCK_LIMIT_S)
        readers.read_for(SETTLE_S)
        if len(set(readers.messages)) != 1:
            raise AssertionError(f"readers got {sorted(set(readers.messages))} of {sent} messages")
        row("readers got, each", f"{readers.messages[0]:,} messages", f"{READING:,} readers alike")
        state = wait_for_state(relay, lambda state: state["endings"].get("too_slow", 0) >= STALLED, STUCK_LIMIT_S)
        row("stalled readers ended", f"{state['endings']['too_slow']}", f"of {STALLED}")
    return [(read_us - time_of(frame)) / 1_000 for read_us, frame in seen]


def report_memory(before: Heap, after: Heap) -> None:
    grown_mb = (after.total - before.total) / 1e6
    goal = target(grown_mb <= MEMORY_MARGIN_MB, f"<= {MEMORY_MARGIN_MB:.0f} MB more")
    row("memory of the isolate", f"{before.total / 1e6:.1f}, then {after.total / 1e6:.1f} MB", goal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0, help="a thousand clients for so long, instead")
    minutes = parser.parse_args().minutes
    started = time.monotonic()
    recording = production_recording(RECORDED)
    sizes = [len(frame) for frame in read_recording(recording)]
    mean_bytes = sum(sizes) // len(sizes)
    print(f"{heading()}; frames of {mean_bytes:,} B on average\n")
    if minutes:
        measure_minutes(recording, mean_bytes, minutes)
    else:
        measure_clients(recording, mean_bytes)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
