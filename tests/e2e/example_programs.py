"""The programs of examples/, and one beside them, as processes: prepared when first needed, and what they print."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.modules import vendor
from tests.e2e.subscriber import wait_until
from tests.npm_install import install

__all__ = ["ATPROTO_JETSTREAM", "HAS_GO", "ROOT", "Program", "Programs", "examples", "go"]

ROOT = Checkout.of_this_file().root
EXAMPLES = ROOT / "examples"
ATPROTO_JETSTREAM = "tests/peers/atproto_jetstream_reader.py"
"""Reads like an example, with a package of PyPI that few can have: it is for Python 3.14."""
ATPROTO_JETSTREAM_PIN = "atproto_jetstream==0.3.0"
"""No extra of the project: the package atproto brings another one of this name."""
HAS_GO = shutil.which("go") is not None
BUILD_LIMIT_S = 300.0
"""Fetching and compiling take half a minute on two cores that have nothing else to do."""
STOP_LIMIT_S = 10.0
TAIL_LINES = 15
"""How much of what a program said about its troubles a failure quotes."""


def examples(name: str) -> list[str]:
    """The examples whose names begin so: a file of Python or JavaScript, a folder of Go."""
    patterns = (f"python/{name}*.py", f"javascript/{name}*.mjs", f"go/{name}*/")
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in EXAMPLES.glob(pattern))


class Programs:
    """Knows how each example is started.

    Attributes:
        folder: what is built and logged lies there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def start(self, example: str, *arguments: str) -> Program:
        """A program that runs as long as it is entered."""
        self._count += 1
        return Program([*self._command(example), *arguments], self.folder / f"{self._count}.log")

    def _command(self, example: str) -> list[str]:
        path = ROOT / example
        match path.suffix:
            case ".py":
                if example == ATPROTO_JETSTREAM:
                    vendor([ATPROTO_JETSTREAM_PIN], path.with_name("python_modules"))
                return [sys.executable, str(path)]
            case ".mjs":
                return [self._node, str(path)]
        return [str(self._go / path.name)]

    @cached_property
    def _node(self) -> str:
        install(EXAMPLES / "javascript")
        return str(Checkout.of_this_file().node)

    @cached_property
    def _go(self) -> Path:
        """The folder of the programs in Go."""
        folder = self.folder / "go"
        folder.mkdir()
        go("go", "build", "-o", str(folder), "./...")
        return folder


def go(*command: str) -> str:
    """What a command of Go's tools says about the examples; raises with it if that is a failure."""
    finished = subprocess.run(
        command,
        cwd=EXAMPLES / "go",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BUILD_LIMIT_S,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{finished.stdout}")
    return finished.stdout


class Program:
    """A context manager: entering starts the program, leaving kills it.

    Attributes:
        lines: what it has printed so far.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(STOP_LIMIT_S)
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive()

    def wait_for(self, count: int, limit_s: float) -> None:
        """Wait until it has printed so many lines."""
        try:
            wait_until(lambda: len(self.lines) >= count, limit_s, f"{count} lines of {self._command}")
        except AssertionError as error:
            tail = "\n".join(self.troubles()[-TAIL_LINES:])
            error.add_note(f"there are {len(self.lines)}; it ended with {self._process.poll()}, and said:\n{tail}")
            raise

    def troubles(self) -> list[str]:
        """The lines that it has written about what went wrong."""
        return self._log.read_text().splitlines()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))
