import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const runFile = promisify(execFile)

/** Mounting, as a dependency: agents without root pass one that refuses. */
export interface Mounter {
  mountTmpfs(target: string, options: { readonly sizeBytes: number | undefined }): Promise<void>
  bind(source: string, target: string): Promise<void>
  unmount(target: string): Promise<void>
  /** Mount points at or below `prefix`, deepest first. */
  listBelow(prefix: string): Promise<readonly string[]>
}

/** The machine's mount table, through mount(8) and umount(8). */
export const systemMounter: Mounter = {
  async mountTmpfs(target, { sizeBytes }) {
    const size = sizeBytes === undefined ? [] : ['-o', `size=${sizeBytes}`]
    await run('mount', ['-t', 'tmpfs', ...size, 'tmpfs', target])
  },
  bind: (source, target) => run('mount', ['--bind', source, target]),
  unmount: (target) => run('umount', ['--lazy', target]),
  listBelow: async (prefix) => parseMountPoints(await readFile('/proc/self/mountinfo', 'utf8'), prefix),
}

/** Mount points at or below `prefix` in /proc/PID/mountinfo, deepest first. */
export function parseMountPoints(mountinfo: string, prefix: string): string[] {
  const points = mountinfo.split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
  return points
    .filter((point) => point === prefix || point.startsWith(`${prefix}/`))
    .toSorted((a, b) => b.length - a.length)
}

async function run(command: string, args: readonly string[]): Promise<void> {
  try {
    await runFile(command, args)
  } catch (cause) {
    const detail = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause)
    throw new Error(`Cannot run ${command} ${args.join(' ')}: ${detail}`, { cause })
  }
}
