// Fills a bucket of the R2 simulator, as `wrangler dev` runs it, and ends:
//   node fill_bucket.mjs WRANGLER_CONFIGURATION STATE_DIR < {"name": ["base64 of each part", ...], ...}
// The bucket is bound as BUCKET. One part is put; more are uploaded in parts, of which all but the last have 5 MiB.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";

const [configPath, stateDir] = process.argv.slice(2);
const { env, dispose } = await getPlatformProxy({ configPath, persist: { path: join(stateDir, "v3") } });
for (const [name, encoded] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const parts = encoded.map((part) => Buffer.from(part, "base64"));
  if (parts.length === 1) {
    await env.BUCKET.put(name, parts[0]);
    continue;
  }
  const upload = await env.BUCKET.createMultipartUpload(name);
  const uploaded = [];
  for (const [index, part] of parts.entries()) uploaded.push(await upload.uploadPart(index + 1, part));
  await upload.complete(uploaded);
}
await dispose();
