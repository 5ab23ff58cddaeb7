// wrangler's build step: files that must lie below the upload root but come from packages, of npm or of PyPI.
// Each is copied from the pinned package and checked against its hash, before and after what is edited in it; nothing
// else may be uploaded in its place.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

const assets = [
  {
    // libsecp256k1 (K-256 signatures), MIT
    from: "node_modules/@bitauth/libauth/build/lib/bin/secp256k1/secp256k1.wasm",
    to: "src/worker/edgerelay/cloudflare/secp256k1.wasm",
    sha256: "7b0c1694b325e3a9754be669514295372260f6853698518fca3a869b0031a98b",
    // The least and the most pages of the memory that it imports, as LEB128: 256, which are 16 MiB of the 128 that an
    // isolate has. 16 are enough to verify; secp256k1.mjs lays them out.
    edit: {
      at: 121,
      bytes: [0x90, 0x00, 0x90, 0x00],
      sha256: "d75ed652b311ae0eef3b18d5bfd323a1af564a794acc04c81587db9310de7e1c",
    },
  },
  {
    // the dictionary with which Jetstream v1 packs its lines, and we those of v2, MIT; no npm package has it
    pypi: "atproto_jetstream==0.3.0",
    from: "atproto_jetstream/zstd_dictionary",
    to: "src/worker/edgerelay/cloudflare/jetstream_v1.zdict",
    sha256: "b8d77b46933aceecbdd5275a01241efc985c970c78162b8150cf67a26522f70c",
  },
];

// Whichever is there: that of `make setup`, that of the system, or uv, which pywrangler needs. Each in its own words for
// a package that is for a newer Python than its own.
const installers = [
  [join(root, ".venv", "bin", "python"), "-m", "pip", "install", "--ignore-requires-python"],
  ["python3", "-m", "pip", "install", "--ignore-requires-python"],
  ["uv", "pip", "install", "--python-version=3.14"],
];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const fail = (problem) => {
  console.error(problem);
  process.exit(1);
};

// A file of a Python package, of which nothing else is kept and nothing is run.
const readFromPypi = (requirement, path) => {
  const folder = mkdtempSync(join(tmpdir(), "edgerelay-"));
  const options = ["--no-deps", "--only-binary=:all:", "--target", folder];
  const problems = [];
  try {
    for (const [command, ...rest] of installers) {
      const done = spawnSync(command, [...rest, ...options, requirement], { encoding: "utf8" });
      if (done.status === 0) return readFileSync(join(folder, path));
      problems.push(`${command}: ${done.error?.message ?? done.stderr.trim()}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return fail(`${requirement} could not be fetched from PyPI:\n${problems.join("\n")}`);
};

const readFromNpm = (path) => {
  const source = join(root, path);
  return existsSync(source) ? readFileSync(source) : fail(`${path} is missing: run \`npm ci\``);
};

for (const { pypi, from, to, sha256: expected, edit } of assets) {
  const wanted = edit?.sha256 ?? expected;
  const target = join(root, to);
  if (existsSync(target) && sha256(readFileSync(target)) === wanted) continue;
  const bytes = pypi ? readFromPypi(pypi, from) : readFromNpm(from);
  const found = sha256(bytes);
  if (found !== expected) fail(`${from} has sha256 ${found}, expected ${expected}: not the pinned package`);
  if (edit) bytes.set(edit.bytes, edit.at);
  if (sha256(bytes) !== wanted) fail(`${to} would have sha256 ${sha256(bytes)}, expected ${wanted}`);
  mkdirSync(dirname(target), { recursive: true });
  // Renamed into place, so that no reader ever sees half a file.
  writeFileSync(`${target}.partial`, bytes);
  renameSync(`${target}.partial`, target);
  console.log(`made ${to}`);
}
