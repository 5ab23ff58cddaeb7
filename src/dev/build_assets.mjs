// wrangler's build step: files that must lie below the upload root but come from npm packages.
// Each is copied from the pinned package and checked against its hash; nothing else may be uploaded in its place.
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
  },
];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

for (const { from, to, sha256: expected } of assets) {
  const target = join(root, to);
  if (existsSync(target) && sha256(readFileSync(target)) === expected) continue;
  const source = join(root, from);
  if (!existsSync(source)) {
    console.error(`${from} is missing: run \`npm ci\``);
    process.exit(1);
  }
  const bytes = readFileSync(source);
  const found = sha256(bytes);
  if (found !== expected) {
    console.error(`${from} has sha256 ${found}, expected ${expected}: not the pinned package`);
    process.exit(1);
  }
  mkdirSync(dirname(target), { recursive: true });
  // Renamed into place, so that no reader ever sees half a file.
  writeFileSync(`${target}.partial`, bytes);
  renameSync(`${target}.partial`, target);
  console.log(`made ${to}`);
}
