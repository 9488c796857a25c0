import { existsSync } from 'node:fs'
import { connectAsAdmin, isNodeReady, tryListNodes } from '../cluster-access.ts'
import { DAEMONS, expectedDaemons, findDaemon, logFile, type DaemonName } from '../daemons.ts'
import { homeAt, listHomes, type Home } from '../home.ts'
import { DEFAULT_SETTINGS, formatNodes, readSettings, type Settings } from '../settings.ts'

/** What `status` prints with `--json`. */
interface ClusterStatus extends HomeStatus {
  /** What was added to the cluster on this machine, by name: partitions, and further servers as `tp1:6445`. */
  partitions: Record<string, HomeStatus>
}

interface HomeStatus {
  home: string
  nodes: string | undefined
  /** Those that run or should. */
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
  const seen = await lookAtAll(home)
  const all = [seen, ...Object.values(seen.partitions)]
  process.stdout.write(json ? `${JSON.stringify(seen)}\n` : describeAll(home, seen))
  if (!all.every(isWell)) process.exitCode = 1
}

function isWell({ processes, apiServer, nodesReady, nodesTotal }: HomeStatus): boolean {
  const allRun = processes.every(({ pid }) => pid !== undefined)
  return allRun && apiServer === 'answers' && nodesReady === nodesTotal
}

async function lookAtAll(home: Home): Promise<ClusterStatus> {
  const [own, ...others] = await Promise.all(
    listHomes(home).map(async (each) => {
      return [each.name, await look(each.home, readSettings(each.home) ?? DEFAULT_SETTINGS)] as const
    }),
  )
  return { ...own![1], partitions: Object.fromEntries(others) }
}

function describeAll(home: Home, seen: ClusterStatus): string {
  const others = Object.entries(seen.partitions).map(
    ([name, status]) => `\nPartition ${name}\n${describe(homeAt(status.home), status)}`,
  )
  return describe(home, seen) + others.join('')
}

async function look(home: Home, settings: Settings): Promise<HomeStatus> {
  const expected = expectedDaemons(settings)
  const processes = DAEMONS.flatMap((name) => {
    const daemon = findDaemon(home, name)
    if (daemon === undefined && !expected.includes(name)) return []
    const upSeconds = daemon === undefined ? undefined : Math.round((Date.now() - daemon.startedAt) / 1000)
    return [{ name, pid: daemon?.pid, upSeconds }]
  })
  const client = existsSync(home.kubeconfig) ? await connectAsAdmin(home) : undefined
  const list = client === undefined ? undefined : await tryListNodes(client, TIMEOUT_MS)
  await client?.close()
  return {
    home: home.dir,
    nodes: formatNodes(settings.nodes),
    processes,
    apiServer: list === undefined ? 'does not answer' : 'answers',
    nodesReady: (list ?? []).filter(isNodeReady).length,
    nodesTotal: (list ?? []).length,
  }
}

function describe(home: Home, seen: HomeStatus): string {
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
