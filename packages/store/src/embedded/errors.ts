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

/** What LMDB says of a file that it can't make sense of. Other errors stay as they are. */
export function explainDamage(error: unknown, file: string): unknown {
  const isDamage = error instanceof Error && !(error instanceof StoreFileError) && error.message.startsWith('MDB_')
  return isDamage ? damagedFile(file, error.message, error) : error
}
