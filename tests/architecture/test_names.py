"""One module is one noun, says what it owns, and says exactly what it offers."""

from __future__ import annotations

import ast

from tests.architecture.source import DEV, ROOT, WORKER, Module, modules

ATTICS = {"base", "common", "helper", "helpers", "lib", "misc", "shared", "tools", "util", "utils"}
PLACES_OF_ONE_MACHINE = ("/home/", "/root/", "/Users/")

EVERYTHING = [*modules(WORKER), *modules(DEV)]
BY_NAME = {module.name: module for module in EVERYTHING}


def test_no_module_is_an_attic() -> None:
    assert not [module.name for module in EVERYTHING if ATTICS & set(module.name.split("."))]


def test_a_module_says_what_it_owns() -> None:
    assert not [module.name for module in EVERYTHING if not ast.get_docstring(module.tree)]


def test_what_is_offered_exists_and_is_named_once() -> None:
    for module in EVERYTHING:
        exported = module.exported() or []
        assert len(exported) == len(set(exported)), module.name
        assert not set(exported) - module.defined(), module.name


def test_public_classes_and_functions_are_offered() -> None:
    missing = {module.name: _public(module) - set(module.exported() or ()) for module in EVERYTHING}
    assert not {name: names for name, names in missing.items() if names}


def test_only_what_is_offered_is_imported() -> None:
    assert not [
        f"{module.name}:{each.line} imports {each.name} from {each.module}"
        for module in EVERYTHING
        for each in module.imports()
        if each.name is not None
        and not each.name.startswith("__")
        and each.module in BY_NAME
        and f"{each.module}.{each.name}" not in BY_NAME
        and each.name not in (BY_NAME[each.module].exported() or ())
    ]


def test_no_file_names_a_place_of_one_machine() -> None:
    paths = [*(module.path for module in EVERYTHING), ROOT / "Makefile", ROOT / "wrangler.toml"]
    assert not [path for path in paths if any(place in path.read_text() for place in PLACES_OF_ONE_MACHINE)]


def _public(module: Module) -> set[str]:
    """Return its public classes and functions, without the functions that a decorator registers somewhere."""
    return {
        node.name
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (isinstance(node, ast.FunctionDef) and node.decorator_list)
    }
