// Runs pytest inside Pyodide: node run_units.mjs FOLDER=MOUNT... -- PYTEST_ARGUMENT...
// The first folder is the project's. Environment variables of Python come as JSON in PYODIDE_ENVIRONMENT; the exit
// status is pytest's.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const separator = process.argv.indexOf("--");
const mounts = process.argv.slice(2, separator).map((argument) => argument.split("="));
const [[project]] = mounts;

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
  pyodide.globals.set("pytest_arguments", pyodide.toPy(process.argv.slice(separator + 1)));
  process.exitCode = pyodide.runPython(`
import os
os.chdir("/project")
import pytest
int(pytest.main(pytest_arguments))
`);
} catch (error) {
  // Node would print the line of the source with it, and Pyodide is one line of a megabyte.
  console.error(error.message);
  process.exitCode = 70;
}
