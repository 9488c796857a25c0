import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, type Node } from '@centaurus/api/core/v1'
import type { Stored } from '@centaurus/api'
import type { Client } from '@centaurus/client'
import { createHttpClient, loadKubeconfig, type HttpClientConfig } from '@centaurus/client/http'
import type { PartitionLink } from '@centaurus/partition'
import type { Home } from './home.ts'

/** The administrator's client of the cluster in `home`. Throws when there is no kubeconfig yet. */
export async function connectAsAdmin(home: Home): Promise<Client> {
  const config = await loadKubeconfig(home.kubeconfig)
  return createHttpClient({ ...config.config, userAgent: 'centaurus-cli' })
}

/**
 * The administrator's client of another partition of the cluster in `home`: the same credentials are good everywhere. Fails at the first
 * call when the partition has no address yet or can't be reached.
 */
export async function connectToPartition(home: Home, partition: Readonly<Partition>): Promise<Client> {
  return createHttpClient(await adminConfigOf(home, partition))
}

/** As {@link connectToPartition}, for what is not the Kubernetes API. */
export async function openAdminLink(home: Home, partition: Readonly<Partition>): Promise<PartitionLink> {
  const { openLink } = await import('@centaurus/partition') // most commands do without it
  return openLink(await adminConfigOf(home, partition))
}

async function adminConfigOf(home: Home, { spec }: Readonly<Partition>): Promise<HttpClientConfig> {
  const { config } = await loadKubeconfig(home.kubeconfig)
  const [server = 'https://127.0.0.1:1', ...alternatives] = spec.endpoints
  return { ...config, server, alternatives, userAgent: 'centaurus-cli' }
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
