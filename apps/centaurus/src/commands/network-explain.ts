import { isIP } from 'node:net'
import { SYSTEM_TENANT } from '@centaurus/api'
import { partitions, vpcs } from '@centaurus/api/centaurus/v1'
import { namespaces, nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies } from '@centaurus/api/policy-networking/v1alpha2'
import type { Client } from '@centaurus/client'
import {
  explain,
  ExplainError,
  type DirectionVerdict,
  type ExplainedPath,
  type ExplainObjects,
  type ExplainQuestion,
  type ExplainTarget,
  type Explanation,
  type NamedPlace,
  type WayOut,
} from '@centaurus/network/explain'
import type { NetworkStatus } from '@centaurus/network'
import { withAdmin } from '../cluster-access.ts'
import { CLUSTER_DNS, POD_NETWORKS } from '../cluster-network.ts'
import type { Home } from '../home.ts'
import { readJson, tryAskNetwork } from '../network-daemon-client.ts'
import { serviceNetworksOf } from '../service-ranges.ts'
import { UserError } from '../user-error.ts'

export interface ExplainOptions {
  readonly source: string
  readonly target: string
  readonly port: string
  readonly namespace: string
  readonly tenant?: string | undefined
  readonly protocol: ExplainQuestion['protocol']
  readonly json: boolean
}

/** What scripts see when the packet is denied; 1 and 2 are for questions without an answer. */
const DENIED_EXIT_CODE = 3

/** Prints whether the source may reach the target, and why. Throws {@link UserError} when something of the question does not exist. */
export async function explainNetwork(home: Home, options: ExplainOptions): Promise<void> {
  const objects = await readObjects(home, options.tenant ?? SYSTEM_TENANT)
  const source = findPod(objects, options.source, options.namespace)
  const target = parseTarget(objects, options)
  const explanation = answer(objects, { source, target, protocol: options.protocol, port: options.port })
  const warnings = await compareWithHost(home, objects, [source, ...(target.type === 'pod' ? [target.pod] : [])])
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...explanation, warnings })}\n`
      : formatExplanation(explanation, { protocol: options.protocol, warnings }),
  )
  if (!explanation.allowed) process.exitCode = DENIED_EXIT_CODE
}

function answer(objects: ExplainObjects, question: ExplainQuestion): Explanation {
  try {
    return explain(objects, question)
  } catch (error) {
    if (error instanceof ExplainError) throw new UserError(error.message, { cause: error })
    throw error
  }
}

async function readObjects(home: Home, tenant: string): Promise<ExplainObjects> {
  return withAdmin(home, async (operator) => {
    if (tenant === SYSTEM_TENANT) return readObjectsOf(tenant, { client: operator, operator })
    return withAdmin(home, (client) => readObjectsOf(tenant, { client, operator }), { tenant })
  })
}

interface ExplainClients {
  /** Sees the tenant. */
  readonly client: Client
  /** Sees the nodes. */
  readonly operator: Client
}

async function readObjectsOf(tenant: string, { client, operator }: ExplainClients): Promise<ExplainObjects> {
  const all = await listAll(client)
  const { items: ownVpcs } = await client.list(vpcs)
  const ownNetworks = ownVpcs.flatMap(({ spec }) => spec?.cidr ?? [])
  const { items: allNodes } = await operator.list(nodes)
  const blocks = allNodes.flatMap(({ spec }) => spec?.podCIDRs ?? [])
  const serviceNetworks = serviceNetworksOf((await operator.list(partitions)).items)
  const networks = [...POD_NETWORKS, ...serviceNetworks, ...blocks, ...ownNetworks]
  return { ...all, tenant, vpcs: ownVpcs, nodes: allNodes, dnsAddresses: [CLUSTER_DNS], networks }
}

async function listAll(
  client: Client,
): Promise<Omit<ExplainObjects, 'tenant' | 'vpcs' | 'nodes' | 'dnsAddresses' | 'networks'>> {
  const [podList, namespaceList, policyList, clusterPolicyList, serviceList, sliceList] = await Promise.all([
    client.list(pods),
    client.list(namespaces),
    client.list(networkpolicies),
    client.list(clusternetworkpolicies),
    client.list(services),
    client.list(endpointslices),
  ])
  return {
    pods: podList.items,
    namespaces: namespaceList.items,
    networkPolicies: policyList.items,
    clusterNetworkPolicies: clusterPolicyList.items,
    services: serviceList.items,
    slices: sliceList.items,
  }
}

function parseTarget(objects: ExplainObjects, { target, namespace }: ExplainOptions): ExplainTarget {
  if (isIP(target) === 4) return { type: 'address', address: target }
  if (isIP(target) === 6) throw new UserError(`Cannot explain "${target}": the network is of IPv4`)
  const service = /^(?:svc|service|services)\/(.+)$/.exec(target)?.[1]
  if (service === undefined) return { type: 'pod', pod: findPod(objects, target, namespace) }
  const name = parseName(service, namespace)
  return { type: 'service', ...name }
}

function findPod({ pods: all, tenant }: ExplainObjects, text: string, namespace: string): Readonly<Pod> {
  const wanted = parseName(text.replace(/^pods?\/(?=.)/, ''), namespace)
  const pod = all.find(({ metadata }) => metadata.namespace === wanted.namespace && metadata.name === wanted.name)
  const where = tenant === SYSTEM_TENANT ? '' : ` of tenant ${tenant}`
  if (pod === undefined) throw new UserError(`There is no pod ${wanted.namespace}/${wanted.name}${where}`)
  return pod
}

function parseName(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const [first = '', second] = text.split('/')
  return second === undefined ? { namespace, name: first } : { namespace: first, name: second }
}

/** What this host's network knows of the pods that run here, where it is not what the objects say. */
async function compareWithHost(
  home: Home,
  objects: ExplainObjects,
  asked: readonly Readonly<Pod>[],
): Promise<string[]> {
  const response = await tryAskNetwork(home, '/status')
  if (response === undefined) return []
  const status = await readJson<NetworkStatus>(response)
  const own = asked.filter(({ spec }) => spec?.nodeName === status.node && spec.hostNetwork !== true)
  const warnings = own.flatMap(({ metadata, status: podStatus }) => {
    const name = `${metadata.namespace}/${metadata.name}`
    const found = status.pods.find(
      (pod) => pod.tenant === objects.tenant && pod.namespace === metadata.namespace && pod.name === metadata.name,
    )
    if (found === undefined) return [`This host's network does not know pod ${name}`]
    if (found.policySet === 0) return [`Pod ${name} is closed on its host: it has no policies or no identity there yet`]
    if (podStatus?.podIP !== undefined && podStatus.podIP !== found.ip)
      return [`Pod ${name} has ${found.ip} on its host, and ${podStatus.podIP} in its status`]
    return []
  })
  return [
    ...(status.notReady === undefined ? [] : [`This host's network is not ready: ${status.notReady}`]),
    ...warnings,
  ]
}

interface FormatOptions {
  readonly protocol: string
  readonly warnings: readonly string[]
}

function formatExplanation(explanation: Explanation, { protocol, warnings }: FormatOptions): string {
  const { source, service, paths, notes } = explanation
  const target =
    service === undefined
      ? formatPlace(paths[0]!.destination)
      : `Service ${service.name} (${service.address}:${service.port})`
  return [
    `${explanation.allowed ? 'ALLOWED' : 'DENIED'}  ${formatPlace(source)} -> ${target}, ${protocol}\n`,
    ...paths.map((path) => formatPath(path, service !== undefined)),
    ...notes.map((note) => `\n${note}.\n`),
    ...warnings.map((warning) => `\nBut: ${warning}.\n`),
  ].join('')
}

function formatPath({ destination, allowed, egress, ingress, wayOut }: ExplainedPath, isEndpoint: boolean): string {
  const title = isEndpoint ? `\nendpoint ${formatPlace(destination)}: ${allowed ? 'allowed' : 'denied'}\n` : '\n'
  const leaves = wayOut === undefined ? '' : formatWayOut(wayOut)
  return title + formatVerdict('egress', egress) + formatVerdict('ingress', ingress) + leaves
}

function formatWayOut({ allowed, address, node, why }: WayOut): string {
  const by = `by ${address ?? 'the address'} of node ${node ?? 'that it will run on'}`
  return `  ${'leaves'.padEnd(8)} ${allowed ? by : 'not at all (NoEgress)'}. ${why}\n`
}

function formatVerdict(direction: string, { allowed, isolated, why, rule }: DirectionVerdict): string {
  const state = `${allowed ? 'allowed' : 'denied'}${isolated ? ', isolated' : ''}`
  const text = rule === undefined || rule.text === '' ? '' : `           ${rule.text}\n`
  return `  ${direction.padEnd(8)} ${state}. ${why}\n${text}`
}

function formatPlace({ kind, name, address, port }: NamedPlace): string {
  const at = port === 0 ? address : `${address}:${port}`
  return kind === 'Address' ? at : `${kind.toLowerCase()} ${name} (${at})`
}
