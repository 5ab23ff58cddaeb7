// wrangler's build step: files that must lie below the upload root but come from npm packages.
// Each is copied from the pinned package and checked against its hash, before and after what is edited in it; nothing
// else may be uploaded in its place.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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
];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const fail = (problem) => {
  console.error(problem);
  process.exit(1);
};

for (const { from, to, sha256: expected, edit } of assets) {
  const wanted = edit?.sha256 ?? expected;
  const target = join(root, to);
  if (existsSync(target) && sha256(readFileSync(target)) === wanted) continue;
  const source = join(root, from);
  if (!existsSync(source)) fail(`${from} is missing: run \`npm ci\``);
  const bytes = readFileSync(source);
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
