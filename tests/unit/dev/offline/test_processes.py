"""Descendants of a process, as the operating system knows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from edgerelay_dev.offline.processes import descendants, running


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """A shell with a shell with a sleep; the inner shell says when all are there."""
    inner = "sleep 60 & echo ready; wait"
    with subprocess.Popen(["sh", "-c", f"sh -c '{inner}'; true"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        for each in descendants(process.pid):
            os.kill(each.pid, 9)
        process.kill()


def test_children_and_their_children_are_found_parents_first(family: subprocess.Popen[str]) -> None:
    found = descendants(family.pid)
    assert [process.command.split()[0] for process in found] == ["sh", "sleep"]
    assert [process.parent for process in found] == [family.pid, found[0].pid]


def test_a_process_without_children_has_no_descendants(family: subprocess.Popen[str]) -> None:
    assert descendants(descendants(family.pid)[-1].pid) == []


def test_a_process_that_has_ended_does_not_run_even_before_it_is_waited_for() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert running([process.pid, os.getpid()]) == [process.pid, os.getpid()]
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
        assert running([process.pid, os.getpid()]) == [os.getpid()]
