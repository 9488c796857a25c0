import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process'
import { mustCall } from './libc.ts'

const CLONE_NEWNET = 0x4000_0000
const O_CLOEXEC = 0o2000000

/**
 * A network namespace that the calling thread can step into. What runs inside (sockets, BPF attachments, sysctls, child processes) is of that
 * namespace; all of it is synchronous, so nothing else of the process ever runs in the wrong one.
 */
export class NetworkNamespace {
  readonly name: string
  readonly #fd: number

  private constructor(name: string) {
    this.name = name
    this.#fd = mustCall('open', `/run/netns/${name}`, O_CLOEXEC)
  }

  /** Needs a mount namespace whose /run/netns is nobody else's. */
  static create(name: string): NetworkNamespace {
    execFileSync('ip', ['netns', 'add', name], { stdio: ['ignore', 'ignore', 'inherit'] })
    const namespace = new NetworkNamespace(name)
    namespace.ip('link set lo up')
    return namespace
  }

  /** One that another thread of this process made. */
  static open(name: string): NetworkNamespace {
    return new NetworkNamespace(name)
  }

  /** Runs `action`, which must be synchronous, in this namespace. */
  run<Result>(action: () => Result): Result {
    const before = mustCall('open', '/proc/thread-self/ns/net', O_CLOEXEC)
    try {
      mustCall('setns', this.#fd, CLONE_NEWNET)
      try {
        return action()
      } finally {
        mustCall('setns', before, CLONE_NEWNET)
      }
    } finally {
      mustCall('close', before)
    }
  }

  /** This thread, and whatever it starts, is in it from now on. */
  enter(): void {
    mustCall('setns', this.#fd, CLONE_NEWNET)
  }

  /** Runs a command; its output. */
  exec(command: readonly string[], options: { readonly input?: string } = {}): string {
    const settings: ExecFileSyncOptionsWithStringEncoding = { encoding: 'utf8', maxBuffer: 64 * 2 ** 20, ...options }
    return this.run(() => execFileSync(command[0]!, command.slice(1), settings))
  }

  /** Commands of `ip`, one a line, in one process. */
  ip(commands: string): void {
    this.exec(['ip', '-batch', '-'], { input: commands.replaceAll(/^\s+/gm, '') })
  }

  ifindex(device: string): number {
    const index = this.run(() => mustCall('if_nametoindex', device))
    if (index === 0) throw new Error(`Cannot find device ${device} in ${this.name}`)
    return index
  }

  close(): void {
    mustCall('close', this.#fd)
    execFileSync('ip', ['netns', 'delete', this.name])
  }
}
