import type { Writable } from 'node:stream'

/** What one job may write, each stream. */
const OUTPUT_BYTES_MAX = 64 * 2 ** 20

/** A stream of a guest, in which each job's output ends with a mark. */
export class GuestOutput {
  #body: Buffer[] = []
  #bytes = 0
  /** What may be the beginning of the mark. */
  #held = Buffer.alloc(0)
  #mark = Buffer.alloc(0)
  #copy: Writable | undefined
  #waiting = Promise.withResolvers<string>()

  /** The output up to `mark`; `copy` gets it as it comes. */
  until(mark: string, copy?: Writable): Promise<string> {
    this.#body = []
    this.#bytes = 0
    this.#held = Buffer.alloc(0)
    this.#mark = Buffer.from(mark)
    this.#copy = copy
    this.#waiting = Promise.withResolvers<string>()
    return this.#waiting.promise
  }

  add(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#held, chunk])
    const end = startOf(this.#mark, bytes)
    this.#held = bytes.subarray(end)
    if (end > 0) {
      this.#body.push(bytes.subarray(0, end))
      this.#bytes += end
      this.#copy?.write(bytes.subarray(0, end))
    }
    if (this.#held.equals(this.#mark)) this.#waiting.resolve(Buffer.concat(this.#body).toString())
    if (this.#bytes > OUTPUT_BYTES_MAX)
      this.#waiting.reject(new Error(`The command wrote more than ${OUTPUT_BYTES_MAX / 2 ** 20} MiB`))
  }

  /** What came last. */
  tail(characters: number): string {
    return Buffer.concat(this.#body).toString().slice(-characters)
  }
}

/** Where the mark, or as much of it as has come, starts at the end of `bytes`; their length when it hasn't. */
function startOf(mark: Buffer, bytes: Buffer): number {
  const first = Math.max(0, bytes.length - mark.length)
  for (let at = first; at < bytes.length; at++)
    if (mark.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return at
  return bytes.length
}

/** Lines, one after another. */
export class GuestLines {
  #rest = ''
  readonly #lines: string[] = []
  #waiting: ((line: string) => void) | undefined

  add(chunk: Buffer): void {
    const parts = (this.#rest + chunk.toString()).split('\n')
    this.#rest = parts.pop()!
    this.#lines.push(...parts)
    this.#deliver()
  }

  next(): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = resolve
      this.#deliver()
    })
  }

  #deliver(): void {
    if (this.#waiting === undefined || this.#lines.length === 0) return
    const resolve = this.#waiting
    this.#waiting = undefined
    resolve(this.#lines.shift()!)
  }
}
