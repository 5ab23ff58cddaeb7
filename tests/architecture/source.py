"""The project's own modules as syntax trees, which is all that the tests of the architecture look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["DEV", "ROOT", "WORKER", "Import", "Module", "modules"]

ROOT = Path(__file__).resolve().parents[2]
WORKER = ROOT / "src" / "worker"
DEV = ROOT / "src" / "dev"


class Import(NamedTuple):
    """One imported module, in full; `name` is what was taken from it, or None for the module itself."""

    module: str
    name: str | None
    line: int

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """One module: its dotted name, its file and its tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The package below `edgerelay` that it lies in; empty for what lies beside those packages."""
        package = WORKER / "edgerelay"
        if not self.path.is_relative_to(package) or self.path.parent == package:
            return ""
        return self.path.relative_to(package).parts[0]

    @property
    def lines(self) -> int:
        return len(self.path.read_text().splitlines())

    def imports(self) -> Iterator[Import]:
        """Yield every import, also those inside functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, None, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, f"{self.name}:{node.lineno}: relative import"
                yield from (Import(node.module, alias.name, node.lineno) for alias in node.names)

    def exported(self) -> list[str] | None:
        """Return the names in `__all__`, or None without one."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in _targets(node):
                assert node.value is not None
                names: list[str] = ast.literal_eval(node.value)
                return names
        return None

    def defined(self) -> set[str]:
        """Return every name that the top level binds, imports included."""
        names: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                names.update(_targets(node))
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names.update(alias.asname or alias.name for alias in node.names)
        return names


@cache
def modules(root: Path) -> tuple[Module, ...]:
    """Return every module below `root`, which is a folder of packages."""
    return tuple(_read(path, root) for path in sorted(root.rglob("*.py")))


def _read(path: Path, root: Path) -> Module:
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(), str(path)))


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]
