"""`python -m tests.fuzz [--seconds N] [TARGET...]`: what `make fuzz` runs."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from tests.fuzz.campaign import fuzz
from tests.fuzz.targets import TARGETS

FOLDER = Path(__file__).resolve().parents[2] / ".fuzz"
"""Inputs found so far; git ignores it."""

REPORT_CHARS = 3_000
"""The end of what the fuzzer says: the traceback and the input."""


def main() -> int:
    """Search each target; the exit status tells whether something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Search for inputs that raise too much.")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("needed: atheris, of which there is no wheel for this Python; see [project.optional-dependencies] fuzz")
        return 2
    findings = 0
    for name in options.targets or TARGETS:
        outcome = fuzz(name, FOLDER, seconds=options.seconds)
        verdict = "FOUND" if outcome.is_finding else "nothing"
        print(f"{name:14} {outcome.runs:>9} inputs {outcome.coverage:>5} places reached  {verdict}", flush=True)
        if outcome.is_finding:
            findings += 1
            print(
                f"{outcome.output}\nthe input is in {FOLDER / name}; to see it again: "
                f"python -m tests.fuzz.engine {name} FILE"
            )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
