import type { HostPort } from './pod-footprint.ts'

/** Ports of the nodes' addresses that pods hold, by slot; most nodes have none. */
export class HostPorts {
  readonly #used = new Map<number, Map<string, number>>()

  /** Whether none of `ports` collides with what is held on the node. */
  areFree(slot: number, ports: readonly HostPort[]): boolean {
    const used = this.#used.get(slot)
    if (used === undefined) return true
    return ports.every(({ ip, protocol, port }) => {
      if (ip === '0.0.0.0') return !used.has(portKey('*', protocol, port))
      return !used.has(portKey(ip, protocol, port)) && !used.has(portKey('0.0.0.0', protocol, port))
    })
  }

  count(slot: number, ports: readonly HostPort[], sign: 1 | -1): void {
    if (ports.length === 0) return
    const used = this.#used.get(slot) ?? new Map<string, number>()
    this.#used.set(slot, used)
    for (const { ip, protocol, port } of ports) {
      for (const key of [portKey(ip, protocol, port), portKey('*', protocol, port)]) addCount(used, key, sign)
    }
    if (used.size === 0) this.#used.delete(slot)
  }
}

/** `*` counts every address of a port. */
function portKey(ip: string, protocol: string, port: number): string {
  return `${ip}/${protocol}/${port}`
}

function addCount(counts: Map<string, number>, key: string, delta: number): void {
  const count = (counts.get(key) ?? 0) + delta
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}
