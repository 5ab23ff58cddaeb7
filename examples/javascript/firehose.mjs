// Prints the events of the firehose, each once, whatever happens to the connection. The WebSocket is Node's own.
//
//     node firehose.mjs ws://127.0.0.1:8787 [SINCE]
//
// SINCE is a time to begin at, such as 2026-11-27T12:00:00Z; without it the stream begins now.

import { decode, decodeFirst } from '@atcute/cbor'

const SILENCE_MS = 15_000 // a connection that says nothing for so long may be dead
const PAUSE_MS = 1_000

const [url, since] = process.argv.slice(2)
let cursor = since && Date.parse(since) * 1_000 // a cursor of EdgeRelay is a time, in microseconds
let last = 0 // store it with what you make of the events, and begin there after a restart

function connect() {
  const query = cursor ? `?cursor=${cursor}` : ''
  const socket = new WebSocket(`${url}/xrpc/com.atproto.sync.subscribeRepos${query}`)
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
    receive(new Uint8Array(data))
  }
  socket.onclose = reconnect
}

function receive(frame) {
  const [header, rest] = decodeFirst(frame)
  const body = decode(rest)
  if (header.op === -1 || header.t === '#info') {
    console.error(body)
  } else if (body.seq > last) { // the event of the cursor itself comes again
    cursor = last = body.seq
    const operations = (body.ops ?? []).map(({ action, path }) => `${action} ${path}`)
    console.log([last, header.t.slice(1), body.repo ?? body.did, ...operations].join(' '))
  }
}

connect()
