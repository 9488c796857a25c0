import { createServer } from 'node:net'
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ListrTask } from 'listr2'
import type { PartitionRole } from '@centaurus/api/centaurus/v1'
import { connectAsAdmin, withAdmin } from '../cluster-access.ts'
import { findDaemon, stopDaemon } from '../daemons.ts'
import { createHome, partitionHome, serverHome, type Home } from '../home.ts'
import { shareAuthority, writeJoinBundle } from '../join-bundle.ts'
import {
  checkPartitionName,
  findPartition,
  listOwnNetworks,
  registerPartition,
  waitUntilReady,
} from '../partition-registry.ts'
import { runSteps } from '../progress.ts'
import {
  DEFAULT_SETTINGS,
  formatNodes,
  readSettings,
  writeSettings,
  type NodesSetting,
  type PartitionSettings,
  type Settings,
} from '../settings.ts'
import { controlPlaneTask, nodeTask } from '../start-tasks.ts'
import type { StoreSetting } from '../store-setting.ts'
import { UserError } from '../user-error.ts'

/** First port that is tried for a further API server. */
const FIRST_PORT = 6444
const PORTS_TRIED = 100

export interface AddPartitionOptions {
  readonly roles: readonly PartitionRole[]
  /** Undefined: the first free one from {@link FIRST_PORT} on. */
  readonly port?: number | undefined
  readonly nodes?: NodesSetting | undefined
  readonly store?: StoreSetting | undefined
  readonly serviceCidr?: string | undefined
  readonly listen?: string | undefined
  readonly advertise?: string | undefined
  /** Write what another machine needs to run the partition there, instead of starting it here. */
  readonly joinBundle?: string | undefined
}

interface Added {
  settings: PartitionSettings
}

/**
 * Adds a partition to the cluster while it runs: registers it, starts it on this machine (or writes a bundle for another one), and waits
 * until home hears of it. Nothing else restarts. Safe to run again; another `--nodes` changes the nodes of a partition that is there.
 */
export async function addPartition(home: Home, name: string, options: AddPartitionOptions): Promise<void> {
  checkPartitionName(name)
  requireHome(home)
  const nodes = options.nodes ?? { type: 'none' }
  if (nodes.type !== 'none' && !options.roles.includes('Resource'))
    throw new UserError(`Cannot give nodes to partition "${name}": it needs --roles resource`)
  if (nodes.type === 'local')
    throw new UserError('Cannot run this machine as a node of two partitions: it is one of the home partition')
  if (options.joinBundle !== undefined && !existsSync(dirname(resolve(options.joinBundle))))
    throw new UserError(`Cannot write ${options.joinBundle}: there is no such folder. Name one that is there`)
  const client = await connectAsAdmin(home)
  const added: Partial<Added> = {}
  const register: ListrTask = {
    title: `Register partition ${name}`,
    task: async () => {
      const { roles, serviceCidr } = options
      added.settings = await registerPartition(client, {
        name,
        roles,
        serviceRange: serviceCidr,
        listNetworks: (all) => listOwnNetworks(home, all),
      })
    },
  }
  try {
    if (options.joinBundle === undefined) await runHere(home, { name, options, nodes, register, added, client })
    else await runSteps([register, bundleTask(home, options.joinBundle, added)])
  } finally {
    await client.close()
  }
  process.stdout.write(
    options.joinBundle === undefined ? farewell(home, name, options.roles) : joinFarewell(options.joinBundle, name),
  )
}

interface RunHere {
  readonly name: string
  readonly options: AddPartitionOptions
  readonly nodes: NodesSetting
  readonly register: ListrTask
  readonly added: Partial<Added>
  readonly client: Awaited<ReturnType<typeof connectAsAdmin>>
}

async function runHere(home: Home, { name, options, nodes, register, added, client }: RunHere): Promise<void> {
  const own = { name, home: partitionHome(home, name) }
  const prepare: ListrTask = {
    title: 'Prepare its folder',
    task: async () => {
      const last = existsSync(own.home.settings) ? readSettings(own.home) : undefined
      const settings: Settings = {
        port: options.port ?? last?.port ?? (await freePort()),
        nodes,
        store: options.store ?? last?.store ?? DEFAULT_SETTINGS.store,
        network: last?.network ?? DEFAULT_SETTINGS.network,
        partition: added.settings,
        ...inherited(home, options),
      }
      shareAuthority(home, own.home)
      if (last !== undefined && formatNodes(last.nodes) !== formatNodes(nodes)) await stopDaemon(own.home, 'node')
      if (last !== undefined && last.port !== settings.port) await stopDaemon(own.home, 'control-plane')
      writeSettings(own.home, settings)
    },
  }
  const ready: ListrTask = { title: 'Wait until home hears of it', task: () => waitUntilReady(client, name) }
  const nodeTasks = nodes.type === 'none' ? [] : [nodeTask(own, { ...DEFAULT_SETTINGS, nodes })]
  await runSteps([register, prepare, controlPlaneTask(own), ready, ...nodeTasks])
}

/** What servers on one machine have in common unless they are told otherwise. */
function inherited(
  home: Home,
  options: AddPartitionOptions,
): Pick<Settings, 'listen' | 'advertise' | 'tenantWebhookNetworks'> {
  const mine = readSettings(home)
  const listen = options.listen ?? mine?.listen
  const advertise = options.advertise ?? mine?.advertise
  const tenantWebhookNetworks = mine?.tenantWebhookNetworks
  return {
    ...(listen === undefined ? {} : { listen }),
    ...(advertise === undefined ? {} : { advertise }),
    ...(tenantWebhookNetworks === undefined ? {} : { tenantWebhookNetworks }),
  }
}

function bundleTask(home: Home, file: string, added: Partial<Added>): ListrTask {
  return {
    title: `Write ${file}`,
    task: () => writeJoinBundle(file, home, added.settings!),
  }
}

export interface AddServerOptions {
  readonly port: number
  readonly listen?: string | undefined
  readonly advertise?: string | undefined
}

/** Starts a further API server of a partition whose store several may share. Throws {@link UserError}. */
export async function addServer(home: Home, name: string, options: AddServerOptions): Promise<void> {
  requireHome(home)
  const first = await findLocal(home, name)
  const settings = readSettings(first)
  if (settings === undefined)
    throw new UserError(`Cannot add a server: partition "${name}" does not run on this machine`)
  if (settings.store.engine === 'embedded') {
    throw new UserError(
      `Cannot add a server to partition "${name}": its store is embedded, which only one server can open. Move it to an etcd first: ./centaurus store migrate --help`,
    )
  }
  const own = { name: `${name}:${options.port}`, home: serverHome(first, options.port) }
  shareAuthority(home, own.home)
  writeSettings(own.home, { ...settings, ...definedOf(options), nodes: { type: 'none' } })
  await runSteps([controlPlaneTask(own)])
  process.stdout.write(`\nPartition ${name} has one more API server, at port ${options.port}.\n`)
}

function definedOf({ port, listen, advertise }: AddServerOptions): Partial<Settings> {
  return { port, ...(listen === undefined ? {} : { listen }), ...(advertise === undefined ? {} : { advertise }) }
}

/** Home of a partition on this machine: its own folder, or the cluster's when it is the home partition. */
async function findLocal(home: Home, name: string): Promise<Home> {
  const own = partitionHome(home, name)
  if (existsSync(own.settings)) return own
  const partition = await withAdmin(home, (client) => findPartition(client, name))
  return partition.spec.home === true ? home : own
}

/** Partitions are added where the registry is. Throws {@link UserError}. */
function requireHome(home: Home): void {
  if (!existsSync(home.settings) || findDaemon(home, 'control-plane') === undefined)
    throw new UserError(`There is no cluster that runs in ${home.dir}. Start one with ./centaurus up`)
  if (readSettings(home)?.partition?.homeEndpoints !== undefined)
    throw new UserError('This machine runs a partition of a cluster whose home is elsewhere: run this there')
  createHome(home)
}

async function freePort(): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS_TRIED; port++) if (await isFree(port)) return port
  throw new UserError('Cannot find a free port: name one by --port')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

function farewell(home: Home, name: string, roles: readonly PartitionRole[]): string {
  const next = roles.includes('Tenant')
    ? `./centaurus tenant create acme --partition ${name}`
    : `./centaurus partition add ${name} --roles resource --nodes simulated:5`
  return `
Partition ${name} is up. Its kubeconfig is ${partitionHome(home, name).kubeconfig}

Try:
  ./centaurus partition list
  ${next}
`
}

function joinFarewell(file: string, name: string): string {
  return `
${file} holds what another machine needs to run partition ${name}. It is a secret: whoever has it is the cluster.
Copy it there and run: ./centaurus up --join ${file}
`
}
