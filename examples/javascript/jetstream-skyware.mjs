// Prints the events of Jetstream, each once, with @skyware/jetstream, which keeps the cursor and reconnects.
//
//     node jetstream-skyware.mjs ws://127.0.0.1:8787 [SINCE [FILTER ...]]
//
// SINCE is a time to begin at, such as 2026-11-27T12:00:00Z, or now. Each FILTER is a collection, such as
// app.bsky.feed.post or app.bsky.graph.*, or an account's DID; without any, everything comes.

import { Jetstream } from '@skyware/jetstream'

const [url, since = 'now', ...filters] = process.argv.slice(2)
let last = 0

const jetstream = new Jetstream({
  endpoint: `${url}/subscribe`,
  // A cursor is a time, in microseconds; store jetstream.cursor to begin there after a restart.
  cursor: since === 'now' ? undefined : Date.parse(since) * 1_000,
  wantedCollections: filters.filter((filter) => !filter.startsWith('did:')),
  wantedDids: filters.filter((filter) => filter.startsWith('did:')),
})

function receive({ time_us, kind, did, commit }) {
  if (time_us <= last) return // the event of the cursor itself comes again
  last = time_us
  const operation = commit ? [commit.operation, `${commit.collection}/${commit.rkey}`] : []
  console.log([time_us, kind, did, ...operation].join(' '))
}

for (const kind of ['commit', 'identity', 'account']) jetstream.on(kind, receive)
jetstream.on('error', (error) => console.error(error))
jetstream.start()
