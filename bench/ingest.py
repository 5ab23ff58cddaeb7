"""Measure the relay on the offline runtime, beside bare loops on the same runtime in the same run.

    python bench/ingest.py

Prints one table: what a Python Durable Object can receive and send at best here; events from a host that replays
production-shaped frames as fast as it can, through the log to one and to many subscribers; at the rate of the real
network, added latency and rows written; and memory. How to read it, and what it showed, is in README.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bare_process import WARM_UP, BareProcess, measure_send
from heap import Heap, measure_heap
from recordings import production_recording, replay_of, shortened
from relay_runs import (
    REAL_EVENTS_PER_S,
    Flow,
    cpu_s,
    measure_flow,
    read_for,
    relay_on,
    state_of,
    time_of,
)
from table import heading, load, row, spread, target

from edgerelay_dev.network import FrameReader, NetworkProcess
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.recording import read_recording

EVENTS = 20_000
"""Events of the recording: two seconds at the rate that we want."""
MANY = 100
EVENTS_TO_MANY = 2_000
"""Events for many subscribers, of which each is sent a hundred times."""
STEADY_WARM_UP_S = 4.0
STEADY_S = 15.0

TARGET_EVENTS_PER_S = {"trusted": 10_000, "strict": 2_000}
TARGET_P99_MS = 80
TARGET_ROWS_PER_S = 30
ISOLATE_MB = 128


class Steady(NamedTuple):
    """What a run at the rate of the real network showed."""

    latencies_ms: list[float]
    """From a frame written by the host to the same frame read by a subscriber, past wrangler's proxy."""

    rows_per_s: float
    flush_ms: list[float]
    cpu_share: float
    heap: Heap


def measure_steady(recording: Path) -> Steady:
    replay = replay_of(recording, "--replay-rate", str(REAL_EVENTS_PER_S), "--replay-restamp")
    with NetworkProcess(replay) as network, relay_on(network, 0, "strict") as relay:
        with FrameReader(relay.worker_url) as reader:
            read_for(reader, STEADY_WARM_UP_S)
            before, before_s = state_of(relay), cpu_s(relay.worker_pid)
            frames = read_for(reader, STEADY_S)
            after, after_s = state_of(relay), cpu_s(relay.worker_pid)
        seconds = (after["now_us"] - before["now_us"]) / 1_000_000
        rows = after["storage"]["rows_written"] - before["storage"]["rows_written"]
        latencies_ms = [(read_us - time_of(frame)) / 1_000 for read_us, frame in frames]
        cpu_share = (after_s - before_s) / seconds
        return Steady(latencies_ms, rows / seconds, after["flush_ms"], cpu_share, measure_heap(relay.inspector_port))


class Bare(NamedTuple):
    """What the bare loops showed, in messages a second."""

    receive: dict[str, float]
    send: dict[int, float]
    heap: Heap
    """Of the Worker before it did anything: an empty one, to all intents."""


def measure_bare(network: NetworkProcess, frames: int, frame_bytes: int) -> Bare:
    url = f"{network.ws_url(0)}{SUBSCRIBE}?cursor=0"
    with tempfile.TemporaryDirectory() as folder, BareProcess(Path(folder)) as bare:
        heap = measure_heap(bare.inspector_port)
        receive = {}
        for work in ("count", "copy", "decode"):
            bare.receive(url, WARM_UP, work)
            receive[work] = bare.receive(url, frames, work)
        return Bare(receive, {count: measure_send(bare, count, EVENTS, frame_bytes).per_s for count in (1, MANY)}, heap)


def report_bare(bare: Bare) -> None:
    for work, rate in bare.receive.items():
        row(f"bare loop: receive and {work}", f"{rate:,.0f} frames/s")
    for sockets, rate in bare.send.items():
        row(f"bare loop: send to {sockets}", f"{rate:,.0f} sends/s")


def report_flow(verify: str, subscribers: int, flow: Flow, bare: Bare) -> None:
    name = f"relay, {verify}, to {subscribers}"
    ratio = flow.events_per_s / bare.receive["decode"]
    aim = TARGET_EVENTS_PER_S[verify]
    goal = target(flow.events_per_s >= aim, f">= {aim:,}") if subscribers == 1 else ""
    cpu = f"{flow.cpu_us:,.0f} us of CPU an event" if flow.cpu_us else ""
    row(f"{name}: in", f"{flow.events_per_s:,.0f} events/s", f"{ratio:.0%} of bare decode", cpu, goal)
    ratio = flow.deliveries_per_s / bare.send[subscribers]
    row(f"{name}: out", f"{flow.deliveries_per_s:,.0f} sends/s", f"{ratio:.0%} of bare send")
    if flow.heap is not None:
        row(f"{name}: memory after", *memory(flow.heap))


def report_steady(steady: Steady, bare: Bare) -> None:
    name = f"relay, strict, at {REAL_EVENTS_PER_S} events/s"
    low, high = spread(steady.latencies_ms)
    row(
        f"{name}: latency", f"p50 {low:.0f} ms, p99 {high:.0f} ms", target(high <= TARGET_P99_MS, f"<= {TARGET_P99_MS}")
    )
    low, high = spread(steady.flush_ms)
    row(f"{name}: durable after", f"p50 {low:.0f} ms, p99 {high:.0f} ms")
    rows = target(steady.rows_per_s <= TARGET_ROWS_PER_S, f"<= {TARGET_ROWS_PER_S}")
    row(f"{name}: rows written", f"{steady.rows_per_s:.1f} rows/s", rows)
    row(f"{name}: CPU", f"{steady.cpu_share:.0%} of a core")
    row(f"{name}: memory", *memory(steady.heap))
    row("empty Python Worker: memory", *memory(bare.heap))


def memory(heap: Heap) -> tuple[str, str]:
    javascript, wasm, buffers, total = (size / 1e6 for size in (*heap, heap.total))
    parts = f"WebAssembly {wasm:.1f} + JavaScript {javascript:.1f} + buffers {buffers:.1f}"
    return f"{total:.1f} MB of {ISOLATE_MB}", parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    started = time.monotonic()
    recording = production_recording(EVENTS)
    sizes = [len(frame) for frame in read_recording(recording)]
    mean_bytes = sum(sizes) // len(sizes)
    print(f"{heading()}; frames of {mean_bytes:,} B on average\n")
    with NetworkProcess(replay_of(recording)) as network:
        bare = measure_bare(network, EVENTS - WARM_UP, mean_bytes)
        report_bare(bare)
        for verify in ("trusted", "strict"):
            report_flow(verify, 1, measure_flow(network, 0, len(sizes), verify, 1), bare)
    with tempfile.TemporaryDirectory() as folder:
        short = shortened(recording, EVENTS_TO_MANY, Path(folder))
        # A network of its own: the documents of an account name one host.
        with NetworkProcess(replay_of(short)) as network:
            for verify in ("trusted", "strict"):
                report_flow(verify, MANY, measure_flow(network, 0, EVENTS_TO_MANY, verify, MANY), bare)
    report_steady(measure_steady(recording), bare)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
