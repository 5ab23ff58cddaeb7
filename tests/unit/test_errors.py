"""The two families of errors, and the tree that is drawn of them."""

from __future__ import annotations

import ast
import re

import pytest

from edgerelay import errors
from edgerelay.errors import EdgeRelayError, InvariantError, PeerError, SettingsError
from tests.architecture.source import WORKER, modules

LEAF = re.compile(r"^    ((?:[│├└─ ]{4})*)(\w+)")


def drawn() -> dict[str, str]:
    """The parent of each class in the drawing."""
    parents, path = {}, list[str]()
    assert errors.__doc__ is not None
    for line in errors.__doc__.splitlines():
        found = LEAF.match(line)
        if found:
            depth, name = len(found[1]) // 4, found[2]
            assert name not in parents
            assert depth <= len(path)
            path[depth:] = [name]
            parents[name] = path[depth - 1] if depth else "Exception"
    return parents


def written() -> dict[str, str]:
    """The parent of each class of the package that is an error of EdgeRelay, wherever it is defined."""
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for module in modules(WORKER)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    parents = {"EdgeRelayError": "Exception"}
    while found := {
        name: base for name, own in bases.items() for base in own if base in parents and name not in parents
    }:
        parents |= found
    return parents


def test_the_drawing_is_the_tree() -> None:
    assert drawn() == written()


def test_what_is_offered_is_every_class_of_the_module() -> None:
    assert {name for name, value in vars(errors).items() if isinstance(value, type)} == set(errors.__all__)


@pytest.mark.parametrize("name", sorted(errors.__all__))
def test_a_fault_has_one_owner_and_is_no_error_of_python(name: str) -> None:
    one = getattr(errors, name)
    owners = [family for family in (PeerError, SettingsError, InvariantError) if issubclass(one, family)]
    assert len(owners) == (one is not EdgeRelayError)
    assert not issubclass(one, ValueError | TypeError | LookupError | OSError)


def test_nothing_raises_a_bare_family() -> None:
    """What is raised says whose fault it is and what it concerns: the roots are for catching."""
    raised = {
        f"{module.name}:{node.lineno}"
        for module in modules(WORKER)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
        if node.exc.func.id in ("EdgeRelayError", "PeerError", "Exception")
    }
    assert not raised
