// A PLC directory and a reference PDS, on free ports of the loopback interface, for as long as standard input is open.
//
// The first line on standard output is {plc, pds, admin}: where they listen, and the password of the PDS's
// administrator. After that each line on standard input is {rotate: did}, answered by one line: {key} or {error}.

import fs from 'node:fs/promises'
import net from 'node:net'
import readline from 'node:readline'
import { Secp256k1Keypair } from '@atproto/crypto'
import { ADMIN_PASSWORD, TestPds, TestPlc, mockNetworkUtilities } from '@atproto/dev-env'
import { scripts } from '@atproto/pds'

const HOST = '127.0.0.1'

// Standard output carries answers only, whatever the servers have to say.
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
console.log = console.error

// Neither server takes an address to listen on: by themselves they would listen on every interface.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (first, ...rest) {
  const callback = rest.find((argument) => typeof argument === 'function')
  if (typeof first === 'object' && first !== null && 'port' in first) {
    return listen.call(this, { ...first, host: HOST }, callback)
  }
  if (typeof first === 'number') return listen.call(this, { port: first, host: HOST }, callback)
  throw new Error(`will not listen on ${JSON.stringify(first)}`)
}

/** Give the account a new signing key the way an operator does: key file first, then the script of the PDS. */
async function rotate(context, did) {
  const key = await Secp256k1Keypair.create({ exportable: true })
  const { keyLocation } = await context.actorStore.getLocation(did)
  await fs.writeFile(keyLocation, await key.export())
  await scripts['rotate-keys'](context, [did])
  // The script reports its failures to the console only.
  const published = await context.idResolver.did.resolveAtprotoKey(did, true)
  if (published !== key.did()) throw new Error(`the directory still says ${published}`)
  return { key: published }
}

const plc = await TestPlc.create({})
const pds = await TestPds.create({ didPlcUrl: plc.url })
mockNetworkUtilities(pds)
const onLoopback = (url) => url.replace('localhost', HOST)
say({ plc: onLoopback(plc.url), pds: onLoopback(pds.url), admin: ADMIN_PASSWORD })

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    say(await rotate(pds.ctx, JSON.parse(line).rotate))
  } catch (error) {
    say({ error: String(error) })
  }
}
await pds.close()
await plc.close()
process.exit(0)
