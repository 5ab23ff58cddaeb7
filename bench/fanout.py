"""Measure fan-out on the offline runtime: one event to many clients, beside bare sends on the same runtime.

    python bench/fanout.py
    python bench/fanout.py --minutes 5
    python bench/fanout.py --minutes 5 --kills 10
    python bench/fanout.py --burst 10000

Prints one table: sends a second and CPU for 1, 10, 100 and 1,000 clients that read the whole stream, and what a reader
costs that gets little of it. With `--minutes`, instead, a thousand clients of all kinds at half of what bare sends can
do; with `--burst`, attempts to connect beside readers. How to read it, and what it showed, is in README.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bare_process import BareProcess, Sends, measure_send
from burst import measure_burst
from clients import Clients
from crowd import Crowd, Wants, check_exactness, measure_crowd, narrow_wants
from expectation import event_of
from recordings import network_of, production_recording, shortened
from relay_runs import LIMIT_S, REAL_EVENTS_PER_S, cpu_s, measure_flow, relay_on
from table import heading, load, row, target

from edgerelay_dev.network.recording import read_recording

RECORDED = 20_000
EVENTS = {1: 20_000, 10: 10_000, 100: 2_000, 1_000: 300}
"""Events for so many clients: some seconds of sending each."""

FILTERED = (0, 100, 1_000)
FILTERED_EVENTS = 8_000
TARGET_OF_BARE = 0.9


def measure_bare(clients: int, size_bytes: int) -> Sends:
    with tempfile.TemporaryDirectory() as folder, BareProcess(Path(folder)) as bare:
        return measure_send(bare, clients, EVENTS[clients] * clients, size_bytes)


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


def measure_filtered(recording: Path) -> None:
    """What readers cost that get little of what passes, at the pace of the real network."""
    alone_us = 0.0
    for count in FILTERED:
        with tempfile.TemporaryDirectory() as folder:
            part = shortened(recording, FILTERED_EVENTS, Path(folder))
            cpu_us, deliveries = flow_to_filters(part, count)
        alone_us = alone_us or cpu_us
        each = deliveries / FILTERED_EVENTS
        row(f"relay to {count:,} with filters", f"{cpu_us:,.0f} us of CPU an event", f"{each:.2f} deliveries of each")
        if count:
            row(f"relay to {count:,} with filters: CPU", f"{(cpu_us - alone_us) / count:.2f} us", "an event and reader")


def flow_to_filters(recording: Path, count: int) -> tuple[float, int]:
    """CPU of an event, in microseconds, and all deliveries to so many readers with filters; there is one without."""
    frames = list(read_recording(recording))
    wants = Wants(narrow_wants(list(map(event_of, frames)), count), [])
    with network_of(recording) as network:
        network.post("/hosts/0/faults", stall=True)
        with relay_on(network, 0, "trusted") as relay, Clients() as clients:
            crowd = Crowd(network, relay, clients, wants, whole=1)
            crowd.come()
            before_s = cpu_s(relay.worker_pid)
            crowd.flow(REAL_EVENTS_PER_S * sum(map(len, frames)) / len(frames))
            clients.read_until(lambda: len(crowd.witness.events) == len(frames), LIMIT_S, "all events")
            crowd.catch_up()
            used_s = cpu_s(relay.worker_pid) - before_s
            check_exactness(crowd)
            return used_s / len(frames) * 1_000_000, sum(map(len, clients.everyone)) - len(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0, help="a thousand clients for so long, instead")
    parser.add_argument("--kills", type=int, default=0, help="meanwhile, end so many objects or processes")
    parser.add_argument("--burst", type=int, default=0, help="so many attempts to connect, beside readers, instead")
    options = parser.parse_args()
    started = time.monotonic()
    recording = production_recording(RECORDED)
    sizes = [len(frame) for frame in read_recording(recording)]
    mean_bytes = sum(sizes) // len(sizes)
    print(f"{heading()}; frames of {mean_bytes:,} B on average\n")
    if options.minutes:
        measure_crowd(measure_bare(1_000, mean_bytes), options.minutes, options.kills)
    elif options.burst:
        measure_burst(options.burst)
    else:
        measure_clients(recording, mean_bytes)
        measure_filtered(recording)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
