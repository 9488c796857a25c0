import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import type { OraclePod, OracleWorld, Traffic } from '@centaurus/network/testing'

/** What policies must do, step by step, in the namespaces x, y and z with the pods a, b and c. */
export interface PolicyCase {
  readonly title: string
  readonly steps: readonly PolicyStep[]
}

export interface PolicyStep {
  readonly actions: readonly PolicyAction[]
  /**
   * By protocol and port, such as `TCP 80`: who can't reach whom, or can after all, such as `x/* > y/a no`. Later lines win; what no line names is allowed, and
   * what a pod sends to itself is nobody's matter. Absent: what the oracle says.
   */
  readonly expect?: Readonly<Record<string, readonly string[]>>
}

export type PolicyAction =
  /** `$(x/a)/24` in an ipBlock stands for the block of that length around the pod's address. */
  | { readonly type: 'set'; readonly policy: NetworkPolicy }
  | { readonly type: 'delete'; readonly namespace: string; readonly name: string }
  /** Undefined values take labels away. */
  | { readonly type: 'label namespace'; readonly namespace: string; readonly labels: Labels }
  | { readonly type: 'label pod'; readonly pod: string; readonly labels: Labels }

type Labels = Readonly<Record<string, string | undefined>>

/** Where a probe goes; each pod listens there. */
export interface Probe {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

export const PODS: readonly string[] = ['x', 'y', 'z'].flatMap((namespace) =>
  ['a', 'b', 'c'].map((pod) => `${namespace}/${pod}`),
)

export const PROBES: readonly Probe[] = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
  [80, 81].map((port) => ({ protocol, port })),
)

/** Name of the container port where a probe goes. */
export function portName({ protocol, port }: Probe): string {
  return `serve-${port}-${protocol.toLowerCase()}`
}

/** The world before the first step. */
export function createWorld(addressOf: (pod: string) => string): OracleWorld {
  const namedPorts = PROBES.map((probe) => ({ name: portName(probe), ...probe }))
  return {
    namespaces: Object.fromEntries(
      ['x', 'y', 'z'].map((name) => [name, { 'kubernetes.io/metadata.name': name, ns: name }]),
    ),
    pods: PODS.map((key): OraclePod => {
      const [namespace = '', name = ''] = key.split('/')
      return { namespace, name, labels: { pod: name }, ip: addressOf(key), namedPorts }
    }),
    nodes: [],
    networkPolicies: [],
    clusterNetworkPolicies: [],
  }
}

/** The world after one action more. */
export function act(world: OracleWorld, action: PolicyAction): OracleWorld {
  switch (action.type) {
    case 'set': {
      const { policy } = action
      const others = without(world, policy.metadata.namespace, policy.metadata.name)
      return { ...world, networkPolicies: [...others, placeBlocks(policy, world)] }
    }
    case 'delete':
      return { ...world, networkPolicies: without(world, action.namespace, action.name) }
    case 'label namespace': {
      const labels = relabel(world.namespaces[action.namespace] ?? {}, action.labels)
      return { ...world, namespaces: { ...world.namespaces, [action.namespace]: labels } }
    }
    case 'label pod': {
      const pods = world.pods.map((pod) =>
        `${pod.namespace}/${pod.name}` === action.pod ? { ...pod, labels: relabel(pod.labels, action.labels) } : pod,
      )
      return { ...world, pods }
    }
  }
}

/** Whether a step's lines allow `from` to reach `to`. */
export function isExpected(lines: readonly string[], from: string, to: string): boolean {
  let isAllowed = true
  for (const line of lines) {
    const match = /^(\S+) > (\S+) (yes|no)$/.exec(line)
    if (match === null) throw new SyntaxError(`Expectation "${line}" must be such as "x/* > y/a no"`)
    if (isNamed(match[1]!, from) && isNamed(match[2]!, to)) isAllowed = match[3] === 'yes'
  }
  return isAllowed
}

/** Every pod to every other one. */
export function listCells(world: OracleWorld, probe: Probe): Traffic[] {
  return world.pods.flatMap((source) =>
    world.pods
      .filter((pod) => pod !== source)
      .map((destination) => ({ source: { pod: source }, destination: { pod: destination }, ...probe })),
  )
}

export function parseProbe(text: string): Probe {
  const found = PROBES.find(({ protocol, port }) => text === `${protocol} ${port}`)
  if (found === undefined) throw new SyntaxError(`"${text}" is no probe`)
  return found
}

function isNamed(pattern: string, pod: string): boolean {
  const [namespace, name = '*'] = pattern.split('/')
  const [ownNamespace, ownName] = pod.split('/')
  return (namespace === '*' || namespace === ownNamespace) && (name === '*' || name === ownName)
}

function without(
  { networkPolicies }: OracleWorld,
  namespace: string | undefined,
  name: string | undefined,
): NetworkPolicy[] {
  return networkPolicies.filter(({ metadata }) => metadata.namespace !== namespace || metadata.name !== name)
}

function relabel(labels: Readonly<Record<string, string>>, changes: Labels): Record<string, string> {
  const all = Object.entries({ ...labels, ...changes })
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function placeBlocks(policy: NetworkPolicy, { pods }: OracleWorld): NetworkPolicy {
  const text = JSON.stringify(policy).replaceAll(/\$\((\S+?)\)\/(\d+)/g, (_, key: string, length: string) => {
    const pod = pods.find(({ namespace, name }) => `${namespace}/${name}` === key)
    if (pod === undefined) throw new Error(`There is no pod ${key}`)
    return blockAround(pod.ip, Number(length))
  })
  return JSON.parse(text) as NetworkPolicy
}

function blockAround(ip: string, length: number): string {
  const bits = ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const first = Math.floor(bits / 2 ** (32 - length)) * 2 ** (32 - length)
  return `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')}/${length}`
}
