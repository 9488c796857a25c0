import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { connectAsAdmin, isNodeReady, tryListNodes } from '../cluster-access.ts'
import { DAEMONS, expectedDaemons, findDaemon, isMarkedReady, logFile, type DaemonName } from '../daemons.ts'
import { listGateways } from '../gateway-home.ts'
import { listHomes, type Home } from '../home.ts'
import { readWhyNotReady } from '../network-daemon-client.ts'
import { DEFAULT_SETTINGS, formatNodes, readSettings, type Settings } from '../settings.ts'

/** What `status` prints with `--json`. */
interface ClusterStatus extends HomeStatus {
  /** What was added to the cluster on this machine, by name: partitions, and further servers as `tp1:6445`. */
  partitions: Record<string, HomeStatus>
  /** Those on this machine, by port. */
  gateways: Record<string, ProcessStatus>
}

interface HomeStatus {
  home: string
  nodes: string | undefined
  /** Those that run or should. */
  processes: ProcessStatus[]
  apiServer: 'answers' | 'does not answer'
  nodesReady: number
  nodesTotal: number
}

interface ProcessStatus {
  name: DaemonName
  pid: number | undefined
  upSeconds: number | undefined
  /** Whether it does its work: one that has just begun does not yet. */
  ready: boolean
  /** What it waits for, when it says so. */
  why?: string
  log: string
}

const TIMEOUT_MS = 3_000

/** Prints what runs and whether it is well. Exits with 1 when something that should run does not, or is not ready. */
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
  process.stdout.write(json ? `${JSON.stringify(seen)}\n` : describeAll(seen))
  const all = [seen, ...Object.values(seen.partitions)]
  if (!all.every(isWell) || !Object.values(seen.gateways).every(({ ready }) => ready)) process.exitCode = 1
}

function isWell({ processes, nodesReady, nodesTotal }: HomeStatus): boolean {
  return processes.every(({ ready }) => ready) && nodesReady === nodesTotal
}

async function lookAtAll(home: Home): Promise<ClusterStatus> {
  const [own, ...others] = await Promise.all(
    listHomes(home).map(async (each) => {
      return [each.name, await look(each.home, readSettings(each.home) ?? DEFAULT_SETTINGS)] as const
    }),
  )
  const gateways = listGateways(home).map(({ home: own }) => {
    const seen = lookAtProcess(own, 'gateway-server')
    return [basename(own.dir), { ...seen, ready: isMarkedReady(own, 'gateway-server') }] as const
  })
  return { ...own![1], partitions: Object.fromEntries(others), gateways: Object.fromEntries(gateways) }
}

async function look(home: Home, settings: Settings): Promise<HomeStatus> {
  const expected = expectedDaemons(settings)
  const client = await connectAsAdmin(home).catch(() => undefined)
  const list = client === undefined ? undefined : await tryListNodes(client, TIMEOUT_MS)
  await client?.close()
  const processes: ProcessStatus[] = []
  for (const name of DAEMONS) {
    const seen = lookAtProcess(home, name)
    if (seen.pid === undefined && !expected.includes(name)) continue
    const why = name === 'network' && seen.pid !== undefined ? await readWhyNotReady(home, TIMEOUT_MS) : undefined
    // a control plane is ready when it answers
    const ready = name === 'control-plane' ? list !== undefined : isMarkedReady(home, name) && why === undefined
    processes.push({ ...seen, ready: seen.pid !== undefined && ready, ...(why === undefined ? {} : { why }) })
  }
  return {
    home: home.dir,
    nodes: formatNodes(settings.nodes),
    processes,
    apiServer: list === undefined ? 'does not answer' : 'answers',
    nodesReady: (list ?? []).filter(isNodeReady).length,
    nodesTotal: (list ?? []).length,
  }
}

function lookAtProcess(home: Home, name: DaemonName): Omit<ProcessStatus, 'ready'> {
  const daemon = findDaemon(home, name)
  const upSeconds = daemon === undefined ? undefined : Math.round((Date.now() - daemon.startedAt) / 1000)
  return { name, pid: daemon?.pid, upSeconds, log: logFile(home, name) }
}

function describeAll(seen: ClusterStatus): string {
  const partitions = Object.entries(seen.partitions).map(([name, status]) => `\nPartition ${name}\n${describe(status)}`)
  const gateways = Object.entries(seen.gateways).map(([port, process]) => describeProcess(`gateway ${port}`, process))
  const all = [seen, ...Object.values(seen.partitions)].flatMap(({ processes }) => processes)
  const isStopped = [...all, ...Object.values(seen.gateways)].some(({ pid }) => pid === undefined)
  return [
    describe(seen),
    ...partitions,
    ...(gateways.length === 0 ? [] : [`\nGateways\n${gateways.join('\n')}\n`]),
    ...(isStopped ? ['\nStart what is stopped with ./centaurus up\n'] : []),
  ].join('')
}

function describe(seen: HomeStatus): string {
  const lines = seen.processes.map((process) => describeProcess(process.name, process))
  lines.push(`API server     ${seen.apiServer}`)
  if (seen.apiServer === 'answers') lines.push(`Nodes          ${seen.nodesReady} of ${seen.nodesTotal} ready`)
  lines.push(`Home           ${seen.home}`)
  return `${lines.join('\n')}\n`
}

function describeProcess(title: string, { pid, upSeconds, ready, why, log }: ProcessStatus): string {
  const start = title.padEnd(14)
  if (pid === undefined) return `${start} stopped    log: ${log}`
  const running = `pid ${pid}, for ${upSeconds} s`
  if (ready) return `${start} running    ${running}`
  return `${start} not ready  ${running}; ${why ?? `log: ${log}`}`
}
