"""Runs of the relay on the offline runtime, and what one sees of them: shared by the benchmarks of the relay."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from heap import Heap, measure_heap
from subscribers import Subscribers

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay.atproto.timestamp import time_us
from edgerelay_dev.network import FrameReader, NetworkProcess
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.offline.workerd import RelayProcess

__all__ = [
    "LIMIT_S",
    "POLL_S",
    "REAL_EVENTS_PER_S",
    "Flow",
    "cpu_s",
    "fields_of",
    "measure_flow",
    "read_for",
    "relay_on",
    "resident_bytes",
    "state_of",
    "time_of",
    "wait_for_state",
]

LIMIT_S = 120.0
POLL_S = 0.1
REAL_EVENTS_PER_S = 420
"""The rate of the real network, on average."""


class Flow(NamedTuple):
    """What one run at full speed showed."""

    events_per_s: float
    """In: from the first event's number, which is the time, to the last one's."""

    deliveries_per_s: float
    """Out: over all subscribers, as they saw it."""

    cpu_us: float
    """CPU time of the Worker's process for each event, all its threads; 0 where it cannot be told."""

    connections: int
    """How often the relay connected to its host: more than once if it had to pause."""

    heap: Heap | None
    """Right after it, with one subscriber: with a thousand sockets a snapshot of the heap takes minutes."""


def state_of(relay: RelayProcess) -> Any:
    with urlopen(f"{relay.worker_url}/state", timeout=LIMIT_S) as response:
        return json.load(response)


def wait_for_state(relay: RelayProcess, is_reached: Callable[[Any], bool], limit_s: float = LIMIT_S) -> Any:
    deadline = time.monotonic() + limit_s
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


def resident_bytes(process_id: int | None) -> int:
    """What a process has in memory; 0 where there is no /proc."""
    statm = Path(f"/proc/{process_id}/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


@contextmanager
def relay_on(network: NetworkProcess, host: int, verify: str, **more: str) -> Iterator[RelayProcess]:
    """A relay without a past, subscribed to a host."""
    settings = {"UPSTREAM": network.ws_url(host), "UPSTREAM_START": "oldest", "UPSTREAM_KIND": "pds"}
    settings |= {"VERIFY": verify, "PLC_URL": network.plc_url, "LOG_LEVEL": "warning", **more}
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
        connections = state["upstream"]["connection"]
        heap = measure_heap(relay.inspector_port) if subscribers == 1 else None
        return Flow(events / in_s, events * subscribers / seconds, used_s / events * 1_000_000, connections, heap)


def read_for(reader: FrameReader, seconds: float) -> list[tuple[int, bytes]]:
    """Frames and when they came, in unix microseconds: the host and we read the same clock."""
    frames = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frame = reader.read()
        frames.append((time.time_ns() // 1_000, frame))
    return frames


def time_of(frame: bytes) -> int:
    return time_us(str(fields_of(frame)["time"]))


def fields_of(frame: bytes) -> dict[str, Any]:
    _, body = decode_pair(frame)
    assert isinstance(body, dict)
    return body
