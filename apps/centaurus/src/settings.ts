import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { isAbsolute } from 'node:path'
import type { PartitionRole } from '@centaurus/api/centaurus/v1'
import type { Home } from './home.ts'
import { EMBEDDED, parseStoreSetting, type StoreSetting } from './store-setting.ts'
import { UserError } from './user-error.ts'

/** What kind of nodes `up` starts. */
export type NodesSetting =
  /** One node agent for this machine, with real containers. */
  | { readonly type: 'local' }
  /** So many simulated nodes in one process. */
  | { readonly type: 'simulated'; readonly count: number }
  /** None: nodes join by themselves. */
  | { readonly type: 'none' }

/** What connects the pods of a local node: our own data plane in eBPF, or a bridge of the standard CNI plugins and services by nftables. */
export type NetworkSetting = 'centaurus' | 'bridge'

/** Which partition a control plane is, when it is not a cluster's first. */
export interface PartitionSettings {
  readonly name: string
  readonly roles: readonly PartitionRole[]
  /** API servers of the home partition; undefined: this is another server of home itself. */
  readonly homeEndpoints: readonly string[] | undefined
  /** Addresses of its Services; undefined: the default range. */
  readonly serviceRange: string | undefined
  /** Unlike any other partition's, ever: its store's revisions are those of no other. 0: home. */
  readonly index: number
}

/** How this cluster was set up; kept, so that `down` and `up` give the same one. */
export interface Settings {
  readonly port: number
  readonly nodes: NodesSetting
  /** Undefined: the home partition. */
  readonly partition?: PartitionSettings | undefined
  readonly store: StoreSetting
  /** Address to listen on; undefined: all. */
  readonly listen?: string | undefined
  /** Address at which nodes, pods and other partitions reach the API server; undefined: this machine's first. */
  readonly advertise?: string | undefined
  /** Networks, as CIDRs, to which tenants' webhooks may lead beside public addresses; undefined: none. */
  readonly tenantWebhookNetworks?: readonly string[] | undefined
  /** Of a local node's pods. */
  readonly network: NetworkSetting
  /** Absolute path of the file that says which GPUs nodes pretend to have; undefined: a local one those that it has. */
  readonly simulatedGpus?: string | undefined
  /** Folder beside the home's own where a local node serves device plugins, `/var/lib/kubelet` for those of others; undefined: none. */
  readonly kubeletDir?: string | undefined
}

const DEFAULT_NETWORK: NetworkSetting = 'centaurus'
/** That of clusters whose settings do not name one: they were made when there was no other. */
const FIRST_NETWORK: NetworkSetting = 'bridge'

/** Nodes in one process of simulated nodes; more than this is a job for several machines. */
export const SIMULATED_NODES_MAX = 5_000

export const DEFAULT_SETTINGS: Settings = {
  port: 6443,
  nodes: { type: 'local' },
  store: EMBEDDED,
  network: DEFAULT_NETWORK,
}

/** Reads `local`, `none` or `simulated:N`. Throws {@link UserError}. */
export function parseNodes(text: string): NodesSetting {
  if (text === 'local' || text === 'none') return { type: text }
  const count = /^simulated:(\d{1,6})$/.exec(text)?.[1]
  if (count === undefined || Number(count) < 1 || Number(count) > SIMULATED_NODES_MAX) {
    throw new UserError(
      `Cannot use --nodes "${text}": it must be local, none or simulated:N with N from 1 to ${SIMULATED_NODES_MAX}`,
    )
  }
  return { type: 'simulated', count: Number(count) }
}

/** Reads `centaurus` or `bridge`. Throws {@link UserError}. */
export function parseNetwork(text: string): NetworkSetting {
  if (text === 'centaurus' || text === 'bridge') return text
  throw new UserError(`Cannot use --network "${text}": it must be centaurus or bridge`)
}

/** Reads the absolute path of a folder; `none`: undefined. Throws {@link UserError}. */
export function parseKubeletDir(text: string): string | undefined {
  if (text === 'none') return undefined
  if (isAbsolute(text)) return text
  throw new UserError(
    `Cannot use --kubelet-dir "${text}": it must be the absolute path of a folder, such as /var/lib/kubelet, or none`,
  )
}

/** Whether this machine's pods are on our own network. */
export function hasOwnNetwork({ nodes, network }: Pick<Settings, 'nodes' | 'network'>): boolean {
  return nodes.type === 'local' && network === 'centaurus'
}

/** Inverse of {@link parseNodes}. */
export function formatNodes(nodes: NodesSetting): string {
  return nodes.type === 'simulated' ? `simulated:${nodes.count}` : nodes.type
}

/** Reads a port number. Throws {@link UserError}. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new UserError(`Cannot use --port "${text}": it must be a number from 1 to 65535`)
  }
  return port
}

/** Reads a whole number. Throws {@link UserError}. */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UserError(`Cannot use "${text}": it must be a whole number`)
  return Number(text)
}

/** Reads CIDRs with commas between; `''`: none. Throws {@link UserError}. */
export function parseNetworks(text: string): string[] {
  const networks = text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/')
    const length = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1
    if (/^\d{1,3}$/.test(bits) && Number(bits) <= length) continue
    throw new UserError(`Cannot use "${network}": a network must be written as 10.1.0.0/16 or fd00::/8`)
  }
  return networks
}

/** Reads `tenant`, `resource` or both with a comma. Throws {@link UserError}. */
export function parseRoles(text: string): PartitionRole[] {
  const roles = new Set<PartitionRole>()
  for (const part of text.split(',')) {
    const role = ROLES.get(part.trim().toLowerCase())
    if (role === undefined)
      throw new UserError(`Cannot use --roles "${text}": it must be tenant, resource or tenant,resource`)
    roles.add(role)
  }
  return [...roles]
}

const ROLES: ReadonlyMap<string, PartitionRole> = new Map([
  ['tenant', 'Tenant'],
  ['resource', 'Resource'],
])

/** Undefined when no cluster was set up in this home. Throws {@link UserError} when the file is damaged. */
export function readSettings(home: Home): Settings | undefined {
  if (!existsSync(home.settings)) return undefined
  try {
    const raw = JSON.parse(readFileSync(home.settings, 'utf8')) as Record<string, unknown>
    const { partition, listen, advertise, tenantWebhookNetworks: networks, network, simulatedGpus, kubeletDir } = raw
    const nodes = parseNodes(String(raw['nodes']))
    return {
      port: parsePort(String(raw['port'])),
      nodes,
      store: parseStoreSetting(raw['store']),
      network: readNetwork(network, nodes),
      ...(partition === undefined ? {} : { partition: readPartition(partition as Record<string, unknown>) }),
      ...(listen === undefined ? {} : { listen: String(listen) }),
      ...(advertise === undefined ? {} : { advertise: String(advertise) }),
      ...(networks === undefined ? {} : { tenantWebhookNetworks: parseNetworks(String(networks)) }),
      ...(simulatedGpus === undefined ? {} : { simulatedGpus: String(simulatedGpus) }),
      ...(kubeletDir === undefined ? {} : { kubeletDir: parseKubeletDir(String(kubeletDir)) }),
    }
  } catch (cause) {
    throw new UserError(
      `Cannot read ${home.settings}: ${(cause as Error).message}. Delete the file and run ./centaurus up again`,
      { cause },
    )
  }
}

function readNetwork(raw: unknown, nodes: NodesSetting): NetworkSetting {
  if (raw !== undefined) return parseNetwork(String(raw))
  return nodes.type === 'local' ? FIRST_NETWORK : DEFAULT_NETWORK
}

function readPartition(raw: Record<string, unknown>): PartitionSettings {
  const { name, roles, homeEndpoints, serviceRange, index } = raw
  if (typeof name !== 'string') throw new TypeError('its partition has no name')
  return {
    name,
    roles: parseRoles(String(roles)),
    homeEndpoints: Array.isArray(homeEndpoints) ? homeEndpoints.map(String) : undefined,
    serviceRange: serviceRange === undefined ? undefined : String(serviceRange),
    index: Number(index ?? 0),
  }
}

/** Replaces the file in one step. */
export function writeSettings(home: Home, settings: Settings): void {
  const {
    port,
    nodes,
    store,
    partition,
    listen,
    advertise,
    tenantWebhookNetworks,
    network,
    simulatedGpus,
    kubeletDir,
  } = settings
  const raw = {
    port,
    nodes: formatNodes(nodes),
    ...(store.engine === 'embedded' ? {} : { store }),
    ...(partition === undefined ? {} : { partition: { ...partition, roles: formatRoles(partition.roles) } }),
    listen,
    advertise,
    tenantWebhookNetworks,
    network,
    simulatedGpus,
    kubeletDir,
  }
  const draft = `${home.settings}.new`
  writeFileSync(draft, `${JSON.stringify(raw, undefined, 2)}\n`)
  renameSync(draft, home.settings)
}

/** Inverse of {@link parseRoles}. */
export function formatRoles(roles: readonly PartitionRole[]): string {
  return roles.map((role) => role.toLowerCase()).join(',')
}
