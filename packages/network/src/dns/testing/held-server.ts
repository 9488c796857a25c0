/** A server for tests that kill it, on the sockets that its descriptors 3 and 4 are. Says `ready`. */
import { silentLogger } from '@centaurus/base'
import { startDnsServer } from '../dns-server.ts'
import { createTestResponder } from './responder.ts'

const { responder, counters } = createTestResponder()
await startDnsServer({ address: '', sockets: { udp: 3, tcp: 4 }, responder, counters, logger: silentLogger })
process.stdout.write('ready\n')
