import { listServerPorts, type Home } from './home.ts'
import type { Settings } from './settings.ts'

/** Where programs of this machine find the API of a home's partition. */
export function apiServersOf(home: Home, settings: Settings): { server: string; alternatives: string[] } {
  const server = `https://${loopbackOf(settings)}:${settings.port}`
  return { server, alternatives: otherServers(home, server) }
}

/** The other API servers of the partition on this machine: any will do when one dies. */
export function otherServers(home: Home, server: string): string[] {
  return listServerPorts(home).map((port) => Object.assign(new URL(server), { port: String(port) }).origin)
}

/** Where a server on this machine listens. */
function loopbackOf({ listen }: Settings): string {
  return listen === undefined || listen === '0.0.0.0' || listen === '::' ? '127.0.0.1' : listen
}
