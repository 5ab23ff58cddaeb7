"""The Worker's Python packages, unpacked for the platform of its runtime.

Online `pywrangler sync` does this from Pyodide's own index; here pip does it from wheels on the package index, which
hold the same versions for the same platform.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgerelay_dev.offline.checkout import IncompleteError

__all__ = ["TARGET", "vendor"]

TARGET = (
    *("--platform", "pyemscripten_2026_0_wasm32"),
    *("--implementation", "cp"),
    *("--python-version", "3.14"),
    *("--abi", "cp314"),
    "--only-binary=:all:",
)
"""pip's words for Python in Pyodide 314, which the compatibility date of wrangler.toml selects."""


def vendor(requirements: Sequence[str], target: Path) -> None:
    """Unpack exactly these packages into the folder `target`, in place of what it held."""
    fresh = target.with_name(f"{target.name}.partial")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += [*TARGET, "--no-deps", "--target", str(fresh), *requirements]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        raise IncompleteError(f"pip could not fetch the Worker's packages:\n{finished.stderr.strip()}")
    # pip's --target keeps console scripts beside the packages; the Worker would upload them.
    shutil.rmtree(fresh / "bin", ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
