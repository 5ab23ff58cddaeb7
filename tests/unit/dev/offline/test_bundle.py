"""The bundle: what workerd reads is what the npm package holds, with the glue adapted."""

from __future__ import annotations

from pathlib import Path

import capnp
import pytest

from edgerelay_dev.offline.bundle import BUNDLE_NAME, BundleError, adapt_glue, write_bundle
from edgerelay_dev.offline.checkout import Checkout

PYODIDE = Checkout.of_this_file().pyodide
GLUE = (PYODIDE / "pyodide.asm.mjs").read_text()

# As workerd declares it, written down a second time: what the writer got wrong, a reader with its schema would not see.
WORKERDS_SCHEMA = """\
@0xe9f0a3b1c2d4e5f6;
struct PyodideBundle { modules @0 :List(Module); }
struct Module {
  name @0 :Text;
  union { src @1 :Data; wasm @4 :Data; data @5 :Data; json @6 :Text; }
  tsDeclaration @3 :Text;
  type @2 :Kind;
  compileCache @7 :Data;
  enum Kind { bundle @0; builtin @1; internal @2; }
}
"""


class TestGlue:
    def test_what_the_sandbox_forbids_is_gone(self) -> None:
        adapted = adapt_glue(GLUE)
        for forbidden in ("new WebAssembly.Module(", "WebAssembly.instantiate(", "Date.now(", "crypto.", " eval("):
            assert forbidden not in adapted

    def test_nothing_else_changes(self) -> None:
        """Everything between the replaced places is kept, and in its order."""
        adapted = adapt_glue(GLUE)
        position = 0
        for start in range(0, len(GLUE) - 1_000, 50_000):
            sample = GLUE[start : start + 40]
            position = adapted.find(sample, position)
            assert position >= 0, f"the text at {start} is gone"

    def test_the_stand_ins_are_imported_and_the_module_is_exported_by_name(self) -> None:
        adapted = adapt_glue(GLUE)
        assert adapted.startswith("import { addEventListener, ")
        assert 'from "pyodide-internal:builtin_wrappers"' in adapted.partition("\n")[0]
        assert "export{_createPyodideModule}" in adapted

    @pytest.mark.parametrize(
        ("place", "quoted"),
        [
            ("crypto.getRandomValues(", "crypto.getRandomValues("),
            ("function loadLibData(){", "function loadLibData(){"),
            ("export default _createPyodideModule;", "export default _createPyodideModule;"),
        ],
    )
    def test_a_place_that_is_missing_is_named(self, place: str, quoted: str) -> None:
        with pytest.raises(BundleError) as caught:
            adapt_glue(GLUE.replace(place, ""))
        assert quoted in str(caught.value)
        assert "0 times, expected 1" in str(caught.value)

    def test_a_place_that_occurs_once_more_is_refused(self) -> None:
        with pytest.raises(BundleError, match="23 times, expected 22"):
            adapt_glue(GLUE + ";Date.now()")


class TestFile:
    def test_the_file_holds_three_internal_modules(self, tmp_path: Path) -> None:
        target = tmp_path / "bundle" / BUNDLE_NAME
        write_bundle(PYODIDE, target)
        schema_path = tmp_path / "workerd.capnp"
        schema_path.write_text(WORKERDS_SCHEMA)
        schema = capnp.load(str(schema_path))
        with target.open("rb") as file:
            modules = list(schema.PyodideBundle.read(file, traversal_limit_in_words=2**32).modules)
        contents = {module.name: (module.which(), bytes(getattr(module, module.which()))) for module in modules}
        assert contents == {
            "pyodideRuntime-internal:pyodide.asm": ("src", adapt_glue(GLUE).encode()),
            "pyodideRuntime-internal:pyodide.asm.wasm": ("wasm", (PYODIDE / "pyodide.asm.wasm").read_bytes()),
            "pyodideRuntime-internal:python_stdlib.zip": ("data", (PYODIDE / "python_stdlib.zip").read_bytes()),
        }
        assert {str(module.type) for module in modules} == {"internal"}

    def test_a_failure_leaves_no_file(self, tmp_path: Path) -> None:
        target = tmp_path / BUNDLE_NAME
        with pytest.raises(FileNotFoundError):
            write_bundle(tmp_path / "nothing", target)
        assert not target.exists()
