"""How benchmarks print what they saw."""

from __future__ import annotations

import os
import platform
import time
from statistics import quantiles

__all__ = ["heading", "load", "row", "spread", "target"]


def heading() -> str:
    """When and on what."""
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {platform.machine()}, {load()}"


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def row(what: str, *cells: str) -> None:
    print(f"{what:<46} {cells[0]:>24}   {'; '.join(each for each in cells[1:] if each)}", flush=True)


def spread(values: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile."""
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]


def target(reached: bool, text: str) -> str:
    return f"target {text}: {'reached' if reached else 'MISSED'}"
