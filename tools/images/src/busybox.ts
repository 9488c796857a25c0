import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

import { buildImage } from './oci.ts'
import type { TarEntry } from './tar.ts'

const runFile = promisify(execFile)

export interface BusyboxImageOptions {
  /** Full name with tag: `centaurus.io/busybox:1`. */
  readonly name: string
  /** A statically linked busybox; default /bin/busybox (Debian: busybox-static). */
  readonly busybox?: string | undefined
  /** Further files, for an application on top of it. */
  readonly files?: readonly TarEntry[] | undefined
  /** Default `['sh']`. */
  readonly command?: readonly string[] | undefined
  readonly user?: string | undefined
}

/** Program header that names a dynamic loader. Source: System V ABI, chapter 5. */
const PT_INTERP = 3
const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n'
const GROUP = 'root:x:0:\nnogroup:x:65534:\n'

/**
 * An OCI archive of a small Linux userland: busybox with each applet as a link, a root and a nobody user, /tmp.
 * Throws when the binary is missing or not statically linked.
 */
export async function buildBusyboxImage(options: BusyboxImageOptions): Promise<Uint8Array> {
  const path = options.busybox ?? '/bin/busybox'
  const binary = await readFile(path).catch((cause: unknown) => {
    throw new Error(`Cannot build an image from "${path}": it is not there; install the package busybox-static`, {
      cause,
    })
  })
  if (isDynamic(binary)) {
    throw new Error(
      `Cannot build an image from "${path}": it is dynamically linked; install the package busybox-static`,
    )
  }
  const { stdout } = await runFile(path, ['--list'])
  const applets = stdout.split('\n').filter((applet) => applet !== '' && applet !== 'busybox')
  return buildImage({
    ...options,
    command: options.command ?? ['sh'],
    files: [...userland(binary, applets), ...(options.files ?? [])],
  })
}

function isDynamic(elf: Buffer): boolean {
  const tableOffset = Number(elf.readBigUInt64LE(32))
  const entryBytes = elf.readUInt16LE(54)
  const entries = elf.readUInt16LE(56)
  for (let i = 0; i < entries; i++) if (elf.readUInt32LE(tableOffset + i * entryBytes) === PT_INTERP) return true
  return false
}

function userland(binary: Uint8Array, applets: readonly string[]): TarEntry[] {
  return [
    { type: 'folder', path: 'bin' },
    { type: 'file', path: 'bin/busybox', data: binary, mode: 0o755 },
    ...applets.map((applet): TarEntry => ({ type: 'symlink', path: `bin/${applet}`, target: 'busybox' })),
    { type: 'folder', path: 'etc' },
    { type: 'file', path: 'etc/passwd', data: Buffer.from(PASSWD) },
    { type: 'file', path: 'etc/group', data: Buffer.from(GROUP) },
    { type: 'folder', path: 'root', mode: 0o700 },
    { type: 'folder', path: 'tmp', mode: 0o1777 },
    { type: 'folder', path: 'var' },
    { type: 'folder', path: 'usr' },
    { type: 'symlink', path: 'usr/bin', target: '../bin' },
    { type: 'symlink', path: 'sbin', target: 'bin' },
  ]
}
