"""Measure the compaction on the offline runtime: seconds, CPU time and memory of a run that joins an hour.

    python bench/compaction.py

A trusted relay archives the recording of `ingest.py`; then its clock is shifted by more than an hour, and the cron is
fired by hand: joined, looked through once more, taken away. What it showed is in docs/decisions/0017-segments.md.
"""

from __future__ import annotations

import time
from urllib.request import urlopen

from heap import measure_heap
from ingest import memory
from recordings import production_recording, replay_of
from relay_runs import LIMIT_S, cpu_s, relay_on, state_of, wait_for_state
from table import heading, load, row

from edgerelay_dev.network import NetworkProcess
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.workerd import RelayProcess

EVENTS = 20_000
HOUR_IS_OVER = {"REHEARSAL_CLOCK_S": "4000", "UPSTREAM": ""}
GRACE_IS_OVER = {"REHEARSAL_CLOCK_S": "5000", "UPSTREAM": ""}


def names(relay: RelayProcess, prefix: str) -> int:
    """How many objects there are."""
    with urlopen(f"{relay.url}/rehearsal/objects?argument={prefix}/", timeout=LIMIT_S) as answer:
        return int(answer.read().count(b".ers"))


def restart(relay: RelayProcess, settings: dict[str, str]) -> None:
    relay.stop()
    relay.vars |= settings
    relay.start()


def fire(relay: RelayProcess, what: str) -> None:
    before_s, started = cpu_s(relay.worker_pid), time.monotonic()
    relay.fire_cron()
    row(what, f"{time.monotonic() - started:.1f} s", f"{cpu_s(relay.worker_pid) - before_s:.1f} s of CPU")


def main() -> None:
    recording = production_recording(EVENTS)
    sizes = [len(frame) for frame in read_recording(recording)]
    print(f"{heading()}\n")
    with (
        NetworkProcess(replay_of(recording)) as network,
        relay_on(network, 0, "trusted", REHEARSAL="on") as relay,
    ):
        state = wait_for_state(
            relay, lambda state: state["events"] >= len(sizes) and not state["archive"]["waiting_bytes"]
        )
        groups = names(relay, "groups")
        deadline = time.monotonic() + LIMIT_S
        while names(relay, "jetstream") < groups and time.monotonic() < deadline:
            time.sleep(1)
        row(
            "groups",
            str(groups),
            f"{state['archive']['bytes'] / 1e6:.1f} MB",
            f"{names(relay, 'jetstream')} have lines",
        )
        row("memory before", *memory(measure_heap(relay.inspector_port)))
        restart(relay, HOUR_IS_OVER)
        fire(relay, "joined")
        segments = state_of(relay)["archive"]["segments"]
        row("segments", str(segments["firehose_objects"]), f"{segments['firehose_bytes'] / 1e6:.1f} MB")
        row("segments of lines", str(segments["jetstream_objects"]), f"{segments['jetstream_bytes'] / 1e6:.1f} MB")
        row("memory after", *memory(measure_heap(relay.inspector_port)))
        fire(relay, "nothing to do")
        restart(relay, GRACE_IS_OVER)
        fire(relay, "taken away")
        row("groups", str(names(relay, "groups")))
    print(f"\n{load()}")


if __name__ == "__main__":
    main()
