"""The derived configuration: production's, but for how Python is found, the settings, and where the files lie."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.configuration import derive, offline_flags, write_configuration

CHECKOUT = Checkout.of_this_file()
PRODUCTION = tomllib.loads(CHECKOUT.wrangler_toml.read_text())


def test_everything_else_is_productions() -> None:
    derived = derive(PRODUCTION, {})
    changed = {"main", "compatibility_flags", "vars", "env", "build", "secrets"}
    assert {key: value for key, value in derived.items() if key not in changed} == {
        key: value for key, value in PRODUCTION.items() if key not in changed
    }
    assert derived["vars"] == PRODUCTION["vars"]
    assert not {"env", "build", "secrets"} & set(derived)


def test_flags_are_added_and_none_is_lost() -> None:
    flags = offline_flags({"compatibility_flags": ["python_workers", "another"]})
    assert flags[:2] == ["python_workers", "another"]
    assert {"python_workers_development", "no_python_workers_20250116", "no_python_workers_314"} < set(flags)


def test_settings_win_over_those_of_the_file() -> None:
    settings = {"VERIFY": "trusted", "FLUSH_MS": "7"}
    assert derive(PRODUCTION, settings)["vars"] == {**PRODUCTION["vars"], **settings}
    assert PRODUCTION["vars"]["VERIFY"] != "trusted"


def test_the_sources_and_the_packages_lie_beside_the_file(tmp_path: Path) -> None:
    path = write_configuration(CHECKOUT, tmp_path, {"VERIFY": "trusted"})
    assert json.loads(path.read_text())["vars"]["VERIFY"] == "trusted"
    main = tmp_path / json.loads(path.read_text())["main"]
    assert main.read_bytes() == (CHECKOUT.root / PRODUCTION["main"]).read_bytes()
    assert (main.parent / "edgerelay" / "config.py").is_file()
    assert not list(main.parent.rglob("__pycache__"))
    assert (tmp_path / "python_modules").resolve() == CHECKOUT.python_modules


def test_writing_again_leaves_nothing_of_the_last_time(tmp_path: Path) -> None:
    (tmp_path / "python_modules").symlink_to(tmp_path)
    main = tmp_path / json.loads(write_configuration(CHECKOUT, tmp_path, {}).read_text())["main"]
    removed_since = main.with_name("removed_since.py")
    removed_since.touch()
    write_configuration(CHECKOUT, tmp_path, {})
    assert not removed_since.exists()
    assert (tmp_path / "python_modules").resolve() == CHECKOUT.python_modules
