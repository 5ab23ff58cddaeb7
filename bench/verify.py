"""Measure full verification: how many events a second pass through a strict relay, and where the time goes.

    python bench/verify.py [--runs N]

Prints the stages of one commit, inside Pyodide and on CPython, and then the real thing: a strict relay on workerd that
takes a recording as fast as it can, beside one that trusts its host. How to read it, and what it showed, is in
README.md.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

from both_pythons import in_pyodide, natively
from recordings import production_recording, replay_of
from relay_runs import Flow, measure_flow
from table import heading, load, row, target

from edgerelay_dev.network import NetworkProcess
from edgerelay_dev.network.recording import read_recording

EVENTS = 20_000
RUNS = 3
TARGET_COMMITS_PER_S = 2_000
PLAIN_COMMITS_PER_S = 1_470
"""A plain first version, measured inside the Worker without a relay around it: frame, CAR, commit object, inversion,
K-256, and encoding again."""

WHOLE = "a whole relay without sockets"
K256, P256 = "signature, K-256", "signature, P-256"


def report_stages(pyodide: Any, native: Any) -> None:
    """What each stage takes; the relay checks either of the two signatures of a commit."""
    share_k256 = pyodide["k256"] / pyodide["commits"]
    print(f"{pyodide['commits']} commits, {share_k256:.0%} of them signed with K-256; microseconds of one\n")
    print(f"{'':<34} {'Pyodide ' + pyodide['python']:>16} {'CPython ' + native['python']:>16}")
    for stage, in_us in pyodide["stages"].items():
        if stage == WHOLE:
            _stage("the rest: turns, order, storage", in_us - _sum(pyodide), native["stages"][WHOLE] - _sum(native))
        _stage(stage, in_us, native["stages"][stage])
    per_s = 1e6 / pyodide["stages"][WHOLE]
    print(f"{'events/s':<34} {per_s:>16,.0f} {1e6 / native['stages'][WHOLE]:>16,.0f}\n")


def _stage(name: str, *columns_us: float) -> None:
    print(f"{name:<34} " + " ".join(f"{each:>16.1f}" for each in columns_us))


def _sum(measured: Any) -> float:
    """All stages of one event, with signatures as the recording mixes them."""
    stages, share_k256 = measured["stages"], measured["k256"] / measured["commits"]
    others = sum(each for name, each in stages.items() if name not in (WHOLE, K256, P256))
    return float(others + share_k256 * stages[K256] + (1 - share_k256) * stages[P256])


def report_flows(verify: str, flows: list[Flow]) -> None:
    name = f"relay, {verify}"
    rates, cpus = sorted(each.events_per_s for each in flows), sorted(each.cpu_us for each in flows)
    best = rates[-1]
    row(f"{name}: events/s, each run", " ".join(f"{each:,.0f}" for each in rates))
    if cpus[0]:
        row(f"{name}: CPU, least and median", f"{cpus[0]:,.0f} and {median(cpus):,.0f} us", f"{load()} at the end")
    if verify == "strict":
        goal = target(best >= TARGET_COMMITS_PER_S, f">= {TARGET_COMMITS_PER_S:,}")
        ratios = f"{best / TARGET_COMMITS_PER_S:.2f} of the target, {best / PLAIN_COMMITS_PER_S:.2f} of a plain version"
        row(f"{name}: best run", f"{best:,.0f} events/s", ratios, goal)
        if cpus[0]:
            row(f"{name}: one core, by CPU time", f"{1e6 / cpus[0]:,.0f} events/s")
        row(f"{name}: connections, each run", " ".join(str(each.connections) for each in flows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of the relay, in each mode (default: {RUNS})")
    options = parser.parse_args()
    started = time.monotonic()
    recording = production_recording(EVENTS)
    sizes = [len(frame) for frame in read_recording(recording)]
    print(f"{heading()}; frames of {sum(sizes) // len(sizes):,} B on average; ", end="", flush=True)
    report_stages(in_pyodide("stages", recording), natively("stages", recording))
    flows: dict[str, list[Flow]] = {"trusted": [], "strict": []}
    with NetworkProcess(replay_of(recording)) as network:
        for _ in range(options.runs):  # in turn, so that a busy minute does not fall on one of them alone
            for verify, seen in flows.items():
                seen.append(measure_flow(network, 0, len(sizes), verify, 1))
    for verify, seen in flows.items():
        report_flows(verify, seen)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


if __name__ == "__main__":
    main()
