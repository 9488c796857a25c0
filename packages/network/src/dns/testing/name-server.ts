import { createSocket } from 'node:dgram'
import { decode, encode, type Answer } from 'dns-packet'

export interface NameServerOptions {
  readonly address: string
  readonly port: number
  /** The address of a name; undefined: there is no such name. */
  readonly addressOf: (name: string) => string | undefined
}

/** A name server over UDP of a test's own: names with IPv4 addresses. Returns the function that closes it. */
export async function startNameServer({ address, port, addressOf }: NameServerOptions): Promise<() => Promise<void>> {
  const socket = createSocket('udp4')
  socket.on('message', (message, from) => {
    const { id = 0, questions = [] } = decode(message)
    const { name = '', type } = questions[0] ?? {}
    const data = addressOf(name)
    const answers: Answer[] = data === undefined || type !== 'A' ? [] : [{ type: 'A', name, ttl: 60, data }]
    const flags = 0x180 | (data === undefined ? 3 : 0)
    socket.send(encode({ type: 'response', id, flags, questions, answers }), from.port, from.address)
  })
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, address, resolve))
  return () =>
    new Promise<void>((resolve) => {
      socket.close(() => resolve())
    })
}
