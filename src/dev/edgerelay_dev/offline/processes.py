"""The descendants of a process, from what the operating system says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Process", "descendants", "running"]


PROC = Path("/proc")
"""Where Linux says it; elsewhere `ps` does, which a small Linux image may lack."""

ENDED = ("Z", "X")
"""States of a process that only waits to be waited for."""


class Process(NamedTuple):
    """One process that has not ended; `command` is its whole command line, which is empty while it is being started."""

    pid: int
    parent: int
    command: str


def descendants(pid: int) -> list[Process]:
    """Return every process below `pid`, parents before their children."""
    everything = _running()
    found: list[Process] = []
    below = {pid}
    while generation := [process for process in everything if process.parent in below]:
        found += generation
        below = {process.pid for process in generation}
    return found


def running(pids: Iterable[int]) -> list[int]:
    """Return those of the processes that still run."""
    alive = {process.pid for process in _running()}
    return [pid for pid in pids if pid in alive]


def _running() -> list[Process]:
    return _from_proc() if PROC.is_dir() else _from_ps()


def _from_proc() -> list[Process]:
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            # "pid (name) state parent ...", where the name may hold spaces and brackets.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if state not in ENDED:
            found.append(Process(int(folder.name), int(parent), command))
    return found


def _from_ps() -> list[Process]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,state=,args="], check=True, capture_output=True, text=True)
    rows = [line.split(maxsplit=3) for line in listing.stdout.splitlines()]
    return [Process(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and row[2][0] not in ENDED]
