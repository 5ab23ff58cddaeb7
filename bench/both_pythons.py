"""Runs a benchmark of this folder on CPython, and inside Pyodide in the version and with the packages of the Worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgerelay_dev.offline.checkout import Checkout

__all__ = ["in_pyodide", "natively"]

BENCH = Path(__file__).parent
NODE_FLAGS = ("--experimental-wasm-jspi",)
"""Lets Python wait for a promise, as it can in the Worker's runtime."""


def natively(module: str, recording: Path) -> Any:
    """What the module prints, given a recording."""
    checkout = Checkout.of_this_file()
    return _run([sys.executable, str(BENCH / f"{module}.py"), str(recording)], {"PYTHONPATH": str(checkout.root)})


def in_pyodide(module: str, recording: Path) -> Any:
    """The same with the Worker's packages and its own cryptography, in the Pyodide of its runtime."""
    checkout = Checkout.of_this_file()
    runner = checkout.root / "tests" / "pyodide" / "run_python.mjs"
    mounts = [f"{checkout.root}=/project", f"{checkout.python_modules}=/packages", f"{recording.parent}=/recordings"]
    paths = "/packages:/project/src/worker:/project:/project/bench"
    environment = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/pyodide"}
    command = [str(checkout.node), *NODE_FLAGS, str(runner), *mounts, "--", module, f"/recordings/{recording.name}"]
    return _run(command, {"PYODIDE_ENVIRONMENT": json.dumps(environment)})


def _run(command: list[str], environment: dict[str, str]) -> Any:
    finished = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(finished.stdout)
