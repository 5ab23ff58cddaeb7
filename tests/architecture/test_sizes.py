"""A module can be read in one sitting and a function at one glance."""

from __future__ import annotations

import ast

from tests.architecture.source import DEV, WORKER, modules

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

EVERYTHING = [*modules(WORKER), *modules(DEV)]


def test_modules_are_short() -> None:
    assert not {module.name: module.lines for module in EVERYTHING if module.lines > MAX_MODULE_LINES}


def test_functions_are_short() -> None:
    lengths = {
        f"{module.name}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in EVERYTHING
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
