// Prints the events of Jetstream, compressed on their way, each once, whatever happens to the connection.
// The WebSocket is Node's own.
//
//     node jetstream.mjs ws://127.0.0.1:8787 DICTIONARY [SINCE [FILTER ...]]
//
// DICTIONARY is the file of the dictionary that Jetstream compresses with. SINCE is a time to begin at, such as
// 2026-11-27T12:00:00Z, or now. Each FILTER is a collection, such as app.bsky.feed.post or app.bsky.graph.*, or an
// account's DID; without any, everything comes.

import { readFileSync } from 'node:fs'
import { zstdDecompressSync } from 'node:zlib'

const SILENCE_MS = 15_000 // a connection that says nothing for so long may be dead
const PAUSE_MS = 1_000

const [url, dictionaryFile, since = 'now', ...filters] = process.argv.slice(2)
const dictionary = readFileSync(dictionaryFile)
let cursor = since !== 'now' && Date.parse(since) * 1_000 // a cursor is a time, in microseconds
let last = 0 // store it with what you make of the events, and begin there after a restart

function connect() {
  const query = new URLSearchParams({ compress: 'true' })
  for (const filter of filters) query.append(filter.startsWith('did:') ? 'wantedDids' : 'wantedCollections', filter)
  if (cursor) query.append('cursor', cursor)
  const socket = new WebSocket(`${url}/subscribe?${query}`)
  socket.binaryType = 'arraybuffer'
  const reconnect = () => {
    console.error('disconnected')
    clearTimeout(silence)
    socket.onmessage = socket.onclose = null
    socket.close()
    setTimeout(connect, PAUSE_MS)
  }
  const silence = setTimeout(reconnect, SILENCE_MS)
  socket.onmessage = ({ data }) => {
    silence.refresh()
    receive(JSON.parse(zstdDecompressSync(data, { dictionary })))
  }
  socket.onclose = reconnect
}

function receive({ time_us, kind, did, commit }) {
  if (time_us <= last) return // the event of the cursor itself comes again
  cursor = last = time_us
  const operation = commit ? [commit.operation, `${commit.collection}/${commit.rkey}`] : []
  console.log([time_us, kind, did, ...operation].join(' '))
}

connect()
