"""Attempts to connect by a process of its own, many at a time, while readers read on.

There is no room for any of them. Most come from addresses of their own; some from one that asks too often, too. All
must be refused and told when to come again, and whoever reads must get everything.
"""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from clients import Clients
from crowd import LIVE, Crowd, everybody_wants, latencies_ms, report_exactness
from expectation import event_of
from recordings import network_of, production_recording
from relay_runs import LIMIT_S, relay_on
from table import row, spread

from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.recording import read_recording

__all__ = ["measure_burst"]

RECORDED = 20_000
EVENTS_PER_S = 100
"""A quarter of the real network, so that there is something left for those who come."""

PAST = 100
QUIET_S = 10.0
"""Before the burst."""

AT_A_TIME = 64
BURST_LIMIT_S = 180.0
"""What is not tried by then is not."""

HASTY = 5
"""One of so many attempts is made from the same address."""

HASTY_ADDRESS = "203.0.113.1"


class Answer(NamedTuple):
    """What one attempt was answered."""

    status: int
    error: str
    says_when: bool
    """It has `Retry-After`."""


def measure_burst(attempts: int) -> None:
    """Run it. Fails unless every attempt was refused by name and every reader got what is due."""
    recording = production_recording(RECORDED)
    frames = list(read_recording(recording))
    wants = everybody_wants(list(map(event_of, frames)))
    with network_of(recording, "--replay-restamp") as network:
        network.post("/hosts/0/faults", stall=True)
        with (
            relay_on(network, 0, "trusted", CLIENTS_MAX=str(LIVE)) as relay,
            Clients() as clients,
            ProcessPoolExecutor(1) as pool,
        ):
            crowd = Crowd(network, relay, clients, wants)
            crowd.read_history(PAST)
            crowd.come()
            crowd.flow(EVENTS_PER_S * sum(map(len, frames)) / len(frames))
            clients.read_for(QUIET_S)
            began_us = time.time_ns() // 1_000
            storm = pool.submit(_storm, relay.worker_url, attempts)
            clients.read_until(storm.done, 2 * BURST_LIMIT_S, "the burst is over")
            ended_us = time.time_ns() // 1_000
            answers, waits_ms = storm.result()
            crowd.hush()
            crowd.catch_up()
            crowd.witness.check(frames)
            report_exactness(crowd)
    seconds = (ended_us - began_us) / 1_000_000
    low, high = spread(waits_ms)
    row("attempts", f"{len(waits_ms):,} in {seconds:.0f} s", f"answered after p50 {low:.0f} ms, p99 {high:.0f} ms")
    for answer, count in answers.most_common():
        row(f"{answer.status} {answer.error}", f"{count:,}", "with Retry-After" if answer.says_when else "")
    for what, begin_us, end_us in ("before", 0, began_us), ("in the burst", began_us, ended_us):
        low, high = spread(latencies_ms(crowd, begin_us, end_us))
        row(f"latency of readers {what}", f"p50 {low:.0f} ms, p99 {high:.0f} ms")
    if any(answer.status not in (429, 503) or not answer.says_when for answer in answers):
        raise AssertionError(f"not everybody was refused: {answers}")


def _storm(url: str, attempts: int) -> tuple[Counter[Answer], list[float]]:
    """Answers, and the milliseconds that each took."""
    deadline = time.monotonic() + BURST_LIMIT_S
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        made = [each for each in pool.map(partial(_attempt, url, deadline), range(attempts)) if each is not None]
    return Counter([answer for answer, _ in made]), [wait_ms for _, wait_ms in made]


def _attempt(url: str, deadline: float, number: int) -> tuple[Answer, float] | None:
    """None if it is too late to try."""
    started = time.monotonic()
    if started > deadline:
        return None
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" if number % HASTY else HASTY_ADDRESS
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "CF-Connecting-IP": address}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)
    try:
        connection.request("GET", SUBSCRIBE, headers=headers)
        got = connection.getresponse()
        error = json.loads(got.read())["error"] if got.status != 101 else ""
        answer = Answer(got.status, error, got.getheader("retry-after") is not None)
    except (OSError, http.client.HTTPException) as problem:
        answer = Answer(0, repr(problem)[:80], False)
    finally:
        connection.close()
    return answer, (time.monotonic() - started) * 1_000
