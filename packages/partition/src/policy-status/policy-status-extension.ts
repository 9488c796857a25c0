import {
  column,
  formatAge,
  isInPodNetwork,
  NAMESPACE_ANNOTATION,
  RESOURCE_PARTITION_ANNOTATION,
  TENANT_ANNOTATION,
  tenantOfViewed,
  forbidden,
  type KubeObject,
  type ResourceType,
  type Stored,
  type TableColumn,
} from '@centaurus/api'
import type { NetworkPolicyStatus, PolicyProgress } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies } from '@centaurus/api/policy-networking/v1alpha2'
import {
  customDefinitions,
  isView,
  type ApiServerCore,
  type CreateExtension,
  type ResourceDefinition,
  type VirtualPlace,
} from '@centaurus/apiserver'
import { Links } from '../membership/links.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { requireMember } from '../membership/require-member.ts'
import { readOrigin } from '../relay/copies.ts'
import { PODS } from '../relay/needs.ts'
import { mergeProgress, type PartitionProgress } from './merge-progress.ts'
import { parseProgress, parseProgressRequest, PROGRESS_BODY_BYTES_MAX, PROGRESS_PATH } from './progress-wire.ts'
import { POLICY_KINDS, readProgress, type PolicyKind, type TenantProgress } from './read-progress.ts'

/** Somebody looks at a list; what does not answer is told of. */
const ASK_TIMEOUT_MS = 3_000

export interface PolicyStatusDeps {
  readonly membership: Pick<Membership, 'self' | 'get'>
  readonly openLink: OpenLink
}

/**
 * Serves `networkpolicystatuses` and `clusternetworkpolicystatuses` of `centaurus.io/v1`: on how many of the hosts that it concerns each policy is in the kernel,
 * and how long that took. Computed when somebody asks, from what nodes report of themselves; one request a partition that has nodes with pods of the tenant.
 */
export function createPolicyStatusExtension({ membership, openLink }: PolicyStatusDeps): CreateExtension {
  return (core) => {
    const links = new Links(membership, openLink)
    const ask = async (partition: string, tenant: string): Promise<TenantProgress | undefined> => {
      if (partition === membership.self) return readProgress(core, tenant)
      try {
        const signal = AbortSignal.timeout(ASK_TIMEOUT_MS)
        const { status, body } = await links.of(partition).request({
          method: 'POST',
          path: PROGRESS_PATH,
          body: { tenant },
          signal,
        })
        return status === 200 ? parseProgress(body) : undefined
      } catch (error) {
        core.logger.debug('A partition does not say how far policies are', { partition, error })
        return undefined
      }
    }
    const askAll = (tenant: string): Promise<PartitionProgress[]> =>
      Promise.all(
        Array.from(hostsByPartition(core, membership.self, tenant), async ([partition, hosts]) => ({
          partition,
          hosts: [...hosts].toSorted(),
          progress: await ask(partition, tenant),
        })),
      )
    core.registry.change({
      added: [...define('networkPolicies', core, askAll), ...define('clusterNetworkPolicies', core, askAll)],
    })
    return {
      routes: [
        {
          path: PROGRESS_PATH,
          methods: ['POST'],
          async handle(exchange, context) {
            const member = requireMember(context)
            const what = { group: 'centaurus.io', resource: 'partitions' }
            if (membership.get(member) === undefined)
              throw forbidden(what, member, 'it is not a partition of this cluster')
            const tenant = parseProgressRequest(await exchange.readBody(PROGRESS_BODY_BYTES_MAX))
            const answer = readProgress(core, tenant)
            exchange.respond(200, { 'content-type': 'application/json' }, JSON.stringify(answer))
          },
        },
      ],
      close: () => links.close(),
    }
  }
}

/** Nodes with pods of the tenant, by partition. */
function hostsByPartition(
  { stored }: Pick<ApiServerCore, 'stored'>,
  self: string,
  tenant: string,
): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const entry of stored.list(tenant, PODS)) {
    const pod = entry.object() as Pod
    const node = pod.spec?.nodeName ?? ''
    if (node === '' || !isInPodNetwork(pod)) continue
    const partition = pod.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION] ?? self
    const hosts = found.get(partition) ?? new Set()
    found.set(partition, hosts.add(node))
  }
  return found
}

const SOURCES: Readonly<Record<PolicyKind, { type: ResourceType<KubeObject>; kind: string; resource: string }>> = {
  networkPolicies: { type: networkpolicies, kind: 'NetworkPolicyStatus', resource: 'networkpolicystatuses' },
  clusterNetworkPolicies: {
    type: clusternetworkpolicies,
    kind: 'ClusterNetworkPolicyStatus',
    resource: 'clusternetworkpolicystatuses',
  },
}

const SCHEMA = {
  type: 'object',
  description: 'How far a policy is: on how many hosts packets see it.',
  properties: {
    status: {
      type: 'object',
      properties: {
        resourceVersion: { type: 'string', description: 'Of the policy, to which this refers.' },
        hosts: { type: 'integer', description: 'Nodes that have pods of the tenant.' },
        applied: { type: 'integer', description: 'Those of them whose packets see the policy as it is.' },
        slowestMs: { type: 'integer', description: 'The longest that one took, from when it heard of the policy.' },
        waiting: { type: 'array', items: { type: 'string' }, description: 'Some of the others.' },
        silent: { type: 'array', items: { type: 'string' }, description: 'Partitions that do not answer.' },
      },
    },
  },
}

const COLUMNS: readonly TableColumn[] = [
  column('Name', 'The policy', { format: 'name' }),
  column('Applied', 'Hosts whose packets see it, of those that have pods of the tenant'),
  column('Slowest', 'The longest that a host took'),
  column('Waiting', 'Some of the hosts that do not see it yet, and partitions that do not answer'),
  column('Age', 'Of the policy', { type: 'date' }),
]

function define(
  kind: PolicyKind,
  core: ApiServerCore,
  askAll: (tenant: string) => Promise<PartitionProgress[]>,
): ResourceDefinition[] {
  const source = SOURCES[kind]
  const describe = async (
    policies: readonly Stored<KubeObject>[],
    tenantOf: (policy: Stored<KubeObject>) => string,
  ) => {
    const answers = new Map<string, Promise<PartitionProgress[]>>()
    const described = policies.map(async (policy): Promise<NetworkPolicyStatus[]> => {
      const tenant = tenantOf(policy)
      const key = keyOf(policy)
      const entry = core.stored.get(tenant, POLICY_KINDS[kind], key)
      if (entry === undefined || readOrigin(entry.value) !== undefined) return [] // its partition knows
      const asked = answers.get(tenant) ?? askAll(tenant)
      answers.set(tenant, asked)
      return [toStatus(source.kind, policy, mergeProgress({ kind, key, revision: entry.revision }, await asked))]
    })
    return (await Promise.all(described)).flat()
  }
  const tenantIn =
    ({ tenant }: VirtualPlace) =>
    (policy: Stored<KubeObject>): string =>
      isView(tenant) ? tenantOfViewed(policy) : tenant
  return customDefinitions({
    metadata: { name: `${source.resource}.centaurus.io` },
    spec: {
      group: 'centaurus.io',
      scope: source.type.namespaced ? 'Namespaced' : 'Cluster',
      names: {
        plural: source.resource,
        singular: source.kind.toLowerCase(),
        kind: source.kind,
        listKind: `${source.kind}List`,
        shortNames: [source.type.namespaced ? 'netpolstatus' : 'cnpstatus'],
      },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  }).map((definition) => ({
    ...definition,
    info: { ...definition.info, verbs: ['get', 'list'], subresources: [] },
    behavior: {
      ...definition.behavior,
      columns: COLUMNS,
      row: (object, nowMs) => rowOf(object as NetworkPolicyStatus, nowMs),
    },
    virtual: {
      forTenants: true,
      schema: SCHEMA,
      async get(place, name) {
        const policy = core.reader.get(source.type, { namespace: place.namespace, name }, { tenant: place.tenant })
        return policy === undefined ? undefined : (await describe([policy], tenantIn(place)))[0]
      },
      list(place, wants) {
        const namespace = place.namespace === '' ? undefined : place.namespace
        const policies = core.reader.list(source.type, namespace, { tenant: place.tenant })
        return describe(policies.filter(wants), tenantIn(place))
      },
    },
  }))
}

/** In its tenant's own names. */
function keyOf({ metadata: { annotations, namespace, name } }: Stored<KubeObject>): string {
  return namespace === undefined ? name : `${annotations?.[NAMESPACE_ANNOTATION] ?? namespace}/${name}`
}

function toStatus(kind: string, { metadata }: Stored<KubeObject>, status: PolicyProgress): NetworkPolicyStatus {
  const { name, namespace, uid, creationTimestamp } = metadata
  const where = { ...(namespace === undefined ? {} : { namespace }), ...placeOf(metadata) }
  return {
    apiVersion: 'centaurus.io/v1',
    kind: kind as NetworkPolicyStatus['kind'],
    metadata: { name, ...where, uid, creationTimestamp },
    status,
  }
}

/** What objects say in views over all tenants: whose they are, which is also how a gateway knows that they are no copies. */
function placeOf({ annotations = {} }: Stored<KubeObject>['metadata']): { annotations?: Record<string, string> } {
  const said = Object.entries(annotations).filter(([key]) => key === TENANT_ANNOTATION || key === NAMESPACE_ANNOTATION)
  return said.length === 0 ? {} : { annotations: Object.fromEntries(said) }
}

function rowOf({ metadata, status }: NetworkPolicyStatus, nowMs: number): unknown[] {
  const { hosts, applied, slowestMs, waiting = [], silent = [] } = status
  const late = [...waiting, ...silent.map((partition) => `partition ${partition}`)]
  return [
    metadata.name,
    `${applied}/${hosts}`,
    slowestMs === undefined ? '<unknown>' : `${slowestMs}ms`,
    late.length === 0 ? '<none>' : late.join(','),
    formatAge(metadata.creationTimestamp, nowMs),
  ]
}
