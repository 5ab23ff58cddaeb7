"""A short search of each target by the coverage-guided fuzzer, and its seeds alone. `make fuzz` searches longer."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.fuzz.campaign import fuzz
from tests.fuzz.targets import TARGETS, attempt

SECONDS = 3
RUNS = 2_000
SEED = 1
"""The same attempts on every machine that is fast enough: what was found once is found again."""

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: there is no wheel of it for this Python and platform, or `make setup` found none",
)


@pytest.mark.parametrize("name", TARGETS)
def test_some_seed_is_right_and_none_is_a_finding(name: str) -> None:
    target = TARGETS[name]
    taken = [attempt(target, data) for data in target.seeds()]
    assert any(taken)


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_search_finds_nothing(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, tmp_path, seconds=SECONDS, runs=RUNS, seed=SEED)
    assert not outcome.is_finding, outcome.output
    # Without instrumentation nothing of the package is ever reached.
    assert outcome.coverage > 20, outcome.output
    assert outcome.runs > len(list(TARGETS[name].seeds())), outcome.output
