import type { Version } from '../mvcc/version.ts'

/**
 * Keeps the newest commits' values in memory, so that events, and the previous values of keys that change often, need no read.
 * First in, first out, up to a number of bytes.
 */
export class RecentValues {
  readonly #bytesMax: number
  #versions: Version[] = []
  #first = 0
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Takes versions that hold their value; drops the oldest values beyond the limit. */
  add(versions: readonly Version[]): void {
    for (const version of versions) {
      if (version.value === undefined) continue
      this.#versions.push(version)
      this.#bytes += version.value.byteLength
    }
    while (this.#bytes > this.#bytesMax) {
      const version = this.#versions[this.#first++]!
      this.#bytes -= version.value!.byteLength
      version.value = undefined
    }
    if (this.#first > 1024 && this.#first * 2 > this.#versions.length) {
      this.#versions = this.#versions.slice(this.#first)
      this.#first = 0
    }
  }
}
