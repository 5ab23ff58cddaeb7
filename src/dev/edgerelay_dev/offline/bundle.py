"""The Pyodide bundle that workerd would otherwise download, made from the npm package `pyodide`.

workerd, told to use a development bundle, reads one Cap'n Proto message with three modules: Pyodide's glue code, its
WebAssembly and its standard library. The sandbox forbids some of what the glue does (compiling WebAssembly, entropy,
`eval`), and offers stand-ins in its own module `pyodide-internal:builtin_wrappers`; the glue has to call those.

Owns the shape of that message and the places in the glue. Where the files come from and lie is `checkout`'s.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["BUNDLE_NAME", "SCHEMA", "BundleError", "adapt_glue", "write_bundle"]

BUNDLE_NAME = "pyodide_dev.capnp.bin"
"""The name that workerd looks for in its bundle folder."""

GLUE_NAME = "pyodide.asm.mjs"
WASM_NAME = "pyodide.asm.wasm"
STDLIB_NAME = "python_stdlib.zip"

SCHEMA = Path(__file__).with_name("bundle.capnp")

EXPORT_NAME = "_createPyodideModule"
WRAPPERS = (
    "addEventListener",
    "getRandomValues",
    "location",
    "monotonicDateNow",
    "newWasmModule",
    "patchedApplyFunc",
    "patchedLoadLibData",
    "patched_PyEM_CountFuncParams",
    "wasmInstantiate",
)
PRELUDE = f'import {{ {", ".join(WRAPPERS)} }} from "pyodide-internal:builtin_wrappers";\n'
REFUSED_EVAL = '(() => { throw new Error("the glue code called eval, which workerd forbids"); })()'


class BundleError(Exception):
    """The installed Pyodide is not the one that this module knows how to adapt."""


class _Place(NamedTuple):
    """One text of the glue, how often it occurs in the pinned version, and what stands there instead."""

    text: str
    times: int
    replacement: str


_PLACES = (
    _Place("new WebAssembly.Module(", 4, "newWasmModule("),
    _Place("WebAssembly.instantiate(", 2, "wasmInstantiate("),
    _Place("Date.now()", 22, "monotonicDateNow()"),
    _Place("crypto.getRandomValues(", 1, "getRandomValues(Module,"),
    _Place("eval(func)", 2, REFUSED_EVAL),
    _Place("eval(data)", 1, REFUSED_EVAL),
    _Place("eval(UTF8ToString(ptr))", 3, REFUSED_EVAL),
    # Inside the dynamic linker: libraries come from the read-only file system, memory from the loader's own record.
    _Place(
        "function loadLibData(){",
        1,
        "function loadLibData(){"
        "const patched=patchedLoadLibData(Module,libName,flags.rpath);"
        "return flags.loadAsync?Promise.resolve(patched):patched;",
    ),
    _Place("getMemory(metadata.memorySize", 1, "Module.getMemoryPatched(Module,libName,metadata.memorySize"),
    _Place(f"export default {EXPORT_NAME};", 1, f"export default {EXPORT_NAME};export{{{EXPORT_NAME}}};"),
)


def adapt_glue(glue: str) -> str:
    """Return the glue with each place replaced; raises BundleError where the text is not the expected one."""
    for place in _PLACES:
        found = glue.count(place.text)
        if found != place.times:
            raise BundleError(
                f"{GLUE_NAME} has {place.text!r} {found} times, expected {place.times}: "
                "this is not the pinned version of the npm package pyodide, or its places have to be looked up anew"
            )
        glue = glue.replace(place.text, place.replacement)
    return PRELUDE + glue


def write_bundle(pyodide: Path, target: Path) -> None:
    """Write the bundle for the npm package at `pyodide` to the file `target`, whole or not at all."""
    schema = _schema()
    glue = adapt_glue((pyodide / GLUE_NAME).read_text())
    contents = (
        ("pyodide.asm", "src", glue.encode()),
        (WASM_NAME, "wasm", (pyodide / WASM_NAME).read_bytes()),
        (STDLIB_NAME, "data", (pyodide / STDLIB_NAME).read_bytes()),
    )
    message = schema.Bundle.new_message()
    modules = message.init("modules", len(contents))
    for module, (name, kind, data) in zip(modules, contents, strict=True):
        module.name = f"pyodideRuntime-internal:{name}"
        setattr(module, kind, data)
        module.type = "internal"

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        message.write(file)
    os.replace(partial, target)


@cache
def _schema() -> Any:
    """Return the compiled schema; compiling it twice in one process would abort the process."""
    # Imported here because pycapnp hooks into the import system, and only the one who writes a bundle needs it.
    import capnp

    capnp.remove_import_hook()
    return capnp.load(str(SCHEMA))
