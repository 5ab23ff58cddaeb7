// Reads a firehose with @atproto/sync, which checks signatures and proofs, for as long as standard input is open.
//
// usage: node sync_reader.mjs SERVICE PLC_URL CURSOR, where SERVICE is ws://host:port
// Standard output gets one line for each event that the library delivers (a commit is one event for each of its
// operations), and {error, seq} for each that it refuses.

import { IdResolver } from '@atproto/identity'
import { Firehose } from '@atproto/sync'

const [service, plcUrl, cursor] = process.argv.slice(2)
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const firehose = new Firehose({
  service,
  getCursor: () => Number(cursor),
  // Its own fetch refuses plain http and IP addresses, which is all that there is on loopback.
  idResolver: new IdResolver({ plcUrl, fetch: globalThis.fetch }),
  // A handle is proved by DNS or by https, and loopback has neither.
  unauthenticatedHandles: true,
  handleEvent: ({ event, seq, time, did, rev, collection, rkey, cid, active, status }) =>
    say({ event, seq, time, did, rev, collection, rkey, cid: cid?.toString(), active, status }),
  onError: (error) =>
    say({ error: `${error.message}: ${error.cause?.message}`, seq: error.event?.seq ?? error.value?.seq }),
})
firehose.start()

process.stdin.resume()
process.stdin.on('end', async () => {
  await firehose.destroy()
  process.exit(0)
})
