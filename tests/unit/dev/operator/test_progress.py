"""Progress is shown to whoever looks at a terminal, and to nobody else."""

from __future__ import annotations

import io
import sys

import pytest

from edgerelay_dev.operator.progress import progress, tell


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "stderr", "prints", "is_shown"),
    [
        (io.StringIO, Terminal, True, True),
        (Terminal, Terminal, False, True),
        (Terminal, Terminal, True, False),
        (Terminal, io.StringIO, False, False),
        (io.StringIO, io.StringIO, True, False),
    ],
)
def test_a_bar(
    monkeypatch: pytest.MonkeyPatch, stdout: type[io.StringIO], stderr: type[io.StringIO], prints: bool, is_shown: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setattr(sys, "stderr", shown := stderr())
    with progress(3, "objects", prints=prints) as done:
        done()
    assert ("/3" in shown.getvalue()) is is_shown
    assert isinstance(sys.stdout, io.StringIO)
    assert sys.stdout.getvalue() == ""


def test_what_is_told_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with progress(3, "objects") as done:
        done()
        tell("a problem")
    assert "\ra problem\n" in shown.getvalue()
