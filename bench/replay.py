"""Measure replay from the archive on the offline runtime, beside a bare loop on the same runtime in the same run.

    python bench/replay.py [--days]

Prints one table: what everything takes in the archive; events from the archive to one and to many readers that
begin at the oldest; the time to the first event for cursors anywhere; and memory. With `--days` instead: replay out of
62 days (`replay_days.py`). How to read it, and what it showed, is in README.md and days.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from bare_process import BareProcess, measure_send
from heap import measure_heap
from ingest import memory
from recordings import production_recording, replay_of
from relay_runs import LIMIT_S, cpu_s, relay_on, wait_for_state
from replay_days import TARGET_FIRST_MS, first_event_ms, measure_days
from subscribers import Subscribers
from table import heading, load, row, spread, target

from edgerelay_dev.network import NetworkProcess
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.workerd import RelayProcess

EVENTS = 20_000
READERS = (1, 20)
CURSORS = 30
"""Readers that begin anywhere, one after the other."""
HOUR_US = 3_600_000_000
SOON_FORGOTTEN = {"RING_BYTES": "1000000", "LOG_STOP_BYTES": "8000000", "LOG_MIN_MINUTES": "0"}
SOON_FORGOTTEN |= {"SEAL_S": "1", "CHECKPOINT_S": "5", "ALARM_S": "5", "ADDRESS_REPLAYS": "1000"}
"""What the log forgets soon has to come from the archive."""

FILL_EVENTS_PER_S = 800
"""Slow enough for the archive to keep up: what comes faster is in the log before anybody looks at its size."""

TARGET_EVENTS_PER_S = 20_000


@contextmanager
def filled_relay(recording: Path, events: int) -> Iterator[tuple[RelayProcess, Any]]:
    """A relay that has everything in the archive, and little of it in the log; and its state then."""
    replay = replay_of(recording, "--replay-rate", str(FILL_EVENTS_PER_S))
    with NetworkProcess(replay) as network, relay_on(network, 0, "trusted", **SOON_FORGOTTEN) as relay:
        state = wait_for_state(
            relay,
            lambda state: (
                state["events"] >= events and state["archive"]["archived_seq"] == state["hot_log"]["last_seq"]
            ),
        )
        yield relay, state


def measure_readers(relay: RelayProcess, cursor: int, events: int, readers: int) -> tuple[float, float]:
    """Deliveries a second over all readers, and microseconds of CPU for each."""
    before_s = cpu_s(relay.worker_pid)
    with Subscribers(f"{relay.worker_url}{SUBSCRIBE}?cursor={cursor}", readers) as everyone:
        seconds = everyone.read_until(events, LIMIT_S)
        if everyone.messages != [events] * readers:
            raise AssertionError(f"{events} events became {set(everyone.messages)} messages")
    deliveries = events * readers
    return deliveries / seconds, (cpu_s(relay.worker_pid) - before_s) / deliveries * 1_000_000


def measure_first(relay: RelayProcess, first_seq: int, last_seq: int) -> list[float]:
    """Milliseconds from the request to the first event, for cursors anywhere."""
    random = Random("replay")
    return [first_event_ms(relay, random.randrange(first_seq, last_seq)) for _ in range(CURSORS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", action="store_true", help="out of an archive of 62 days")
    if parser.parse_args().days:
        measure_days()
        return
    started = time.monotonic()
    recording = production_recording(EVENTS)
    sizes = [len(frame) for frame in read_recording(recording)]
    mean_bytes = sum(sizes) / len(sizes)
    print(f"{heading()}; frames of {mean_bytes:,.0f} B on average\n")
    with tempfile.TemporaryDirectory() as folder, BareProcess(Path(folder)) as bare:
        bare_sends = {count: measure_send(bare, count, EVENTS, round(mean_bytes)).per_s for count in READERS}
    with filled_relay(recording, len(sizes)) as (relay, state):
        archive, log = state["archive"], state["hot_log"]
        in_log = f"{log['bytes'] / 1e6:.0f} MB in the log, too"
        row("archived", f"{archive['groups']} groups", f"{archive['bytes'] / sum(sizes):.1%} of raw", in_log)
        cursor = state["started_us"] - HOUR_US
        for count in READERS:
            rate, cpu_us = measure_readers(relay, cursor, len(sizes), count)
            goal = target(rate >= TARGET_EVENTS_PER_S, f">= {TARGET_EVENTS_PER_S:,}") if count == 1 else ""
            ratio = f"{rate / bare_sends[count]:.0%} of bare send ({bare_sends[count]:,.0f})"
            speed = f"{rate * mean_bytes / 1e6:,.0f} MB/s"
            row(f"replay to {count}", f"{rate:,.0f} events/s", speed, ratio, f"{cpu_us:,.0f} us of CPU each", goal)
        low, high = spread(measure_first(relay, state["started_us"], log["missing_up_to"]))
        goal = target(high <= TARGET_FIRST_MS, f"<= {TARGET_FIRST_MS}")
        row("first event, any cursor", f"p50 {low:.0f} ms, p99 {high:.0f} ms", goal)
        row("memory after", *memory(measure_heap(relay.inspector_port)))
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
