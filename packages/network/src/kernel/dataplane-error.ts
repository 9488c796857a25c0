import { getSystemErrorName } from 'node:util'

/** Something that the kernel, or what it needs, refused. The message says what was tried and what is required. */
export class DataplaneError extends Error {
  override readonly name = 'DataplaneError'
  /** Such as `ENOENT`; undefined when no system call failed. */
  readonly code: string | undefined

  constructor(message: string, options: { readonly cause?: unknown; readonly errno?: number } = {}) {
    const code = options.errno === undefined ? undefined : errnoName(options.errno)
    super(code === undefined ? message : `${message} (${code})`, { cause: options.cause })
    this.code = code
  }
}

function errnoName(errno: number): string {
  // ENOTSUPP is the kernel's own and has no name in user space.
  return errno === 524 ? 'ENOTSUPP' : getSystemErrorName(-errno)
}
