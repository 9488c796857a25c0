import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { DAEMONS, logFile } from '../daemons.ts'
import { listGateways } from '../gateway-home.ts'
import { listHomes, type Home } from '../home.ts'
import { basename, join } from 'node:path'
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

/** `tp1` names all logs of that partition, `tp1/node` one of them. */
function filesOf(home: Home, name: string | undefined): string[] {
  const all = new Map<string, string>()
  for (const each of listHomes(home)) {
    const prefix = each.name === '' ? '' : `${each.name}/`
    for (const daemon of DAEMONS) all.set(prefix + daemon, logFile(each.home, daemon))
  }
  for (const { home: own } of listGateways(home)) {
    all.set(`gateway/${basename(own.dir)}`, logFile(own, 'gateway-server'))
  }
  all.set(CONTAINERD, join(home.logDir, 'containerd.log'))
  if (name === undefined) return [...all.values()]
  const files = [...all].flatMap(([key, file]) => (key === name || key.startsWith(`${name}/`) ? [file] : []))
  if (files.length === 0)
    throw new UserError(`There is no log named "${name}". There are: ${[...all.keys()].join(', ')}`)
  return files
}
