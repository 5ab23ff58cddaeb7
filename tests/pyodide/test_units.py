"""The unit tests of the Worker's package once more, inside Pyodide in the version of the Worker's runtime.

One run of all of them; each file of tests is one test here.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.modules import vendor
from edgerelay_dev.offline.stamp import stale

CHECKOUT = Checkout.of_this_file()
RUNNER = Path(__file__).with_name("run_python.mjs")
UNITS = CHECKOUT.root / "tests" / "unit"
# The tests of edgerelay_dev stay native: that package never runs in the Worker.
FILES = sorted(path for path in UNITS.rglob("test_*.py") if path.relative_to(UNITS).parts[0] != "dev")
# pytest and what it needs, in the versions that run the native tests.
RUNNER_PACKAGES = (
    "hypothesis",
    "iniconfig",
    "packaging",
    "pluggy",
    "pygments",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "sortedcontainers",
)
# Lets Python wait for a promise, as it can in the Worker's runtime; Node 22 has it behind a flag.
NODE_FLAGS = ("--experimental-wasm-jspi",)
TIMEOUT_S = 900


class Report(NamedTuple):
    """What one run said, by the file of the test."""

    tests: Counter[str]
    failures: dict[str, list[str]]
    skips: dict[str, list[str]]
    output: str


@pytest.fixture(scope="session")
def packages() -> Path:
    """The Worker's packages and pytest, unpacked for Pyodide."""
    dependencies = tomllib.loads((CHECKOUT.root / "pyproject.toml").read_text())["project"]["dependencies"]
    requirements = [*dependencies, *(f"{name}=={version(name)}" for name in RUNNER_PACKAGES)]
    target = CHECKOUT.cache / "pyodide_packages"
    with stale(target.with_suffix(".stamp"), target, json.dumps(requirements).encode()) as is_stale:
        if is_stale:
            vendor(requirements, target)
    return target


@pytest.fixture(scope="session")
def report(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Run all unit tests inside Pyodide, once."""
    results = tmp_path_factory.mktemp("pyodide")
    mounts = [f"{CHECKOUT.root}=/project", f"{packages}=/packages", f"{results}=/results"]
    environment = {
        "PYTHONPATH": "/packages:/project/src/worker",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CI": "1",
        "HOME": "/home/pyodide",
    }
    shared = Path(os.environ.get("EDGERELAY_VECTORS", CHECKOUT.root.parent / "shared"))
    if shared.is_dir():
        mounts.append(f"{shared}=/shared")
        environment["EDGERELAY_VECTORS"] = "/shared"
    arguments = ["--junitxml=/results/units.xml", "-o", "junit_family=xunit1", "-o", "timeout=0"]
    arguments += ["-p", "no:cacheprovider", "--ignore=tests/unit/dev", "tests/unit"]
    finished = subprocess.run(
        [CHECKOUT.node, *NODE_FLAGS, RUNNER, *mounts, "--", "pytest", *arguments],
        env={**os.environ, "PYODIDE_ENVIRONMENT": json.dumps(environment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    results_xml = results / "units.xml"
    assert results_xml.exists(), f"pytest did not run inside Pyodide:\n{finished.stdout}"
    return _read(results_xml, finished.stdout)


def _read(results_xml: Path, output: str) -> Report:
    found = Report(Counter(), {}, {}, output)
    for case in ElementTree.parse(results_xml).iter("testcase"):
        # A file that cannot be imported is a test case without a file, named by its module.
        file = case.get("file") or f"{case.get('name', '').replace('.', '/')}.py"
        found.tests[file] += 1
        for problem in [*case.iter("failure"), *case.iter("error")]:
            found.failures.setdefault(file, []).append(f"{case.get('name')}\n{problem.text}")
        for skip in case.iter("skipped"):
            found.skips.setdefault(file, []).append(f"{case.get('name')}: {skip.get('message')}")
    return found


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("path", [str(path.relative_to(CHECKOUT.root)) for path in FILES])
def test_unit_tests_pass_inside_pyodide(report: Report, path: str) -> None:
    assert not report.failures.get(path), "\n\n".join(report.failures[path])
    assert report.tests[path] > 0, f"{path} was not collected:\n{report.output}"
    if len(report.skips.get(path, [])) == report.tests[path]:
        pytest.skip("; ".join(sorted(set(report.skips[path]))))


@pytest.mark.timeout(TIMEOUT_S)
def test_nothing_failed_outside_a_file_of_tests(report: Report) -> None:
    known = {str(path.relative_to(CHECKOUT.root)) for path in FILES}
    assert not {file: problems for file, problems in report.failures.items() if file not in known}, report.output
