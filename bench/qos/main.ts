/** What `bench/qos.ts` starts inside of namespaces: measures with real sockets, and prints the results as JSON. */
import { isolateHost } from '@centaurus/node/testing'
import { measureFlood } from './round-trips.ts'

isolateHost()
process.stdout.write(JSON.stringify(await measureFlood()))
