import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { attachProgram, detachLink, ifindexOfLink, replaceProgram, type Hook } from '../kernel/bpf-link.ts'
import { closeFd, openPinned, pinObject } from '../kernel/bpf-syscall.ts'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import { PROGRAM_NAMES, type ProgramName } from './open-programs.ts'

/** A program at a place of a device. */
export interface Attachment {
  readonly program: ProgramName
  readonly hook: Hook
  readonly ifindex: number
}

/**
 * Programs on devices. Each link is pinned, so that it outlives the process; a later one puts its own programs in the place of the old ones, without a packet
 * that sees neither.
 */
export class Attachments {
  readonly #dir: string
  readonly #programFd: (name: ProgramName) => number

  constructor(dir: string, programFd: (name: ProgramName) => number) {
    mkdirSync(dir, { recursive: true })
    this.#dir = dir
    this.#programFd = programFd
  }

  /** Puts this process' programs in the place of what is pinned. Links whose device is gone are taken away. Returns what is attached now. */
  adopt(): Attachment[] {
    return this.list().filter((attachment) => this.#replace(attachment))
  }

  list(): Attachment[] {
    return readdirSync(this.#dir).flatMap((name) => {
      const match = /^(\w+)@([a-z-]+)@(\d+)$/.exec(name)
      if (match === null) return []
      const [, program, hook, ifindex] = match
      return [{ program: program as ProgramName, hook: hook as Hook, ifindex: Number(ifindex) }]
    })
  }

  /** Puts this process' programs in the place of those of another version, link by link; each is this one's afterwards. What can't be this one's stays there. */
  takeOver(other: Attachments, onTaken: (attachment: Attachment) => void): void {
    for (const attachment of other.list()) {
      const path = this.#path(attachment)
      if (!isProgramName(attachment.program) || existsSync(path)) continue
      if (!other.#replace(attachment, this.#programFd)) continue
      renameSync(other.#path(attachment), path)
      onTaken(attachment)
    }
  }

  /** Idempotent. Throws `DataplaneError` when the kernel refuses. */
  attach(attachment: Attachment): void {
    if (this.#replace(attachment)) return
    const { hook, ifindex, program } = attachment
    const fd = attachProgram(hook, { programFd: this.#programFd(program), ifindex })
    try {
      pinObject(fd, this.#path(attachment))
    } finally {
      closeFd(fd)
    }
  }

  detach(attachment: Attachment): void {
    const fd = openPinned(this.#path(attachment))
    if (fd === undefined) return
    detachLink(fd)
    closeFd(fd)
    rmSync(this.#path(attachment), { force: true })
  }

  /** False: there is no link that could be used. */
  #replace(attachment: Attachment, programFd = this.#programFd): boolean {
    const path = this.#path(attachment)
    const fd = openPinned(path)
    if (fd === undefined) return false
    try {
      if (ifindexOfLink(fd) === attachment.ifindex) {
        replaceProgram(fd, programFd(attachment.program))
        return true
      }
      rmSync(path, { force: true })
      return false
    } catch (cause) {
      throw new DataplaneError(`Cannot renew program ${attachment.program} on device ${attachment.ifindex}`, { cause })
    } finally {
      closeFd(fd)
    }
  }

  #path({ program, hook, ifindex }: Attachment): string {
    return join(this.#dir, `${program}@${hook}@${ifindex}`)
  }
}

function isProgramName(name: string): name is ProgramName {
  return PROGRAM_NAMES.some((known) => known === name)
}
