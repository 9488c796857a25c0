import { existsSync } from 'node:fs'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, type Node } from '@centaurus/api/core/v1'
import type { Stored } from '@centaurus/api'
import type { Client } from '@centaurus/client'
import { createHttpClient, loadKubeconfig, NotConnectedError, type HttpClientConfig } from '@centaurus/client/http'
import type { PartitionLink } from '@centaurus/partition'
import { findDaemon } from './daemons.ts'
import type { Home } from './home.ts'
import { UserError } from './user-error.ts'

const USER_AGENT = 'centaurus-cli'

/** The administrator's client of the cluster in `home`, which sees `tenant` alone when one is named. Throws {@link UserError} when there is no kubeconfig yet. */
export async function connectAsAdmin(home: Home, { tenant }: { readonly tenant?: string } = {}): Promise<Client> {
  const config = await loadAdminConfig(home)
  return createHttpClient({ ...config, userAgent: USER_AGENT, ...(tenant === undefined ? {} : { tenant }) })
}

/** How the administrator of the cluster in `home` reaches it. Throws {@link UserError} when there is no kubeconfig, or a damaged one. */
export async function loadAdminConfig({ dir, kubeconfig }: Home): Promise<HttpClientConfig> {
  if (!existsSync(kubeconfig))
    throw new UserError(`The cluster in ${dir} has no kubeconfig yet: is it up? ./centaurus status tells`)
  try {
    return (await loadKubeconfig(kubeconfig)).config
  } catch (cause) {
    const [why] = (cause as Error).message.split('\n')
    throw new UserError(
      `Cannot read ${kubeconfig}: ${why}. To have it written again: ./centaurus down && ./centaurus up`,
      { cause },
    )
  }
}

/**
 * Lends the administrator's client of the cluster in `home`, which sees `tenant` alone when one is named. Throws {@link UserError} when no cluster runs, or it can't
 * be reached.
 */
export async function withAdmin<T>(
  home: Home,
  run: (client: Client) => Promise<T>,
  { tenant }: { readonly tenant?: string } = {},
): Promise<T> {
  if (findDaemon(home, 'control-plane') === undefined)
    throw new UserError(`There is no cluster that runs in ${home.dir}. Start one with ./centaurus up`)
  const config = await loadAdminConfig(home)
  const client = createHttpClient({ ...config, userAgent: USER_AGENT, ...(tenant === undefined ? {} : { tenant }) })
  try {
    return await run(client)
  } catch (error) {
    throw asUnreachable(error, `the cluster at ${config.server}`)
  } finally {
    await client.close()
  }
}

/** In words for the terminal when no connection could be made; any other error as it is. */
export function asUnreachable(error: unknown, what: string): unknown {
  if (!(error instanceof NotConnectedError)) return error
  return new UserError(`Cannot reach ${what}: is it up? ./centaurus status tells`, { cause: error })
}

/**
 * The administrator's client of another partition of the cluster in `home`, which sees `tenant` alone when one is named: the same credentials are good everywhere. Fails at the first
 * call when the partition has no address yet or can't be reached.
 */
export async function connectToPartition(
  home: Home,
  partition: Readonly<Partition>,
  { tenant }: { readonly tenant?: string } = {},
): Promise<Client> {
  return createHttpClient({ ...(await adminConfigOf(home, partition)), ...(tenant === undefined ? {} : { tenant }) })
}

/** As {@link connectToPartition}, for what is not the Kubernetes API. */
export async function openAdminLink(home: Home, partition: Readonly<Partition>): Promise<PartitionLink> {
  const { openLink } = await import('@centaurus/partition') // most commands do without it
  return openLink(await adminConfigOf(home, partition))
}

async function adminConfigOf(home: Home, { spec }: Readonly<Partition>): Promise<HttpClientConfig> {
  const config = await loadAdminConfig(home)
  const [server = 'https://127.0.0.1:1', ...alternatives] = spec.endpoints
  return { ...config, server, alternatives, userAgent: USER_AGENT }
}

/** All nodes, or undefined while the API server does not answer. */
export async function tryListNodes(client: Client, timeoutMs: number): Promise<readonly Stored<Node>[] | undefined> {
  try {
    return (await client.list(nodes, { signal: AbortSignal.timeout(timeoutMs) })).items
  } catch {
    return undefined
  }
}

/** Whether the node's Ready condition is True. */
export function isNodeReady(node: Readonly<Node>): boolean {
  return (
    node.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true
  )
}
