import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** Where whoever has {@link PodSockets} answers, by TCP and UDP. */
export const TALK_PORT = 7000
/** Where they take many bytes. */
export const SINK_PORT = 7001

export interface Place {
  readonly ip: string
  readonly port: number
}

export interface Answer {
  /** Name of who answered. */
  readonly by: string
  /** The asker's address, as the other end sees it. */
  readonly seenAs: string | undefined
}

export interface StreamProgress {
  readonly sent: number
  readonly answered: number
  /** Why it ended. */
  readonly broken: string | undefined
}

/** A counter of the kernel, and when it was read. */
export interface OctetReading {
  /** Of IP packets that have come, headers and all. */
  readonly octets: number
  /** Milliseconds of one clock, before and after the reading. */
  readonly beforeMs: number
  readonly afterMs: number
}

/** Packets to somebody who need not answer. */
export interface Flood extends Place {
  readonly protocol: 'TCP' | 'UDP'
  /** Bits a second that it has to send; what does not get through waits in its sockets. */
  readonly offered: number
}

type Order =
  | ({ readonly type: 'ask'; readonly protocol: 'TCP' | 'UDP' } & Place)
  | ({ readonly type: 'flood' } & Flood)
  | ({ readonly type: 'bulk'; readonly bytes: number } & Place)
  | ({ readonly type: 'stream' } & Place)
  | { readonly type: 'streamed' | 'heard' | 'calm' | 'octets' }

/** What the process is told. */
export type SocketCommand = Order & { readonly id: number }
/** What it tells; the first, of id 0, when it listens. */
export interface SocketEvent {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** Sockets in the network of a pod or a host. */
export interface PodSockets {
  readonly name: string
  /** Prefix that runs a command in the same network. */
  readonly enter: readonly string[]
  /** Who answers there; undefined: nobody. */
  ask(protocol: 'TCP' | 'UDP', place: Place): Promise<Answer | undefined>
  /** Sends random bytes to a {@link SINK_PORT}. Whether what arrived is what was sent; rejects when nothing moves. */
  sendInBulk(place: Place & { readonly bytes: number }): Promise<boolean>
  /** Opens a connection that stays and says something all the time. Resolves when it is answered. */
  startStream(place: Place): Promise<void>
  streamed(): Promise<StreamProgress>
  /** Sends until {@link calm}, by one connection or one socket. Resolves when it has begun. */
  flood(flood: Flood): Promise<void>
  /** Ends the flood. Returns why it had ended before; undefined: it had not. */
  calm(): Promise<string | undefined>
  /** What has come to this network so far. */
  octets(): Promise<OctetReading>
  /** Names of all who were heard here. */
  heard(): Promise<string[]>
  close(): Promise<void>
}

/** Starts the process `name` that has them, behind the prefix `enter`. */
export async function openPodSockets(name: string, enter: readonly string[]): Promise<PodSockets> {
  const [program, ...args] = [...enter, process.execPath, join(import.meta.dirname, 'pod-sockets-main.ts'), name]
  const child = spawn(program!, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const waiting = new Map<number, (event: SocketEvent) => void>()
  let last = 0
  child.on('message', (event: SocketEvent) => waiting.get(event.id)?.(event))
  child.once('exit', (code) => {
    for (const [id, done] of waiting) done({ id, error: `The sockets of ${name} ended with ${code}` })
  })
  const expect = <T>(id: number): Promise<T> =>
    new Promise((resolve, reject) => {
      waiting.set(id, ({ value, error }) => {
        waiting.delete(id)
        if (error === undefined) resolve(value as T)
        else reject(new Error(`${name}: ${error}`))
      })
    })
  const order = <T>(what: Order): Promise<T> => {
    const id = ++last
    const answer = expect<T>(id)
    child.send({ ...what, id } satisfies SocketCommand)
    return answer
  }
  await expect(0)
  return {
    name,
    enter,
    ask: (protocol, place) => order({ type: 'ask', protocol, ...place }),
    sendInBulk: (options) => order({ type: 'bulk', ...options }),
    startStream: (place) => order({ type: 'stream', ...place }),
    streamed: () => order({ type: 'streamed' }),
    flood: (flood) => order({ type: 'flood', ...flood }),
    calm: () => order({ type: 'calm' }),
    octets: () => order({ type: 'octets' }),
    heard: () => order({ type: 'heard' }),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.disconnect()
      await once(child, 'exit')
    },
  }
}
