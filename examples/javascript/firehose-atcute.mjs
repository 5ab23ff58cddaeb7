// Prints the events of the firehose, each once, with @atcute/firehose, which reconnects by itself.
//
//     node firehose-atcute.mjs ws://127.0.0.1:8787 [SINCE]
//
// SINCE is a time to begin at, such as 2026-11-27T12:00:00Z; without it the stream begins now.

import { ComAtprotoSyncSubscribeRepos } from '@atcute/atproto'
import { FirehoseSubscription } from '@atcute/firehose'

const [service, since] = process.argv.slice(2)
let cursor = since && Date.parse(since) * 1_000 // a cursor of EdgeRelay is a time, in microseconds
let last = 0 // store it with what you make of the events, and begin there after a restart

const subscription = new FirehoseSubscription({
  service,
  nsid: ComAtprotoSyncSubscribeRepos.mainSchema,
  params: () => ({ cursor }),
  onError: (error) => console.error(error),
})

for await (const { $type, ...message } of subscription) {
  if (!(message.seq > last)) continue // an #info has no number, and the event of the cursor itself comes again
  cursor = last = message.seq
  const operations = (message.ops ?? []).map(({ action, path }) => `${action} ${path}`)
  console.log([last, $type.split('#')[1], message.repo ?? message.did, ...operations].join(' '))
}
