"""Installs the npm packages of a folder as its package-lock.json says, for the tests that need them.

Does nothing when they are installed already, and is safe to run twice at the same time. It needs npm and nothing else:
no script of any package is run, and nothing is compiled.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path

__all__ = ["InstallError", "install"]

TIMEOUT_S = 600.0
"""The largest folder takes half a minute; a slow registry has taken three."""
TAIL_LINES = 30
"""How much of npm's output a failure shows."""


class InstallError(Exception):
    """The packages could not be installed; the message says why."""


def install(folder: Path) -> None:
    """Bring node_modules to what package-lock.json says."""
    pins = [folder / name for name in ("package.json", "package-lock.json")]
    # Inside the folder that `npm ci` removes first, so that an install that fails leaves none.
    stamp = folder / "node_modules" / ".installed"
    key = hashlib.sha256(b"\0".join(pin.read_bytes() for pin in pins)).hexdigest()
    with pins[0].open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != key:
            _install(folder)
            stamp.write_text(key)


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--ignore-scripts", "--loglevel=error"]
    try:
        finished = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError:
        raise InstallError(f"the packages of {folder} need npm") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"`{' '.join(command)}` took longer than {TIMEOUT_S:.0f} s in {folder}") from None
    if finished.returncode != 0:
        tail = "\n".join(finished.stdout.splitlines()[-TAIL_LINES:])
        raise InstallError(f"`{' '.join(command)}` failed in {folder}:\n{tail}")
