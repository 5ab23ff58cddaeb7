"""Installs the peers of the end-to-end tests: real AT Protocol software from npm, as package-lock.json says.

Does nothing when they are installed already, and is safe to run twice at the same time. The tests run it by themselves;
run by hand or by make it is the same one step. It needs npm, make, Python and a C++ compiler, because the PDS keeps its
accounts in SQLite and that is compiled here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from edgerelay_dev.offline.checkout import Checkout, IncompleteError

__all__ = ["PEERS", "install"]

PEERS = Path(__file__).resolve().parent
STAMP = PEERS / "node_modules" / ".installed"
"""Inside the folder that `npm ci` removes first, so that an install that fails leaves none."""
TOOLS = ("npm", "make", "python3", "c++")
STEP_TIMEOUT_S = 600.0
"""Either step takes about half a minute; a slow registry has taken three."""
TAIL_LINES = 30
"""How much of a failed step's output is shown."""
COMPILER_FLAGS = "-O1"
"""SQLite at -O3 takes twice as long to compile, and the tests do not notice the difference."""


def install() -> None:
    """Bring node_modules to what package-lock.json says."""
    with (PEERS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        node = Checkout.of_this_file().node
        key = _key(node)
        if STAMP.exists() and STAMP.read_text() == key:
            return
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise IncompleteError(f"the peers of the end-to-end tests need {', '.join(missing)}")
        print("tests/peers: installing from npm, about a minute")
        # Only the one install script that is needed is run, and by the Node that will load what it makes.
        _run(node, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        _run(node, "npm", "rebuild", "better-sqlite3")
        STAMP.write_text(key)


def _key(node: Path) -> str:
    """Return what an installation depends on, hashed."""
    version = node.parent.parent / "package.json"
    inputs = [path.read_bytes() for path in (PEERS / "package.json", PEERS / "package-lock.json", version)]
    return hashlib.sha256(b"\0".join([*inputs, sys.platform.encode(), platform.machine().encode()])).hexdigest()


def _run(node: Path, *command: str) -> None:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)]),
        # node-gyp would fetch the headers of Node, and the package a compiled binary, from hosts of their own.
        "npm_config_nodedir": str(_headers(node)),
        "npm_config_build_from_source": "true",
        "CFLAGS": COMPILER_FLAGS,
        "CXXFLAGS": COMPILER_FLAGS,
    }
    finished = subprocess.run(
        command,
        cwd=PEERS,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=STEP_TIMEOUT_S,
    )
    if finished.returncode != 0:
        tail = "\n".join(finished.stdout.splitlines()[-TAIL_LINES:])
        raise IncompleteError(f"`{' '.join(command)}` failed in {PEERS}:\n{tail}")


def _headers(node: Path) -> Path:
    """Return the folder that holds include/node; npm's package of Node keeps it in one named after the platform."""
    found = sorted(node.parent.parent.glob("node_modules/*/include/node/node_api.h"))
    if len(found) != 1:
        raise IncompleteError(f"{len(found)} sets of headers in the npm package node, expected one: run `npm ci`")
    return found[0].parents[2]


if __name__ == "__main__":
    try:
        install()
    except (IncompleteError, subprocess.TimeoutExpired) as error:
        sys.exit(f"tests/peers: {error}")
