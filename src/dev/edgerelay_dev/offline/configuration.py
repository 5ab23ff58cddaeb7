"""The wrangler configuration of the offline runtime, derived from wrangler.toml.

Differs from production only in how Python is found (a bundle from the disk) and in the values of settings. The sources
are copied beside it, because wrangler reloads a Worker whose files change: a relay runs what was there at its start.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgerelay_dev.offline.checkout import Checkout

__all__ = ["derive", "offline_flags", "write_configuration"]

OFFLINE_FLAGS = (
    "python_workers_development",
    # Without these two the released bundle wins, and is downloaded.
    "no_python_workers_20250116",
    "no_python_workers_314",
    "experimental",
)

SOURCES = "worker"
"""The copied folder of `main`, beside the derived file."""


def offline_flags(production: Mapping[str, Any]) -> list[str]:
    """Return the compatibility flags of wrangler.toml with those that take Python from the disk."""
    return [*production["compatibility_flags"], *OFFLINE_FLAGS]


def derive(production: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return wrangler's configuration for one relay: the top level of wrangler.toml with these settings on top.

    Environments are left out: what runs offline is what a plain `wrangler dev` runs. The build step is left out too:
    it has run already.
    """
    derived = {key: value for key, value in production.items() if key not in ("env", "build", "secrets")}
    derived["main"] = f"{SOURCES}/{Path(production['main']).name}"
    derived["compatibility_flags"] = offline_flags(production)
    derived["vars"] = {**production.get("vars", {}), **settings}
    return derived


def write_configuration(checkout: Checkout, folder: Path, settings: Mapping[str, str]) -> Path:
    """Write the derived configuration, and what has to lie beside it, into `folder`; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / checkout.python_modules.name
    modules.unlink(missing_ok=True)  # the state may have been another checkout's
    modules.symlink_to(checkout.python_modules, target_is_directory=True)
    production = tomllib.loads(checkout.wrangler_toml.read_text())
    sources = folder / SOURCES
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(
        (checkout.root / production["main"]).parent, sources, ignore=shutil.ignore_patterns("__pycache__", "*.partial")
    )
    path = folder / "wrangler.json"
    path.write_text(json.dumps(derive(production, settings), indent=2))
    return path
