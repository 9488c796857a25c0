import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { MissingError } from './missing-error.ts'

export const QEMU = 'qemu-system-x86_64'

/** Programs that a guest needs here, and the Debian packages that have them. */
const NEEDED = [
  [QEMU, 'qemu-system-x86'],
  ['busybox', 'busybox-static'],
  ['xz', 'xz-utils'],
  ['setpriv', 'util-linux'],
  ['modprobe', 'kmod'],
] as const

/** Throws {@link MissingError} with the command that installs what is missing. */
export function requirePrograms(): void {
  const missing = NEEDED.filter(([program]) => findProgram(program) === undefined).map(([, name]) => name)
  if (missing.length === 0) return
  const command = `apt-get install --no-install-recommends ${missing.join(' ')}`
  throw new MissingError(`Cannot start a virtual machine: programs are missing. Install them: ${command}`)
}

/** Path of a program that {@link requirePrograms} found. */
export function requireProgram(name: string): string {
  const path = findProgram(name)
  if (path === undefined) throw new MissingError(`Cannot start a virtual machine: there is no ${name}`)
  return path
}

function findProgram(name: string): string | undefined {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  return dirs.map((dir) => join(dir, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
