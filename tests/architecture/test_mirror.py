"""The tests mirror the modules: one file of tests for each, at the same place."""

from __future__ import annotations

from tests.architecture.source import ROOT, WORKER, modules

UNITS = ROOT / "tests" / "unit"

# `cloudflare` is wiring that exists only on the platform, where the end-to-end tests run it.
MODULES = {
    module.path.relative_to(WORKER / "edgerelay")
    for module in modules(WORKER)
    if module.path.is_relative_to(WORKER / "edgerelay")
    and module.layer != "cloudflare"
    and module.path.name != "__init__.py"
}
TESTED = {
    path.relative_to(UNITS).with_name(path.name.removeprefix("test_"))
    for path in UNITS.rglob("test_*.py")
    if path.relative_to(UNITS).parts[0] != "dev"
}


def test_a_module_has_its_tests() -> None:
    untested = sorted(map(str, MODULES - TESTED))
    assert not untested


def test_tests_have_their_module() -> None:
    orphans = sorted(map(str, TESTED - MODULES))
    assert not orphans
