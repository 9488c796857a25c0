import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { DAEMONS, logFile } from '../daemons.ts'
import type { Home } from '../home.ts'
import { join } from 'node:path'
import { UserError } from '../user-error.ts'

const CONTAINERD = 'containerd'

/** Prints the end of a log, or of all, through `tail`. */
export async function showLogs(
  home: Home,
  name: string | undefined,
  options: { follow: boolean; lines: string },
): Promise<void> {
  if (!/^\d+$/.test(options.lines)) throw new UserError(`Cannot use --lines "${options.lines}": it must be a number`)
  const files = filesOf(home, name).filter((file) => existsSync(file))
  if (files.length === 0) throw new UserError('There are no logs yet. Start the cluster with ./centaurus up')
  const args = ['-n', options.lines, ...(options.follow ? ['-F'] : []), ...files]
  await new Promise<void>((resolve) => {
    spawn('tail', args, { stdio: 'inherit' }).on('close', () => resolve())
  })
}

function filesOf(home: Home, name: string | undefined): string[] {
  const all = new Map<string, string>([
    ...DAEMONS.map((daemon) => [daemon, logFile(home, daemon)] as const),
    [CONTAINERD, join(home.logDir, 'containerd.log')],
  ])
  if (name === undefined) return [...all.values()]
  const file = all.get(name)
  if (file === undefined)
    throw new UserError(`There is no log named "${name}". There are: ${[...all.keys()].join(', ')}`)
  return [file]
}
