/** One entry of a tar archive. Paths have no leading slash; folders come before what is in them. */
export type TarEntry =
  | { readonly type: 'file'; readonly path: string; readonly data: Uint8Array; readonly mode?: number }
  | { readonly type: 'folder'; readonly path: string; readonly mode?: number }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }

const BLOCK_BYTES = 512
const NAME_BYTES_MAX = 100
const TYPE_FLAGS = { file: '0', symlink: '2', folder: '5' } as const

/** A POSIX ustar archive of `entries`, owned by root, dated 1970, so that equal input gives equal bytes. Paths are at most 100 bytes. */
export function writeTar(entries: readonly TarEntry[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    parts.push(header(entry))
    if (entry.type !== 'file') continue
    parts.push(entry.data, new Uint8Array(padding(entry.data.length)))
  }
  parts.push(new Uint8Array(2 * BLOCK_BYTES)) // two empty blocks end an archive
  return Buffer.concat(parts)
}

function header(entry: TarEntry): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES)
  const path = entry.type === 'folder' ? `${entry.path}/` : entry.path
  if (Buffer.byteLength(path) > NAME_BYTES_MAX)
    throw new RangeError(`Path "${path}" must be at most ${NAME_BYTES_MAX} bytes`)
  const mode = entry.type === 'symlink' ? 0o777 : (entry.mode ?? (entry.type === 'folder' ? 0o755 : 0o644))
  block.write(path, 0)
  block.write(octal(mode, 7), 100)
  block.write(octal(0, 7), 108)
  block.write(octal(0, 7), 116)
  block.write(octal(entry.type === 'file' ? entry.data.length : 0, 11), 124)
  block.write(octal(0, 11), 136)
  block.write(TYPE_FLAGS[entry.type], 156)
  if (entry.type === 'symlink') block.write(entry.target, 157)
  block.write('ustar\u000000', 257)
  block.write('root', 265)
  block.write('root', 297)
  block.fill(' ', 148, 156) // the checksum counts itself as blanks
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 6)}\0 `, 148)
  return block
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}

function padding(length: number): number {
  return (BLOCK_BYTES - (length % BLOCK_BYTES)) % BLOCK_BYTES
}
