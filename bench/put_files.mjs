// Puts the files below a folder into a bucket of the R2 simulator, as `wrangler dev` runs it, and ends:
//   node put_files.mjs WRANGLER_CONFIGURATION STATE_DIR FOLDER
// The bucket is bound as BUCKET; the name of an object is the path of its file.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";

const [configPath, stateDir, folder] = process.argv.slice(2);
const { env, dispose } = await getPlatformProxy({ configPath, persist: { path: join(stateDir, "v3") } });
for (const path of readdirSync(folder, { recursive: true })) {
  if (path.endsWith(".ers")) await env.BUCKET.put(path, readFileSync(join(folder, path)));
}
await dispose();
