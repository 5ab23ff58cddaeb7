"""The checkout: pins are read where they stand, and what does not match them is named with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgerelay_dev.offline.checkout import Checkout, IncompleteError

PYPROJECT = """\
[project]
dependencies = ["cbor2==1"]
[tool.uv]
constraint-dependencies = ["something==2", "workers-runtime-sdk==3"]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "package.json").write_text(json.dumps({"devDependencies": {"pyodide": "1.2.3"}}))
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return Checkout(tmp_path)


def install(checkout: Checkout, version: str) -> Path:
    folder = checkout.root / "node_modules" / "pyodide"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"version": version}))
    return folder


def test_an_installed_package_is_found(checkout: Checkout) -> None:
    assert install(checkout, "1.2.3") == checkout.pyodide


def test_a_missing_package_is_named_with_its_remedy(checkout: Checkout) -> None:
    with pytest.raises(IncompleteError, match="pyodide is not installed: run `npm ci`"):
        _ = checkout.pyodide


def test_a_package_of_another_version_is_refused(checkout: Checkout) -> None:
    install(checkout, "1.2.4")
    with pytest.raises(IncompleteError, match=r"pyodide is 1\.2\.4, but 1\.2\.3 is pinned: run `npm ci`"):
        _ = checkout.pyodide


def test_workerd_is_found_for_whatever_platform_it_is(checkout: Checkout) -> None:
    binary = checkout.root / "node_modules" / "@cloudflare" / "workerd-darwin-arm64" / "bin" / "workerd"
    binary.parent.mkdir(parents=True)
    binary.touch()
    assert checkout.workerd == binary


def test_a_missing_workerd_is_named(checkout: Checkout) -> None:
    with pytest.raises(IncompleteError, match="0 workerd binaries"):
        _ = checkout.workerd


def test_the_worker_gets_its_dependencies_and_the_sdk(checkout: Checkout) -> None:
    assert checkout.worker_requirements() == ["cbor2==1", "workers-runtime-sdk==3"]


def test_an_sdk_that_is_not_pinned_is_refused(checkout: Checkout) -> None:
    (checkout.root / "pyproject.toml").write_text(PYPROJECT.replace("sdk==3", "sdk>=3"))
    with pytest.raises(IncompleteError, match="constrains workers-runtime-sdk to 0 versions"):
        checkout.worker_requirements()


def test_this_checkout_is_complete() -> None:
    checkout = Checkout.of_this_file()
    for path in (checkout.node, checkout.wrangler, checkout.workerd, checkout.pyodide, checkout.wrangler_toml):
        assert path.exists()
    assert all("==" in requirement for requirement in checkout.worker_requirements())
