/** Run with a URL, the path of a file with credentials and an IPC channel: our DNS server in a process of its own. Says its port. Ends when the channel does. */
import { readFileSync } from 'node:fs'
import { silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { serveClusterDns } from '@centaurus/network'

/** What it says when it is ready. */
export interface DnsReadyMessage {
  readonly port: number
}

const [server = '', credentials = ''] = process.argv.slice(2)
const { ca, cert, key } = JSON.parse(readFileSync(credentials, 'utf8')) as { ca: string; cert: string; key: string }
const client = createHttpClient({ server, ca, cert, key })
const informers = createInformerFactory(client, { clock: systemClock, logger: silentLogger })
const dns = await serveClusterDns({
  informers,
  address: '127.0.0.1',
  port: 0,
  domain: 'cluster.local',
  clientAt: () => undefined,
  clock: systemClock,
  logger: silentLogger,
  resolvConf: '/dev/null',
})
await informers.whenSynced()
process.once('disconnect', () => void stop())
process.send?.({ port: dns.port } satisfies DnsReadyMessage)

async function stop(): Promise<void> {
  await dns.close()
  await informers.close()
  await client.close()
}
