"""Vendored packages: all or nothing, and for the platform of the Worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerelay_dev.offline.checkout import Checkout, IncompleteError
from edgerelay_dev.offline.modules import vendor
from edgerelay_dev.offline.preparation import prepare


def test_a_failure_says_why_and_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "modules"
    target.mkdir()
    (target / "kept.py").touch()
    with pytest.raises(IncompleteError, match="Invalid requirement"):
        vendor(["not a requirement"], target)
    assert [path.name for path in target.iterdir()] == ["kept.py"]


def test_the_compiled_packages_are_those_of_the_workers_platform() -> None:
    checkout = prepare(Checkout.of_this_file()).checkout
    libraries = [path.name for path in checkout.python_modules.rglob("*.so")]
    assert libraries == ["_cbor2.cpython-314-wasm32-emscripten.so"]


def test_no_console_scripts_are_kept() -> None:
    checkout = prepare(Checkout.of_this_file()).checkout
    assert not (checkout.python_modules / "bin").exists()
    assert (checkout.python_modules / "workers").is_dir()
