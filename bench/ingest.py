"""Measure the relay on the offline runtime, beside bare loops on the same runtime in the same run.

    python bench/ingest.py

Prints one table: what a Python Durable Object can receive and send at best here; events from a host that replays
production-shaped frames as fast as it can, through the log to one and to many subscribers; at the rate of the real
network, added latency and rows written; and memory. How to read it, and what it showed, is in README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple
from urllib.request import urlopen

from bare_process import BareProcess
from heap import Heap, measure_heap
from recordings import production_recording, shortened
from subscribers import Subscribers

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay.atproto.timestamp import time_us
from edgerelay_dev.network import FrameReader, NetworkProcess
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.workerd import RelayProcess

EVENTS = 20_000
"""Events of the recording: two seconds at the rate that we want."""
MANY = 100
EVENTS_TO_MANY = 2_000
"""Events for many subscribers, of which each is sent a hundred times."""
WARM_UP = 5_000
"""Messages before a bare loop is measured, in which the runtime compiles it."""
STEADY_EVENTS_PER_S = 420
"""The rate of the real network, on average."""
STEADY_WARM_UP_S = 4.0
STEADY_S = 15.0
LIMIT_S = 120.0
POLL_S = 0.1

TARGET_EVENTS_PER_S = 10_000
TARGET_P99_MS = 80
TARGET_ROWS_PER_S = 30
ISOLATE_MB = 128


class Flow(NamedTuple):
    """What one run at full speed showed."""

    events_per_s: float
    """In: from the first event's number, which is the time, to the last one's."""

    deliveries_per_s: float
    """Out: over all subscribers, as they saw it."""

    cpu_us: float
    """CPU time of the Worker's process for each event, all its threads; 0 where it cannot be told."""

    heap: Heap
    """Right after it."""


class Steady(NamedTuple):
    """What a run at the rate of the real network showed."""

    latencies_ms: list[float]
    """From a frame written by the host to the same frame read by a subscriber, past wrangler's proxy."""

    rows_per_s: float
    flush_ms: list[float]
    cpu_share: float
    heap: Heap


def state_of(relay: RelayProcess) -> Any:
    with urlopen(f"{relay.worker_url}/state", timeout=LIMIT_S) as response:
        return json.load(response)


def wait_for_state(relay: RelayProcess, is_reached: Any) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not is_reached(state := state_of(relay)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the relay does not get there: {state}")
        time.sleep(POLL_S)
    return state


def cpu_s(process_id: int | None) -> float:
    """CPU time of a process, in the kernel and out of it; 0 where there is no /proc."""
    stat = Path(f"/proc/{process_id}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def relay_on(network: NetworkProcess, host: int, verify: str) -> Iterator[RelayProcess]:
    """A relay without a past, subscribed to a host."""
    settings = {"UPSTREAM": network.ws_url(host), "UPSTREAM_START": "oldest", "UPSTREAM_KIND": "pds"}
    settings |= {"VERIFY": verify, "PLC_URL": network.plc_url, "LOG_LEVEL": "warning"}
    with tempfile.TemporaryDirectory() as folder, RelayProcess(Path(folder), vars=settings) as relay:
        wait_for_state(relay, lambda state: state["upstream"]["state"] == "live")
        yield relay


def measure_flow(network: NetworkProcess, host: int, events: int, verify: str, subscribers: int) -> Flow:
    """Let a host go when everybody has connected, and see how long its events take."""
    network.post(f"/hosts/{host}/faults", stall=True)
    with (
        relay_on(network, host, verify) as relay,
        Subscribers(f"{relay.worker_url}{SUBSCRIBE}", subscribers) as readers,
    ):
        before_s = cpu_s(relay.worker_pid)
        network.post(f"/hosts/{host}/faults", stall=False)
        seconds = readers.read_until(events, LIMIT_S)
        state = wait_for_state(relay, lambda state: state["events"] >= events)
        used_s = cpu_s(relay.worker_pid) - before_s
        if state["events"] != events or readers.messages != [events] * subscribers:
            raise AssertionError(f"{events} events became {state['events']}, and {set(readers.messages)} messages")
        log = state["hot_log"]
        in_s = (log["last_seq"] - log["oldest_seq"]) / 1_000_000
        heap = measure_heap(relay.inspector_port)
        return Flow(events / in_s, events * subscribers / seconds, used_s / events * 1_000_000, heap)


def measure_steady(recording: Path) -> Steady:
    arguments = ["--hosts", "0", "--replay", str(recording)]
    arguments += ["--replay-rate", str(STEADY_EVENTS_PER_S), "--replay-restamp"]
    with NetworkProcess(arguments) as network, relay_on(network, 0, "strict") as relay:
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


def read_for(reader: FrameReader, seconds: float) -> list[tuple[int, bytes]]:
    """Frames and when they came, in unix microseconds: the host and we read the same clock."""
    frames = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frame = reader.read()
        frames.append((time.time_ns() // 1_000, frame))
    return frames


def time_of(frame: bytes) -> int:
    _, body = decode_pair(frame)
    assert isinstance(body, dict)
    return time_us(str(body["time"]))


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
        return Bare(receive, {count: measure_send(bare, count, frame_bytes) for count in (1, MANY)}, heap)


def measure_send(bare: BareProcess, sockets: int, size_bytes: int) -> float:
    """Messages a second to so many sockets; they read meanwhile."""
    with Subscribers(f"{bare.worker_url}/subscribe", sockets) as readers:
        answers = []
        for total in (WARM_UP, EVENTS):
            before = readers.messages[0]
            messages = total // sockets
            sender = threading.Thread(target=lambda m=messages: answers.append(bare.send(m, size_bytes)))
            sender.start()
            readers.read_until(before + messages, LIMIT_S)
            sender.join()
        return answers[-1]


def report_bare(bare: Bare) -> None:
    for work, rate in bare.receive.items():
        row(f"bare loop: receive and {work}", f"{rate:,.0f} frames/s")
    for sockets, rate in bare.send.items():
        row(f"bare loop: send to {sockets}", f"{rate:,.0f} sends/s")


def report_flow(verify: str, subscribers: int, flow: Flow, bare: Bare) -> None:
    name = f"relay, {verify}, to {subscribers}"
    ratio = flow.events_per_s / bare.receive["decode"]
    goal = target(flow.events_per_s >= TARGET_EVENTS_PER_S, f">= {TARGET_EVENTS_PER_S:,}") if subscribers == 1 else ""
    cpu = f"{flow.cpu_us:,.0f} us of CPU an event" if flow.cpu_us else ""
    row(f"{name}: in", f"{flow.events_per_s:,.0f} events/s", f"{ratio:.0%} of bare decode", cpu, goal)
    ratio = flow.deliveries_per_s / bare.send[subscribers]
    row(f"{name}: out", f"{flow.deliveries_per_s:,.0f} sends/s", f"{ratio:.0%} of bare send")
    if subscribers == 1:
        row(f"{name}: memory after", *memory(flow.heap))


def report_steady(steady: Steady, bare: Bare) -> None:
    name = f"relay, strict, at {STEADY_EVENTS_PER_S} events/s"
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


def spread(values: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile."""
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]


def target(reached: bool, text: str) -> str:
    return f"target {text}: {'reached' if reached else 'MISSED'}"


def row(what: str, *cells: str) -> None:
    print(f"{what:<46} {cells[0]:>24}   {'; '.join(each for each in cells[1:] if each)}", flush=True)


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    started = time.monotonic()
    recording = production_recording(EVENTS)
    sizes = [len(frame) for frame in read_recording(recording)]
    mean_bytes = sum(sizes) // len(sizes)
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {platform.machine()}, {load()}; frames of {mean_bytes:,} B on average\n")
    with tempfile.TemporaryDirectory() as folder:
        short = shortened(recording, EVENTS_TO_MANY, Path(folder))
        replays = ["--replay", str(recording), "--replay", str(short)]
        with NetworkProcess(["--hosts", "0", *replays]) as network:
            bare = measure_bare(network, EVENTS - WARM_UP, mean_bytes)
            report_bare(bare)
            for verify in ("trusted", "strict"):
                report_flow(verify, 1, measure_flow(network, 0, len(sizes), verify, 1), bare)
                report_flow(verify, MANY, measure_flow(network, 1, EVENTS_TO_MANY, verify, MANY), bare)
    report_steady(measure_steady(recording), bare)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
