import { isInPodNetwork } from '@centaurus/api'
import { networkreports, type PolicyReport } from '@centaurus/api/centaurus/v1'
import { nodes, type Pod } from '@centaurus/api/core/v1'
import type { ObjectReader, StoredObjects } from '@centaurus/apiserver'
import { readOrigin } from '../relay/copies.ts'
import { PODS } from '../relay/needs.ts'

/** Hosts that are named of those that wait. */
export const WAITING_TOLD = 5

/** Kinds of policies: where they are stored, and where a node reports of them. */
export const POLICY_KINDS = {
  networkPolicies: 'networking.k8s.io/networkpolicies',
  clusterNetworkPolicies: 'policy.networking.k8s.io/clusternetworkpolicies',
} as const

export type PolicyKind = keyof typeof POLICY_KINDS

/** How far one policy is on the nodes of one partition. */
export interface LocalProgress {
  /** Of the policy, in the store of the tenant's partition. */
  readonly revision: number
  readonly applied: number
  readonly slowestMs?: number | undefined
  readonly waiting: readonly string[]
}

/** How far the tenant's policies are there, by kind and key. */
export interface TenantProgress {
  /** Nodes there with pods of the tenant. */
  readonly hosts: readonly string[]
  readonly policies: Readonly<Record<PolicyKind, Readonly<Record<string, LocalProgress>>>>
}

export interface ProgressDeps {
  readonly reader: ObjectReader
  readonly stored: Pick<StoredObjects, 'list'>
}

/** What the nodes of this partition say. Reads the tenant's pods: for whoever asks, not for a loop. */
export function readProgress({ reader, stored }: ProgressDeps, tenant: string): TenantProgress {
  const names = new Set<string>()
  for (const entry of stored.list(tenant, PODS)) {
    const pod = entry.object() as Pod
    const node = pod.spec?.nodeName ?? ''
    if (node !== '' && !names.has(node) && isInPodNetwork(pod) && reader.get(nodes, { name: node })) names.add(node)
  }
  const hosts = [...names].toSorted()
  const reports = hosts.map((name) => {
    const report = reader.get(networkreports, { name })?.spec.tenants.find((each) => each.tenant === tenant)
    return { name, report }
  })
  const progressOf = (kind: PolicyKind): Record<string, LocalProgress> => {
    const own = reports.map(({ name, report }) => ({ name, report: report?.[kind] }))
    const entries = Array.from(stored.list(tenant, POLICY_KINDS[kind]), ({ key, revision, value }) => {
      const progress = judge(own, revision)
      return [key, { ...progress, revision: readOrigin(value)?.revision ?? revision }] as const
    })
    return Object.fromEntries(entries)
  }
  return {
    hosts,
    policies: {
      networkPolicies: progressOf('networkPolicies'),
      clusterNetworkPolicies: progressOf('clusterNetworkPolicies'),
    },
  }
}

function judge(
  hosts: readonly { readonly name: string; readonly report: PolicyReport | undefined }[],
  revision: number,
): Omit<LocalProgress, 'revision'> {
  const waiting = hosts.filter(({ report }) => report === undefined || report.revision < revision)
  const times = hosts.flatMap(({ report }) =>
    (report?.recent ?? []).filter((change) => change.revision === revision).map(({ afterMs }) => afterMs),
  )
  return {
    applied: hosts.length - waiting.length,
    ...(times.length === 0 ? {} : { slowestMs: Math.max(...times) }),
    waiting: waiting.slice(0, WAITING_TOLD).map(({ name }) => name),
  }
}
