import type { TestPod } from './cluster.ts'
import { pollSockets, Socket } from './sockets.ts'

const OPEN_MS_MAX = 15_000
const QUIET_MS = 60

/** One flow between two pods that stays open over changes of what is around it. */
export class Conversation {
  readonly #listener: Socket
  readonly #client: Socket
  #server: Socket
  #said = 0

  private constructor(sockets: { readonly listener: Socket; readonly client: Socket; readonly server: Socket }) {
    this.#listener = sockets.listener
    this.#client = sockets.client
    this.#server = sockets.server
  }

  /** Throws when it can't be begun. */
  static begin(
    protocol: 'TCP' | 'UDP',
    { from, to, port }: { from: TestPod; to: TestPod; port: number },
  ): Conversation {
    const kind = protocol === 'TCP' ? 'tcp' : 'udp'
    const listener = Socket[kind](to.namespace).bind({ ip: '0.0.0.0', port })
    if (kind === 'tcp') listener.listen()
    const client = Socket[kind](from.namespace)
    client.connect({ ip: to.endpoint.ip, port })
    if (kind === 'udp') return new Conversation({ listener, client, server: listener })
    pollSockets([{ socket: listener, wants: 'read' }], OPEN_MS_MAX)
    const server = listener.accept()
    if (server === undefined) throw new Error(`Cannot connect ${from.name} to ${to.name}, port ${port}`)
    return new Conversation({ listener, client, server })
  }

  /** Whether what the client says now is heard. `expected: false` is concluded after a while of silence. */
  isHeard({ expected }: { readonly expected: boolean }): boolean {
    const words = Buffer.from(`word ${++this.#said};`)
    this.#client.send(words)
    const deadline = performance.now() + (expected ? OPEN_MS_MAX : QUIET_MS)
    let heard = ''
    while (performance.now() < deadline) {
      pollSockets([{ socket: this.#server, wants: 'read' }], 20)
      heard += this.#server
        .receiveAll()
        .map(({ data }) => data.toString())
        .join('')
      if (heard.includes(words.toString())) return true
    }
    return false
  }

  close(): void {
    for (const socket of new Set([this.#client, this.#server, this.#listener])) socket.close()
  }
}
