import { existsSync } from 'node:fs'
import { connectAsAdmin, isNodeReady, tryListNodes } from '../cluster-access.ts'
import { DAEMONS, findDaemon, logFile, type DaemonName } from '../daemons.ts'
import type { Home } from '../home.ts'
import { formatNodes, readSettings } from '../settings.ts'

/** What `status` prints with `--json`. */
interface ClusterStatus {
  home: string
  nodes: string | undefined
  processes: { name: DaemonName; pid: number | undefined; upSeconds: number | undefined }[]
  apiServer: 'answers' | 'does not answer'
  nodesReady: number
  nodesTotal: number
}

const TIMEOUT_MS = 3_000

/** Prints what runs and whether it is well. Exits with 1 when something that should run does not. */
export async function status(home: Home, { json }: { json: boolean }): Promise<void> {
  const settings = existsSync(home.dir) ? readSettings(home) : undefined
  if (settings === undefined) {
    process.stdout.write(
      json ? '{"cluster":null}\n' : `There is no cluster in ${home.dir}. Start one with ./centaurus up\n`,
    )
    process.exitCode = 1
    return
  }
  const seen = await look(home, formatNodes(settings.nodes))
  process.stdout.write(json ? `${JSON.stringify(seen)}\n` : describe(home, seen))
  const expected = settings.nodes.type === 'none' ? DAEMONS.filter((name) => name !== 'node') : DAEMONS
  const allRun = expected.every((name) => seen.processes.find((item) => item.name === name)?.pid !== undefined)
  if (!allRun || seen.apiServer !== 'answers' || seen.nodesReady < seen.nodesTotal) process.exitCode = 1
}

async function look(home: Home, nodes: string): Promise<ClusterStatus> {
  const processes = DAEMONS.map((name) => {
    const daemon = findDaemon(home, name)
    const upSeconds = daemon === undefined ? undefined : Math.round((Date.now() - daemon.startedAt) / 1000)
    return { name, pid: daemon?.pid, upSeconds }
  })
  const client = existsSync(home.kubeconfig) ? await connectAsAdmin(home) : undefined
  const list = client === undefined ? undefined : await tryListNodes(client, TIMEOUT_MS)
  await client?.close()
  return {
    home: home.dir,
    nodes,
    processes,
    apiServer: list === undefined ? 'does not answer' : 'answers',
    nodesReady: (list ?? []).filter(isNodeReady).length,
    nodesTotal: (list ?? []).length,
  }
}

function describe(home: Home, seen: ClusterStatus): string {
  const lines = seen.processes.map(({ name, pid, upSeconds }) =>
    pid === undefined
      ? `${name.padEnd(14)} stopped    log: ${logFile(home, name)}`
      : `${name.padEnd(14)} running    pid ${pid}, for ${upSeconds} s`,
  )
  lines.push(`API server     ${seen.apiServer}`)
  if (seen.apiServer === 'answers') lines.push(`Nodes          ${seen.nodesReady} of ${seen.nodesTotal} ready`)
  lines.push(`Home           ${seen.home}`)
  if (seen.processes.some(({ pid }) => pid === undefined)) lines.push('', 'Start what is stopped with ./centaurus up')
  return `${lines.join('\n')}\n`
}
