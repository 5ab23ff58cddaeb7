"""What is timed on CPython and in Pyodide alike: work over the frames of a recording."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["best_us", "cpu_s", "read_frames"]

LENGTH_BYTES = 4


def read_frames(path: Path) -> Iterator[bytes]:
    """The frames of a recording."""
    with path.open("rb") as file:
        while prefix := file.read(LENGTH_BYTES):
            yield file.read(int.from_bytes(prefix, "big"))


def cpu_s() -> float:
    """CPU time of this process, of which Pyodide knows nothing: there Node tells it."""
    if sys.platform != "emscripten":
        return time.process_time()
    from js import process  # noqa: TID251 - of Node, in which Pyodide runs here

    used = process.cpuUsage()
    return float(used.user + used.system) / 1e6


def best_us(
    work: Callable[[Any], object], items: Sequence[Any], rounds: int, clock_s: Callable[[], float] = time.perf_counter
) -> float:
    """Microseconds of one item, on average, each with the best of its rounds."""
    best = [float("inf")] * len(items)
    for _ in range(rounds):
        for index, item in enumerate(items):
            started = clock_s()
            work(item)
            best[index] = min(best[index], clock_s() - started)
    return sum(best) / len(items) * 1e6
