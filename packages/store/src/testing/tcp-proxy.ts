import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy on loopback that a test can cut, stall and close. */
export class TcpProxy {
  readonly #server: Server
  readonly #target: URL
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>()
  /** Requests (or answers) are swallowed, as by a network that loses them. */
  losesRequests = false
  losesAnswers = false
  /** New connections are closed at once. */
  refuses = false

  private constructor(server: Server, target: URL) {
    this.#server = server
    this.#target = target
    server.on('connection', (client) => this.#connect(client))
  }

  /** Listens, and passes everything on to `target`, an `http://HOST:PORT`. */
  static async open(target: string): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TcpProxy(server, new URL(target))
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#pairs.size
  }

  /** Resets every connection; new ones are taken. Nothing is lost any more. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
    this.losesRequests = false
    this.losesAnswers = false
  }

  async close(): Promise<void> {
    this.cut()
    await once(this.#server.close(), 'close')
  }

  #connect(client: Socket): void {
    if (this.refuses) return void client.resetAndDestroy()
    const server = connect(Number(this.#target.port), this.#target.hostname)
    const pair = [client, server] as const
    this.#pairs.add(pair)
    client.on('data', (chunk) => this.losesRequests || server.write(chunk))
    server.on('data', (chunk) => this.losesAnswers || client.write(chunk))
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', () => {}) // 'close' follows
      socket.on('close', () => {
        this.#pairs.delete(pair)
        client.destroy()
        server.destroy()
      })
    }
  }
}
