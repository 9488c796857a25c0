import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Clock } from '@centaurus/base'

/** Where `quark channel` is, and what it is told when it starts. */
export interface ChannelProgram {
  /** The runtime's binary. */
  readonly binary: string
  /** Folder of the runtime's state, in which pods are found that were made before the service ran. */
  readonly stateRoot: string
  /** Where pods come when they are made. */
  readonly socket: string
  /** Where the service hears us. */
  readonly control: string
}

/** What the service says of itself. */
export interface ChannelReport {
  /** Sandboxes that use channels. */
  readonly pods: number
  /** Addresses of hosts to which there is a link. */
  readonly links: readonly string[]
  /** Connections that there are, those between two pods of this host once. */
  readonly connections: number
  /** Connections that were made since it started. */
  readonly opened: number
  /** Bytes to and from other hosts. */
  readonly carried_bytes: number
}

const START_TIMEOUT_MS = 5_000
const LOOK_MS = 20
/** Of one line that the service says. */
const LINE_BYTES_MAX = 1 << 20

/** A connection to a service that runs. */
export class ChannelService {
  readonly #socket: Socket
  readonly #waiting: ((report: ChannelReport | undefined) => void)[] = []
  /** Resolves when it is gone. */
  readonly gone: Promise<void>
  #buffered = ''

  constructor(socket: Socket) {
    this.#socket = socket
    const { promise, resolve } = Promise.withResolvers<void>()
    this.gone = promise
    socket.setEncoding('utf8')
    socket.on('error', () => {}) // 'close' follows
    socket.on('data', (text: string) => this.#take(text))
    socket.on('close', () => {
      for (const tell of this.#waiting.splice(0)) tell(undefined)
      resolve()
    })
  }

  /** Tells it what holds from now on. */
  async follow(plan: object): Promise<void> {
    await this.#say(JSON.stringify(plan))
  }

  /** How it is; undefined: it is gone. */
  ask(): Promise<ChannelReport | undefined> {
    return this.#say('')
  }

  get isGone(): boolean {
    return this.#socket.destroyed
  }

  /** It goes on by the last plan, as long as it has pods. */
  close(): void {
    this.#socket.destroy()
  }

  /** Each line is answered by one, in order. */
  #say(line: string): Promise<ChannelReport | undefined> {
    if (this.#socket.destroyed) return Promise.resolve(undefined)
    const { promise, resolve } = Promise.withResolvers<ChannelReport | undefined>()
    this.#waiting.push(resolve)
    this.#socket.write(`${line}\n`)
    return promise
  }

  #take(text: string): void {
    const lines = `${this.#buffered}${text}`.split('\n')
    this.#buffered = lines.pop() ?? ''
    try {
      for (const line of lines) this.#waiting.shift()?.(JSON.parse(line) as ChannelReport)
    } catch {
      this.#socket.destroy() // another program, or a broken one
    }
    if (this.#buffered.length > LINE_BYTES_MAX) this.#socket.destroy()
  }
}

/** The one that runs; undefined: none does. */
export async function findChannelService({
  control,
}: Pick<ChannelProgram, 'control'>): Promise<ChannelService | undefined> {
  const socket = connect(control)
  try {
    await once(socket, 'connect')
    return new ChannelService(socket)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined
    throw new Error(`Cannot reach the service of channels at ${control}`, { cause })
  }
}

/**
 * Starts one, which outlives this process, and connects to it. Rejects when it ends, having said why on standard error, or does not answer.
 * `listen`: where other hosts find it.
 */
export async function startChannelService(
  program: ChannelProgram,
  { listen, clock, signal }: { readonly listen: string; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<ChannelService> {
  const { binary, stateRoot, socket, control } = program
  const places = ['--listen', listen, '--control', control, '--socket', socket]
  const child = spawn(binary, ['--root', stateRoot, 'channel', ...places], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  child.unref()
  const ended = new AbortController()
  const end = (why: string): void => ended.abort(new Error(`Cannot start the service of channels: ${why}`))
  child.on('error', ({ message }) => end(message))
  child.on('exit', (code, by) => end(by === null ? `it ended with ${code}` : `it was ended by ${by}`))
  const givenUp = clock.setTimer(START_TIMEOUT_MS, () => end('it does not answer'))
  const either = AbortSignal.any([signal, ended.signal])
  try {
    for (;;) {
      await clock.sleep(LOOK_MS, { signal: either })
      const found = await findChannelService(program)
      if (found !== undefined) return found
    }
  } finally {
    givenUp.cancel()
  }
}
