// Runs a Python module inside Pyodide, as `python -m` does: node run_python.mjs FOLDER=MOUNT... -- MODULE ARGUMENT...
// The first folder is the project's. Environment variables of Python come as JSON in PYODIDE_ENVIRONMENT; the exit
// status is the module's.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const separator = process.argv.indexOf("--");
const mounts = process.argv.slice(2, separator).map((argument) => argument.split("="));
const [[project]] = mounts;

// What signatures.mjs exports. It cannot be imported here: Node gives it no compiled module.
const signatures = async (folder) => {
  const { loadSecp256k1 } = await import(pathToFileURL(join(folder, "secp256k1.mjs")));
  const { checkP256 } = await import(pathToFileURL(join(folder, "p256.mjs")));
  const library = new WebAssembly.Module(readFileSync(join(folder, "secp256k1.wasm")));
  return { checkK256: loadSecp256k1(library), checkP256 };
};

try {
  const manifest = createRequire(join(project, "package.json")).resolve("pyodide/package.json");
  const { loadPyodide } = await import(pathToFileURL(join(dirname(manifest), "pyodide.mjs")));
  const pyodide = await loadPyodide({
    env: JSON.parse(process.env.PYODIDE_ENVIRONMENT),
    fsInit: async (FS) => {
      for (const [folder, at] of mounts) {
        FS.mkdirTree(at);
        FS.mount(FS.filesystems.NODEFS, { root: folder }, at);
      }
    },
  });
  const glue = join(project, "src/worker/edgerelay/cloudflare");
  pyodide.registerJsModule("worker_signatures", await signatures(glue));
  pyodide.registerJsModule("worker_brotli", await import(pathToFileURL(join(glue, "brotli.mjs"))));
  const run = pyodide.runPython(`
import os, runpy, sys
os.chdir("/project")
def run(arguments):
    sys.argv = arguments
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
run
`);
  // Promising, so that Python can wait for a promise.
  process.exitCode = await run.callPromising(pyodide.toPy(process.argv.slice(separator + 1)));
} catch (error) {
  // Node would print the line of the source with it, and Pyodide is one line of a megabyte.
  console.error(error.message);
  process.exitCode = 70;
}
