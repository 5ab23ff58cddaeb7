"""Runs targets one after the other, each in a process of its own, and reads what the fuzzer says about it."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.targets import TARGETS

__all__ = ["Outcome", "fuzz"]

_ROOT: Final = Path(__file__).resolve().parents[2]

MAX_INPUT_BYTES: Final = 8_192
"""The largest input that is tried: the largest seed has 4 KB. Larger ones only make each attempt slow."""

INPUT_TIMEOUT_S: Final = 10
"""One input that takes longer is a finding."""

MEMORY_MB: Final = 2_048
"""A process that holds more is a finding; without a finding it has some 150 MB."""

START_S: Final = 60
"""To import and instrument everything: two seconds on an idle machine."""

_PROGRESS: Final = re.compile(r"^#(\d+)\s.*? cov: (\d+)", re.MULTILINE)


class Outcome(NamedTuple):
    """What came of one target."""

    runs: int
    coverage: int
    """Places of the instrumented package that were reached."""

    is_finding: bool
    output: str


def fuzz(name: str, folder: Path, *, seconds: int, runs: int = -1, seed: int = 0) -> Outcome:
    """Search one target.

    Args:
        folder: keeps inputs that reach something new, for the next search, and those that are findings.
        runs: attempts after which it ends before its time; -1 for as many as there is time for.
        seed: of the fuzzer's random numbers; 0 is another one each time.
    """
    corpus = folder / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in TARGETS[name].seeds():
        (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)
    # A process is born with the peak of its parent, which the fuzzer takes for its own.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    arguments = [
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-rss_limit_mb={peak_mb + MEMORY_MB}",
        f"-artifact_prefix={folder / name}/",
    ]
    finished = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.engine", name, *arguments, str(corpus)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds + START_S + INPUT_TIMEOUT_S,
    )
    progress = _PROGRESS.findall(finished.stdout)
    runs, coverage = map(int, progress[-1]) if progress else (0, 0)
    return Outcome(runs, coverage, finished.returncode != 0, finished.stdout)
