import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import { describeParty } from './policy-text.ts'
import type { OracleWorld, Traffic } from './policy-oracle.ts'

/** The least of a world's policies with which `fails` still holds: policies, then rules, peers and ports are left out one at a time. */
export function shrinkWorld(world: OracleWorld, fails: (world: OracleWorld) => boolean): OracleWorld {
  let smallest = world
  for (let found: OracleWorld | undefined = world; found !== undefined;) {
    smallest = found
    found = smallerWorlds(smallest).find(fails)
  }
  return smallest
}

/** A failing cell, so that a person can see what it is about. */
export function describeCell(world: OracleWorld, { source, destination, protocol, port }: Traffic): string {
  return [
    `${describeParty(source)} → ${describeParty(destination)} ${protocol} ${port}`,
    `namespaces ${JSON.stringify(world.namespaces)}`,
    ...[...world.networkPolicies, ...world.clusterNetworkPolicies].map((policy) => JSON.stringify(policy)),
  ].join('\n')
}

function smallerWorlds(world: OracleWorld): OracleWorld[] {
  return [
    ...smallerLists<NetworkPolicy>(world.networkPolicies).map((networkPolicies) => ({ ...world, networkPolicies })),
    ...smallerLists<ClusterNetworkPolicy>(world.clusterNetworkPolicies).map((clusterNetworkPolicies) => ({
      ...world,
      clusterNetworkPolicies,
    })),
  ]
}

function smallerLists<T extends object>(list: readonly T[]): T[][] {
  const without = list.map((_, i) => list.filter((__, at) => at !== i))
  const within = list.flatMap((object, i) => smallerObjects(object).map((smaller) => list.with(i, smaller)))
  return [...without, ...within]
}

/** Fields that may be absent. */
const OPTIONAL = [
  'ingress',
  'egress',
  'ports',
  'protocols',
  'policyTypes',
  'except',
  'endPort',
  'matchExpressions',
  'matchLabels',
]

/** The object with one optional field or one element less; a list is never emptied, because that means something else. */
function smallerObjects<T extends object>(object: T): T[] {
  const without = OPTIONAL.filter((key) => key in object).map((key) => {
    const { [key as keyof T]: _, ...rest } = object
    return rest as T
  })
  return [...without, ...smallerFields(object)]
}

function smallerFields<T extends object>(object: T): T[] {
  return Object.entries(object).flatMap(([key, value]: [string, unknown]): T[] => {
    if (Array.isArray(value)) {
      const lists = value.length > 1 ? value.map((_, i) => value.filter((__, at) => at !== i)) : []
      const deeper = value.flatMap((element: unknown, i) =>
        typeof element === 'object' && element !== null
          ? smallerObjects(element).map((smaller) => value.with(i, smaller))
          : [],
      )
      return [...lists, ...deeper].map((smaller) => ({ ...object, [key]: smaller }))
    }
    if (typeof value !== 'object' || value === null) return []
    return smallerObjects(value).map((smaller) => ({ ...object, [key]: smaller }))
  })
}
