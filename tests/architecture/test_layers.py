"""Imports point to the left only, the core is pure, and one package alone touches the platform."""

from __future__ import annotations

import ast
import sys

from tests.architecture.source import DEV, ROOT, WORKER, Import, Module, modules

LAYERS = ("atproto", "archive", "relay", "api", "runtime", "cloudflare")
SHARED = {"edgerelay", "edgerelay.config", "edgerelay.errors"}
PURE = ("atproto", "archive", "relay", "api")
PLATFORM = {"_cloudflare", "_pyodide", "js", "pyodide", "pyodide_js", "workers"}

# What a pure layer may take from the standard library: nothing that draws numbers, waits or leaves the process.
PURE_STDLIB = {
    *(
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "calendar",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
    ),
    *("email.utils", "enum", "functools", "hashlib", "heapq", "hmac", "html", "http", "io", "ipaddress", "itertools"),
    *("json", "math", "operator", "re", "string", "struct", "textwrap", "types", "typing", "urllib.parse", "zlib"),
}
# Parsing a date is pure, asking for one is not: names that stand for the present time, from whatever module.
CLOCKS = {"formatdate", "localtime", "monotonic", "now", "perf_counter", "time_ns", "today", "utcnow"}
RUNTIME_STDLIB = PURE_STDLIB | {"asyncio", "contextlib", "pathlib", "sqlite3"}
THIRD_PARTY: dict[str, set[str]] = {
    "atproto": {"cbor2", "multiformats"},
    "archive": {"cbor2"},
    "relay": set(),
    "api": set(),
    "runtime": {"cbor2"},
}
IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}

CORE = [module for module in modules(WORKER) if module.layer]
PURE_MODULES = [module for module in CORE if module.layer in PURE]


def test_every_layer_is_known() -> None:
    found = {path.name for path in (WORKER / "edgerelay").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert found == set(LAYERS)


def test_imports_point_to_the_left() -> None:
    assert not [
        _place(module, each)
        for module in CORE
        for each in module.imports()
        if each.package == "edgerelay"
        and each.module not in SHARED
        and each.module.split(".")[1] not in LAYERS[: LAYERS.index(module.layer) + 1]
    ]


def test_what_every_layer_may_import_imports_no_layer() -> None:
    assert not [
        _place(module, each)
        for module in modules(WORKER)
        if module.name in SHARED
        for each in module.imports()
        if each.package == "edgerelay" and each.module not in SHARED
    ]


def test_a_layer_imports_only_what_it_may() -> None:
    assert not [
        _place(module, each)
        for module in CORE
        if module.layer != "cloudflare"
        for each in module.imports()
        if each.package != "edgerelay"
        and each.module not in (PURE_STDLIB if module.layer in PURE else RUNTIME_STDLIB)
        and each.package not in THIRD_PARTY[module.layer]
    ]


def test_the_core_does_nothing_by_itself() -> None:
    """It prints, opens and evaluates nothing."""
    assert not [
        f"{module.name}:{node.lineno} calls {node.func.id}"
        for module in PURE_MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
    ]


def test_the_core_is_synchronous() -> None:
    asynchronous = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    assert not [
        f"{module.name}:{node.lineno}"
        for module in PURE_MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, asynchronous)
    ]


def test_the_core_is_told_the_time() -> None:
    used = [
        f"{module.name}:{node.lineno} {node.attr}"
        for module in PURE_MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS
    ]
    imported = [_place(module, each) for module in PURE_MODULES for each in module.imports() if each.name in CLOCKS]
    assert not used + imported


def test_only_cloudflare_touches_the_platform() -> None:
    touching = {module for module in modules(WORKER) if any(each.package in PLATFORM for each in module.imports())}
    assert touching, "nothing touches the platform: this test looks in the wrong place"
    assert not [module.name for module in touching if module.layer != "cloudflare" and module.name != "entry"]


def test_what_is_uploaded_never_imports_what_is_not() -> None:
    assert not [
        _place(module, each)
        for module in modules(WORKER)
        for each in module.imports()
        if each.package in ("edgerelay_dev", "tests")
    ]


def test_the_entry_only_names_the_classes() -> None:
    """The runtime looks for the classes there; everything about them lies in edgerelay.cloudflare."""
    [entry] = [module for module in modules(WORKER) if module.name == "entry"]
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    assert not [node for node in ast.walk(entry.tree) if isinstance(node, definitions)]


def test_third_party_imports_are_pinned() -> None:
    """A package that is there only because another one needs it goes away with that one."""
    pins = (ROOT / "pyproject.toml").read_text()
    distributions = {"capnp": "pycapnp"}
    newer_stdlib = {"compression"}  # of the Worker's Python, which may be newer than the one that runs this
    ours = PLATFORM | {"edgerelay", "edgerelay_dev"} | sys.stdlib_module_names | newer_stdlib
    assert not [
        _place(module, each)
        for module in [*modules(WORKER), *modules(DEV)]
        for each in module.imports()
        if each.package not in ours and f'"{distributions.get(each.package, each.package)}==' not in pins
    ]


def _place(module: Module, each: Import) -> str:
    return f"{module.name}:{each.line} imports {each.module}"
