/** The store's file on disk can't be used as it is. The message names the file and the way out. */
export class StoreFileError extends Error {
  override readonly name = 'StoreFileError'
}

/** Another live process (or this one) has the store open. */
export class StoreLockedError extends Error {
  override readonly name = 'StoreLockedError'
  /** The process that holds it. */
  readonly pid: number
  constructor(message: string, pid: number) {
    super(message)
    this.pid = pid
  }
}

/** What an operator can do about a damaged file. */
export function damagedFile(file: string, problem: string, cause?: unknown): StoreFileError {
  const way = 'restore the directory from a backup, or move it away to start with an empty store'
  return new StoreFileError(`Cannot read store file ${file}: ${problem}; ${way}`, { cause })
}
