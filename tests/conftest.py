"""What all tests share. Runs in Pyodide too, so it imports nothing but pytest and hypothesis."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# No deadlines: the machine that runs the tests is shared. In CI every run draws the same examples, so that a change is
# blamed only for what it breaks; elsewhere each run looks somewhere new.
settings.register_profile("here", deadline=None, print_blob=True, database=None)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
# Pyodide is several times slower; its run shows that the code works there, the search goes on natively.
settings.register_profile(
    "pyodide", settings.get_profile("ci"), max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pyodide" if sys.platform == "emscripten" else "ci" if "CI" in os.environ else "here")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder that holds `vectors/` and `capture/`: $EDGERELAY_VECTORS, or `shared` beside the checkout."""
    folder = Path(os.environ.get("EDGERELAY_VECTORS", ROOT.parent / "shared"))
    if not (folder / "vectors").is_dir():
        pytest.skip(f"no vectors in {folder}: set EDGERELAY_VECTORS to the folder that holds vectors/ and capture/")
    return folder
