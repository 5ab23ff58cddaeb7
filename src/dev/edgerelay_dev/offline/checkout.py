"""Where everything lies in a checkout of the project, and which versions it pins.

The versions stand in `package.json` and `pyproject.toml` and nowhere else; this module reads them there.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

__all__ = ["Checkout", "IncompleteError"]

SDK_NAME = "workers-runtime-sdk"
"""The package that the runtime itself imports from among the vendored ones; pywrangler adds it by itself."""


class IncompleteError(Exception):
    """Something that the offline runtime needs is missing; the message says what, and the command that brings it."""


class Checkout:
    """A checkout of the project.

    Attributes:
        root: the folder of wrangler.toml.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_this_file(cls) -> Checkout:
        """Return the checkout that this module lies in; the package is always installed editable."""
        root = Path(__file__).resolve().parents[4]
        if not (root / "wrangler.toml").is_file():
            raise IncompleteError(f"no wrangler.toml in {root}: edgerelay_dev runs only from a checkout")
        return cls(root)

    @property
    def wrangler_toml(self) -> Path:
        return self.root / "wrangler.toml"

    @property
    def cache(self) -> Path:
        """The folder of what is made here and can be made again."""
        return self.root / ".offline"

    @property
    def python_modules(self) -> Path:
        """The folder that wrangler takes the Worker's packages from: beside wrangler.toml, by this name."""
        return self.root / "python_modules"

    @property
    def pyodide(self) -> Path:
        return self._npm_package("pyodide")

    @property
    def wrangler(self) -> Path:
        return self._npm_package("wrangler") / "bin" / "wrangler.js"

    @property
    def node(self) -> Path:
        """Node in the version that wrangler wants, whatever the system has."""
        return self._npm_package("node") / "bin" / "node"

    @property
    def workerd(self) -> Path:
        """The workerd binary; its package is named after the platform."""
        found = sorted((self.root / "node_modules" / "@cloudflare").glob("workerd-*/bin/workerd"))
        if len(found) != 1:
            raise IncompleteError(f"{len(found)} workerd binaries in node_modules, expected one: run `npm ci`")
        return found[0]

    def worker_requirements(self) -> list[str]:
        """Return the pinned Python packages of the Worker: its dependencies and the runtime's SDK."""
        pins = tomllib.loads((self.root / "pyproject.toml").read_text())
        constraints: list[str] = pins["tool"]["uv"]["constraint-dependencies"]
        sdk = [requirement for requirement in constraints if requirement.startswith(f"{SDK_NAME}==")]
        if len(sdk) != 1:
            raise IncompleteError(f"pyproject.toml constrains {SDK_NAME} to {len(sdk)} versions, expected one")
        return [*pins["project"]["dependencies"], *sdk]

    def _npm_package(self, name: str) -> Path:
        """Return the folder of an installed npm package, which must be the version that package.json pins."""
        folder = self.root / "node_modules" / name
        pinned = json.loads((self.root / "package.json").read_text())["devDependencies"][name]
        try:
            installed = json.loads((folder / "package.json").read_text())["version"]
        except FileNotFoundError:
            raise IncompleteError(f"the npm package {name} is not installed: run `npm ci`") from None
        if installed != pinned:
            raise IncompleteError(f"the npm package {name} is {installed}, but {pinned} is pinned: run `npm ci`")
        return folder
