import { createServer, type Server, type Socket } from 'node:net'

/** One way between this machine and a guest: a socket that QEMU connects to. */
export class Port {
  /** Called with what the guest says; set it before the machine starts. */
  onData: (chunk: Buffer) => void = () => undefined
  readonly #server: Server
  #socket: Socket | undefined
  #unsent = ''

  private constructor() {
    this.#server = createServer((socket) => {
      this.#socket = socket
      socket.on('data', (chunk: Buffer) => this.onData(chunk))
      socket.on('error', () => undefined) // the machine was ended
      if (this.#unsent !== '') socket.write(this.#unsent)
      this.#unsent = ''
    })
  }

  static async listen(path: string): Promise<Port> {
    const port = new Port()
    await new Promise<void>((resolve, reject) => {
      port.#server.once('error', reject)
      port.#server.listen(path, resolve)
    })
    return port
  }

  write(text: string): void {
    if (this.#socket === undefined) this.#unsent += text
    else this.#socket.write(text)
  }

  close(): void {
    this.#socket?.destroy()
    this.#server.close()
  }
}
