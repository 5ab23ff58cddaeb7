"""Installs the peers of the end-to-end tests: real AT Protocol software from npm, as package-lock.json says.

Does nothing when they are installed already, and is safe to run twice at the same time. The tests run it by themselves;
run by hand or by make it is the same one step. It needs npm and nothing else: no script of any package is run, and
nothing is compiled.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

__all__ = ["InstallError", "install"]

PEERS = Path(__file__).resolve().parent
STAMP = PEERS / "node_modules" / ".installed"
"""Inside the folder that `npm ci` removes first, so that an install that fails leaves none."""
TIMEOUT_S = 600.0
"""It takes half a minute; a slow registry has taken three."""
TAIL_LINES = 30
"""How much of npm's output a failure shows."""


class InstallError(Exception):
    """The peers could not be installed; the message says why."""


def install() -> None:
    """Bring node_modules to what package-lock.json says."""
    pins = [(PEERS / name).read_bytes() for name in ("package.json", "package-lock.json")]
    key = hashlib.sha256(b"\0".join(pins)).hexdigest()
    with (PEERS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not STAMP.exists() or STAMP.read_text() != key:
            print("tests/peers: installing from npm, about half a minute")
            _install()
            STAMP.write_text(key)


def _install() -> None:
    command = ["npm", "ci", "--ignore-scripts", "--loglevel=error"]
    try:
        finished = subprocess.run(
            command,
            cwd=PEERS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError:
        raise InstallError("the peers of the end-to-end tests need npm") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"`{' '.join(command)}` took longer than {TIMEOUT_S:.0f} s in {PEERS}") from None
    if finished.returncode != 0:
        tail = "\n".join(finished.stdout.splitlines()[-TAIL_LINES:])
        raise InstallError(f"`{' '.join(command)}` failed in {PEERS}:\n{tail}")


if __name__ == "__main__":
    try:
        install()
    except InstallError as error:
        sys.exit(f"tests/peers: {error}")
