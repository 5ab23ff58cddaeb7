"""Measure what unknown identities cost a strict relay.

    python bench/lookups.py

First 10,000 accounts that the relay has never seen write 420 events a second, while the directory takes 80 ms for each
answer: how long until the relay is live again and knows them all, and how often it had to leave its host. Then one
account's look-ups stall, and everybody else's latency is compared with that before. How to read it, and what it
showed, is in README.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

from recordings import production_recording, replay_of, strangers_recording
from relay_runs import (
    REAL_EVENTS_PER_S,
    cpu_s,
    fields_of,
    read_for,
    relay_on,
    state_of,
    time_of,
)
from table import heading, load, row, spread

from edgerelay_dev.network import FrameReader, NetworkProcess
from edgerelay_dev.network.recording import read_recording

STRANGERS = 10_000
EVENTS = 60_000
"""142 s at the rate of the real network: longer than 100 look-ups a second take for all of them."""
LATENCY_S = 0.08
"""Of the directory, for each answer."""
BUDGETS = (100, 300)
"""PLC_RPS: what it is by default, and what the relay can carry at this latency."""
POLL_S = 0.05
LIMIT_S = 240.0
NEAR_EVENTS = REAL_EVENTS_PER_S
"""A relay that is less than a second behind its host is live."""
KNOWN_EVENTS = 20_000
KNOWN_EVENTS_PER_S = 100
"""Little enough that a machine with other work keeps up: what waits for the CPU is not what is asked here."""
WARM_UP_S = 6.0
STEADY_S = 15.0


class Absorbed(NamedTuple):
    """What became of so many strangers."""

    known_s: float
    """Until every identity was known."""

    live_s: float
    """Until the relay stood at its host's newest event, too: it had to make up for its pauses."""

    pauses: int
    away_s: float
    """Without a subscription at the host, in all."""

    longest_s: float
    asked: int
    most_waiting: int
    cpu_s: float


def measure_strangers(recording: Path, per_second: int) -> Absorbed:
    replay = replay_of(recording, "--replay-rate", str(REAL_EVENTS_PER_S))
    with NetworkProcess(replay) as network:
        network.post("/plc/fail", delay_s=LATENCY_S)
        with relay_on(network, 0, "strict", PLC_RPS=str(per_second)) as relay:
            before_s = cpu_s(relay.worker_pid)
            watch = Watch(network)
            most_waiting, known_s = 0, 0.0
            while not is_live(state := state_of(relay), watch.newest):
                known_s = 0.0 if not is_known(state) else known_s or watch.elapsed_s
                most_waiting = max(most_waiting, state["identity"]["waiting"])
                watch.look(POLL_S)
                if watch.elapsed_s > LIMIT_S:
                    raise TimeoutError(f"the relay does not get there: {state}")
            rejects = {reason: count for reason, count in state["upstream"]["rejects"].items() if count}
            if rejects:
                raise AssertionError(f"right events were refused: {rejects}")
            used_s = cpu_s(relay.worker_pid) - before_s
            live_s, away, asked = watch.elapsed_s, watch.away_s, state["identity"]["asked"]
            pauses = (len(away), sum(away), max(away, default=0.0))
            return Absorbed(known_s or live_s, live_s, *pauses, asked, most_waiting, used_s)


def is_known(state: Any) -> bool:
    identity = state["identity"]
    return bool(identity["asked"] >= STRANGERS and identity["waiting"] == 0)


def is_live(state: Any, newest: int) -> bool:
    upstream = state["upstream"]
    is_near = upstream["state"] == "live" and upstream["low"] >= newest - NEAR_EVENTS
    return is_known(state) and bool(is_near)


class Watch:
    """Looks at a host: how far it is, and whether anybody is subscribed."""

    def __init__(self, network: NetworkProcess) -> None:
        self._network = network
        self._started = time.monotonic()
        self._left: float | None = None
        self.newest = 0
        self.away_s: list[float] = []
        """How long each time."""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def look(self, for_s: float) -> None:
        """Once, and wait."""
        (host,) = self._network.get()["hosts"]
        self.newest = host["newest"]
        now = time.monotonic()
        if not host["subscriptions"]:
            self._left = self._left or now
        elif self._left is not None:
            self.away_s.append(now - self._left)
            self._left = None
        time.sleep(for_s)


class Latencies(NamedTuple):
    """Of accounts whose identity is known, in milliseconds, and of how many events of the one that stalls any came."""

    healthy_ms: list[float]
    stalled_ms: list[float]
    passed: int
    waiting: int


def measure_stall(recording: Path) -> Latencies:
    """The same twice, each time with a relay to which everybody is unknown; in the second one account stays so."""
    stalled = did_of(next(read_recording(recording)))
    healthy, _ = measure_known(recording, ())
    others, waiting = measure_known(recording, (stalled,))
    passed = sum(did_of(frame) == stalled for _, frame in others)
    return Latencies(latencies_ms(healthy), latencies_ms(others), passed, waiting)


def measure_known(recording: Path, stalled: tuple[str, ...]) -> tuple[list[tuple[int, bytes]], int]:
    """What comes once the others are known, and how many events are in flight at the end."""
    replay = replay_of(recording, "--replay-rate", str(KNOWN_EVENTS_PER_S), "--replay-restamp")
    with NetworkProcess(replay) as network:
        for did in stalled:
            network.post("/plc/fail", did=did, stall=True)
        with relay_on(network, 0, "strict") as relay, FrameReader(relay.worker_url) as reader:
            read_for(reader, WARM_UP_S)
            frames = read_for(reader, STEADY_S)
            return frames, state_of(relay)["upstream"]["in_flight"]


def did_of(frame: bytes) -> str:
    fields = fields_of(frame)
    return str(fields.get("repo") or fields["did"])


def latencies_ms(frames: list[tuple[int, bytes]]) -> list[float]:
    return [(read_us - time_of(frame)) / 1_000 for read_us, frame in frames]


def report_strangers(per_second: int, seen: Absorbed) -> None:
    name = f"{STRANGERS:,} unknown, PLC_RPS {per_second}"
    least_s = STRANGERS / per_second
    row(f"{name}: all known after", f"{seen.known_s:.0f} s", f"{least_s:.0f} s are the least at this budget")
    row(f"{name}: live after", f"{seen.live_s:.0f} s")
    row(
        f"{name}: upstream paused",
        f"{seen.pauses} times",
        f"{seen.away_s:.1f} s in all, {seen.longest_s:.1f} s at most",
    )
    row(f"{name}: look-ups", f"{seen.asked:,}", f"{seen.most_waiting:,} DIDs waited at most")
    if seen.cpu_s:
        row(f"{name}: CPU", f"{seen.cpu_s / seen.live_s:.0%} of a core")


def report_stall(seen: Latencies) -> None:
    for name, values in (("nobody stalls", seen.healthy_ms), ("one account stalls", seen.stalled_ms)):
        low, high = spread(values)
        row(f"latency of known accounts, {name}", f"p50 {low:.0f} ms, p99 {high:.0f} ms", f"{len(values):,} events")
    (low, high), (was_low, was_high) = spread(seen.stalled_ms), spread(seen.healthy_ms)
    row("added by the one that stalls", f"p50 {low - was_low:+.0f} ms, p99 {high - was_high:+.0f} ms")
    row("its own events", f"{seen.passed} passed", f"{seen.waiting} wait")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    started = time.monotonic()
    strangers, known = strangers_recording(STRANGERS, EVENTS), production_recording(KNOWN_EVENTS)
    print(f"{heading()}; the directory takes {LATENCY_S * 1_000:.0f} ms\n")
    for per_second in BUDGETS:
        report_strangers(per_second, measure_strangers(strangers, per_second))
    report_stall(measure_stall(known))
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
