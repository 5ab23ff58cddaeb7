"""Measure rendering: how many Jetstream lines a second one core makes of frames, and where the time goes.

    python bench/lines.py [RECORDING]

How to read it, and what it showed, is in README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from both_pythons import in_pyodide, natively
from recordings import production_recording
from table import heading, load, row, target

EVENTS = 20_000
TARGET_LINES_PER_S = 5_000
WHOLE = "all of a frame's lines"


def lines_per_s(measured: Any) -> float:
    return float(measured["lines"] / measured["frames"] / measured["stages"][WHOLE] * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, nargs="?", help="another than that of the simulated network")
    recording = parser.parse_args().recording or production_recording(EVENTS)
    pyodide, native = in_pyodide("line_stages", recording), natively("line_stages", recording)
    print(f"{heading()}; {pyodide['lines']} lines of {pyodide['line_bytes']:,} B on average; microseconds\n")
    print(f"{'':<34} {'Pyodide ' + pyodide['python']:>16} {'CPython ' + native['python']:>16}")
    for stage, in_us in pyodide["stages"].items():
        print(f"{stage:<34} {in_us:>16.1f} {native['stages'][stage]:>16.1f}")
    rate = lines_per_s(pyodide)
    goal = target(rate >= TARGET_LINES_PER_S, f">= {TARGET_LINES_PER_S:,}")
    print()
    row("lines/s, Pyodide", f"{rate:,.0f}", goal)
    row("lines/s, CPython", f"{lines_per_s(native):,.0f}", load())


if __name__ == "__main__":
    main()
