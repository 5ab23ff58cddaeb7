"""The ports: all at once, each with what stands behind it, and no method that nobody calls."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from types import FunctionType

import pytest

from edgerelay.runtime import ports
from edgerelay.runtime.interpreter import Ports
from tests.architecture.source import WORKER, modules

PORTS = {name: getattr(ports, name) for name in ports.__all__}
METHODS = [
    (port, name, value)
    for port, protocol in PORTS.items()
    for name, value in vars(protocol).items()
    if isinstance(value, FunctionType) and not name.startswith("_")
]
BEHIND = {
    "IdentityPort": "Identities",
    "LogSink": "JsonLog",
    "ShardPort": "FeedSockets",
    "SignaturePort": "Signatures",
    "Timer": "PlatformTimer",
    "UpstreamPort": "UpstreamSockets",
    "Verifier": "HeldVerifier",
}
"""What stands behind each port on the platform; it cannot be imported here, only read."""

CLASSES = {
    node.name: node
    for module in modules(WORKER)
    if module.layer in ("runtime", "cloudflare") and module.name != ports.__name__
    for node in ast.walk(module.tree)
    if isinstance(node, ast.ClassDef)
}


def called() -> set[tuple[str, str]]:
    """(name of what is called upon, method) of every call in the modules that hold ports."""
    return {
        (node.func.value.attr, node.func.attr)
        for module in modules(WORKER)
        if module.name in {f"edgerelay.runtime.{name}" for name in ("interpreter", "node", "verification")}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if isinstance(node.func.value, ast.Attribute) and isinstance(node.func.value.value, ast.Name | ast.Attribute)
        if ast.unparse(node.func.value.value) in ("ports", "self._ports", "self")
    }


def test_every_port_is_known_here() -> None:
    assert set(BEHIND) == set(PORTS) == {port for port, _, _ in METHODS}


@pytest.mark.parametrize(("port", "name", "method"), METHODS, ids=lambda value: getattr(value, "__qualname__", value))
class TestMethods:
    def test_it_says_what_it_promises_and_answers_at_once(self, port: str, name: str, method: FunctionType) -> None:
        assert inspect.getdoc(method)
        assert not inspect.iscoroutinefunction(method), f"{port}.{name}: what takes time is an event later"

    def test_the_platform_has_it_with_the_same_parameters(self, port: str, name: str, method: FunctionType) -> None:
        found = [
            [argument.arg for argument in each.args.args]
            for each in CLASSES[BEHIND[port]].body
            if isinstance(each, ast.FunctionDef) and each.name == name
        ]
        assert found == [list(inspect.signature(method).parameters)]

    def test_somebody_calls_it(self, port: str, name: str, method: FunctionType) -> None:
        called_upon = called()
        for field in fields_of(port):
            assert {(field, name), (f"_{field}", name), (LENT.get(field), name)} & called_upon, method.__qualname__


LENT = {"lookup_timer": "_timer"}
"""What a port is called where it is handed on."""


def fields_of(port: str) -> list[str]:
    """The fields of `Ports` that hold a port, or the name of the one that stands between; annotations are texts."""
    return [each.name for each in fields(Ports) if each.type == port] or ["verifier"]
