/** Where agents of workers meet, as at torchrun's c10d rendezvous: served by the agent of worker 0, over TCP, a JSON object a line. */
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** What an agent says. `meet`: it has stopped, and has done so many steps. `done`: its part of the next step is, and perhaps all of the work. */
export type AgentMessage =
  | { readonly type: 'meet'; readonly index: number; readonly step: number }
  | { readonly type: 'done'; readonly round: number; readonly isLast: boolean }

/** What it is told. `again`: others come or are gone, so all meet again. `next`: all parts of a step are done, and one says that it was the last, or none. */
export type WorldMessage =
  | {
      readonly type: 'world'
      readonly round: number
      readonly rank: number
      readonly size: number
      readonly step: number
    }
  | { readonly type: 'next'; readonly isLast: boolean }
  | { readonly type: 'again' }

export interface RendezvousOptions {
  readonly min: number
  readonly max: number
  /** So long after there are enough others may still come. */
  readonly lastCallMs: number
}

interface Member {
  readonly socket: Socket
  index: number
  step: number
  /** `comes`: it will say that it waits. `waits`: for a world. `runs`: in one. `stands`: its part of the step is done. */
  state: 'comes' | 'waits' | 'runs' | 'stands'
}

export class Rendezvous {
  readonly #options: RendezvousOptions
  readonly #members = new Set<Member>()
  readonly #server: Server
  #round = 0
  #isLast = false
  #lastCall: NodeJS.Timeout | undefined

  constructor(options: RendezvousOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#accept(socket))
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
  }

  #accept(socket: Socket): void {
    const member: Member = { socket, index: -1, step: 0, state: 'comes' }
    this.#members.add(member)
    socket.once('close', () => {
      this.#members.delete(member)
      if (member.state === 'comes') this.#callLast()
      else this.#meetAgain()
    })
    createInterface({ input: socket })
      .on('line', (line) => this.#hear(member, JSON.parse(line) as AgentMessage))
      .on('error', () => socket.destroy())
  }

  #hear(member: Member, message: AgentMessage): void {
    if (message.type === 'meet') {
      Object.assign(member, { index: message.index, step: message.step, state: 'waits' })
      return this.#meetAgain()
    }
    if (message.round !== this.#round || member.state !== 'runs') return
    member.state = 'stands'
    this.#isLast ||= message.isLast
    if (this.#in('runs').length > 0) return
    for (const each of this.#in('stands')) this.#tell(each, { type: 'next', isLast: this.#isLast }, 'runs')
  }

  /** Who runs stops, and says that it has. Nobody of the world that was goes on. */
  #meetAgain(): void {
    this.#round++
    for (const member of [...this.#in('runs'), ...this.#in('stands')]) this.#tell(member, { type: 'again' }, 'comes')
    this.#callLast()
  }

  #callLast(): void {
    clearTimeout(this.#lastCall)
    const isReady = [...this.#members].every(({ state }) => state === 'waits')
    if (!isReady || this.#members.size < this.#options.min) return
    this.#lastCall = setTimeout(() => this.#begin(), this.#options.lastCallMs)
  }

  /** Who has done most is the first, so that the others learn its state; then by number. */
  #begin(): void {
    const order = this.#in('waits').toSorted((a, b) => b.step - a.step || a.index - b.index)
    const world = order.slice(0, this.#options.max)
    const told = { type: 'world', round: ++this.#round, size: world.length, step: world[0]!.step } as const
    this.#isLast = false
    for (const [rank, member] of world.entries()) this.#tell(member, { ...told, rank }, 'runs')
  }

  #in(state: Member['state']): Member[] {
    return [...this.#members].filter((member) => member.state === state)
  }

  #tell(member: Member, message: WorldMessage, state: Member['state']): void {
    member.state = state
    member.socket.write(`${JSON.stringify(message)}\n`)
  }
}
