import type { Node, Pod, PodAffinityTerm, Taint, Toleration } from '@centaurus/api/core/v1'
import type { LabelSelector } from '@centaurus/api/meta/v1'

// kube-scheduler v1.37's filters and scores written down as plainly as possible, straight over the API objects: nothing is shared
// with the core, nothing is kept, every question looks at every pod. For tests of the core.

export interface World {
  readonly nodes: readonly Node[]
  /** Pods on nodes of `nodes`. */
  readonly placed: readonly { readonly pod: Pod; readonly nodeName: string }[]
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>
}

type Labels = Readonly<Record<string, string>>

const labelsOf = (object: { metadata: { labels?: Labels | undefined } }): Labels => object.metadata.labels ?? {}
const nameOf = (object: { metadata: { name?: string | undefined } }): string => object.metadata.name ?? ''
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** Why the node will not do, in the order of the filters; empty: it fits. */
export function refuse(world: World, pod: Pod, node: Node): string[] {
  const tolerations = pod.spec?.tolerations ?? []
  const cordon = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
  if (node.spec?.unschedulable && !tolerations.some((one) => covers(one, cordon))) return ['node(s) were unschedulable']
  if (!isTolerated(node, tolerations)) return ['node(s) had untolerated taint(s)']
  if (!isSelected(pod, node)) return ["node(s) didn't match Pod's node affinity/selector"]
  const others = podsOn(world, node)
  if (hasPortClash(pod, others)) return ["node(s) didn't have free ports for the requested pod ports"]
  const short = shortOf(pod, node, others)
  if (short.length > 0) return short
  return [...refuseSpread(world, pod, node), ...refuseAffinity(world, pod, node)].slice(0, 1)
}

function podsOn(world: World, node: Node): Pod[] {
  return world.placed.filter(({ nodeName }) => nodeName === nameOf(node)).map(({ pod }) => pod)
}

function covers(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.operator === 'Exists') return !toleration.key || toleration.key === taint.key
  return toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '')
}

function isTolerated(node: Node, tolerations: readonly Toleration[]): boolean {
  const hard = (node.spec?.taints ?? []).filter(({ effect }) => effect !== 'PreferNoSchedule')
  return hard.every((taint) => tolerations.some((one) => covers(one, taint)))
}

function isSelected(pod: Pod, node: Node): boolean {
  const wanted = Object.entries(pod.spec?.nodeSelector ?? {})
  if (!wanted.every(([key, value]) => labelsOf(node)[key] === value)) return false
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (required === undefined) return true
  return required.nodeSelectorTerms.some((term) => (term.matchExpressions ?? []).length > 0 && termMatches(term, node))
}

function termMatches(term: { matchExpressions?: Expression[] | undefined }, node: Node): boolean {
  return (term.matchExpressions ?? []).every((expression) => expressionMatches(expression, labelsOf(node)))
}

interface Expression {
  key: string
  operator: string
  values?: string[] | undefined
}

function expressionMatches({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = labels[key]
  if (operator === 'In') return value !== undefined && values.includes(value)
  if (operator === 'NotIn') return value === undefined || !values.includes(value)
  if (operator === 'Exists') return value !== undefined
  if (operator === 'DoesNotExist') return value === undefined
  throw new Error(`The oracle knows no operator ${operator}`)
}

/** Undefined selects nothing, an empty selector everything. */
function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((expression) => expressionMatches(expression, labels))
  )
}

function hasPortClash(pod: Pod, others: readonly Pod[]): boolean {
  const portsOf = (one: Pod) =>
    one.spec!.containers.flatMap(({ ports = [] }) => ports.filter(({ hostPort }) => hostPort !== undefined))
  return portsOf(pod).some((wanted) =>
    others.flatMap(portsOf).some((held) => {
      const [a, b] = [wanted.hostIP ?? '0.0.0.0', held.hostIP ?? '0.0.0.0']
      const sameAddress = a === b || a === '0.0.0.0' || b === '0.0.0.0'
      return sameAddress && wanted.hostPort === held.hostPort && (wanted.protocol ?? 'TCP') === (held.protocol ?? 'TCP')
    }),
  )
}

/** The tests write cpu as `100m`, everything else as plain numbers. */
const amount = (text: string): number => (text.endsWith('m') ? Number(text.slice(0, -1)) : Number(text))

function asks(pod: Pod, resource: string, missing = 0): number {
  const each = pod.spec!.containers.map(({ resources }) => resources?.requests?.[resource])
  return sum(each.map((text) => (text === undefined ? missing : amount(text))))
}

const offers = (node: Node, resource: string): number => amount(node.status?.allocatable?.[resource] ?? '0')

function shortOf(pod: Pod, node: Node, others: readonly Pod[]): string[] {
  const short: string[] = []
  for (const resource of ['cpu', 'memory', 'example.com/device']) {
    const wanted = asks(pod, resource)
    const used = sum(others.map((other) => asks(other, resource)))
    if (wanted > 0 && wanted > offers(node, resource) - used) short.push(`Insufficient ${resource}`)
  }
  if (others.length + 1 > offers(node, 'pods')) short.push('Too many pods')
  return short
}

type Constraint = NonNullable<NonNullable<Pod['spec']>['topologySpreadConstraints']>[number]

const HOSTNAME = 'kubernetes.io/hostname'

/** Pods of the constraint on a node. */
function countMatching(world: World, pod: Pod, { constraint, node }: { constraint: Constraint; node: Node }): number {
  const selector = constraint.labelSelector
  const isEmpty =
    selector !== undefined &&
    [...Object.keys(selector.matchLabels ?? {}), ...(selector.matchExpressions ?? [])].length === 0
  if (isEmpty) return 0
  return podsOn(world, node).filter(
    (other) =>
      other.metadata.namespace === pod.metadata.namespace &&
      other.metadata.deletionTimestamp === undefined &&
      selects(selector, labelsOf(other)),
  ).length
}

function takesPart(
  pod: Pod,
  node: Node,
  { constraint, all }: { constraint: Constraint; all: readonly Constraint[] },
): boolean {
  if (!all.every(({ topologyKey }) => labelsOf(node)[topologyKey] !== undefined)) return false
  if (constraint.nodeAffinityPolicy !== 'Ignore' && !isSelected(pod, node)) return false
  return constraint.nodeTaintsPolicy !== 'Honor' || isTolerated(node, pod.spec?.tolerations ?? [])
}

function refuseSpread(world: World, pod: Pod, node: Node): string[] {
  const reason = "node(s) didn't match pod topology spread constraints"
  const hard = (pod.spec?.topologySpreadConstraints ?? []).filter(
    ({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule',
  )
  for (const constraint of hard) {
    const value = labelsOf(node)[constraint.topologyKey]
    if (value === undefined) return [`${reason} (missing required label)`]
    const counts = new Map<string, number>()
    for (const other of world.nodes) {
      if (!takesPart(pod, other, { constraint, all: hard })) continue
      const domain = labelsOf(other)[constraint.topologyKey]!
      counts.set(domain, (counts.get(domain) ?? 0) + countMatching(world, pod, { constraint, node: other }))
    }
    const least = counts.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...counts.values())
    const self = selects(constraint.labelSelector, labelsOf(pod)) ? 1 : 0
    if ((counts.get(value) ?? 0) + self - least > constraint.maxSkew) return [reason]
  }
  return []
}

/** Whether a term of `owner` is about `other`. */
function isAbout(world: World, term: PodAffinityTerm, { owner, other }: { owner: Pod; other: Pod }): boolean {
  const namespace = other.metadata.namespace ?? ''
  const named = term.namespaces ?? []
  const own = named.length === 0 && term.namespaceSelector === undefined && namespace === owner.metadata.namespace
  const bySelector =
    term.namespaceSelector !== undefined && selects(term.namespaceSelector, world.namespaces[namespace] ?? {})
  return (own || named.includes(namespace) || bySelector) && selects(term.labelSelector, labelsOf(other))
}

const requiredTerms = (pod: Pod): PodAffinityTerm[] =>
  pod.spec?.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
const antiTerms = (pod: Pod): PodAffinityTerm[] =>
  pod.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []

/** Placed pods, each with its node, in the node's domain of the key. */
function inDomain(world: World, node: Node, key: string): Pod[] {
  const value = labelsOf(node)[key]
  if (value === undefined) return []
  return world.nodes.filter((other) => labelsOf(other)[key] === value).flatMap((other) => podsOn(world, other))
}

function refuseAffinity(world: World, pod: Pod, node: Node): string[] {
  const required = requiredTerms(pod)
  const matchesAll = (other: Pod): boolean => required.every((term) => isAbout(world, term, { owner: pod, other }))
  const holds = required.every(({ topologyKey }) => inDomain(world, node, topologyKey).some(matchesAll))
  const hasKeys = required.every(({ topologyKey }) => labelsOf(node)[topologyKey] !== undefined)
  const someCounts = world.nodes.some(
    (other) =>
      required.some(({ topologyKey }) => labelsOf(other)[topologyKey] !== undefined) &&
      podsOn(world, other).some(matchesAll),
  )
  const isFirst = hasKeys && !someCounts && matchesAll(pod)
  if (required.length > 0 && !(holds && hasKeys) && !isFirst) return ["node(s) didn't match pod affinity rules"]
  const shunned = antiTerms(pod).some((term) =>
    inDomain(world, node, term.topologyKey).some((other) => isAbout(world, term, { owner: pod, other })),
  )
  if (shunned) return ["node(s) didn't match pod anti-affinity rules"]
  const shuns = world.placed.some(({ pod: other }) =>
    antiTerms(other).some(
      (term) =>
        isAbout(world, term, { owner: other, other: pod }) && inDomain(world, node, term.topologyKey).includes(other),
    ),
  )
  return shuns ? ["node(s) didn't satisfy existing pods anti-affinity rules"] : []
}

/** Weighted scores of nodes that fit, in their order. */
export function score(world: World, pod: Pod, feasible: readonly Node[]): number[] {
  const parts: [weight: number, scores: number[]][] = [
    [1, feasible.map((node) => leastAllocated(world, pod, node))],
    [1, feasible.map((node) => balancedAllocation(world, pod, node))],
    [1, feasible.map((node) => imageLocality(world, pod, node))],
    [2, shareOfLargest(feasible.map((node) => preferredNode(pod, node)))],
    [3, shareOfLargest(feasible.map((node) => unwelcome(pod, node))).map((value) => 100 - value)],
    [2, spread(world, pod, feasible)],
    [2, podAffinity(world, pod, feasible)],
  ]
  return feasible.map((_, i) => sum(parts.map(([weight, scores]) => weight * scores[i]!)))
}

function leastAllocated(world: World, pod: Pod, node: Node): number {
  const free = ([resource, missing]: [string, number]): number[] => {
    const capacity = offers(node, resource)
    if (capacity === 0) return []
    const used = sum([...podsOn(world, node), pod].map((one) => asks(one, resource, missing)))
    return [used > capacity ? 0 : Math.floor(((capacity - used) * 100) / capacity)]
  }
  const parts = (
    [
      ['cpu', 100],
      ['memory', 200 * 1024 * 1024],
    ] as [string, number][]
  ).flatMap(free)
  return parts.length === 0 ? 0 : Math.floor(sum(parts) / parts.length)
}

function balancedAllocation(world: World, pod: Pod, node: Node): number {
  const resources = ['cpu', 'memory']
  if (resources.every((resource) => asks(pod, resource) === 0)) return 0
  const balance = (pods: readonly Pod[]): number => {
    const shares = resources
      .filter((resource) => offers(node, resource) > 0)
      .map((resource) => Math.min(1, sum(pods.map((one) => asks(one, resource))) / offers(node, resource)))
    const deviation = shares.length === 2 ? Math.abs((shares[0]! - shares[1]!) / 2) : 0
    return Math.floor((1 - deviation) * 100)
  }
  const others = podsOn(world, node)
  return 50 + Math.floor((50 + balance([...others, pod]) - balance(others)) / 2)
}

function imageLocality(world: World, pod: Pod, node: Node): number {
  const [low, high] = [23 * 1024 * 1024, 1000 * 1024 * 1024 * pod.spec!.containers.length]
  const bytes = sum(
    pod.spec!.containers.map(({ image = '' }) => {
      const name = image.includes(':') ? image : `${image}:latest`
      const find = (one: Node) => one.status?.images?.find(({ names = [] }) => names.includes(name))
      const holders = world.nodes.filter((one) => find(one) !== undefined).length
      return Math.floor((find(node)?.sizeBytes ?? 0) * (holders / world.nodes.length))
    }),
  )
  return Math.floor((100 * (Math.min(high, Math.max(low, bytes)) - low)) / (high - low))
}

function preferredNode(pod: Pod, node: Node): number {
  const terms = pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  return sum(terms.map(({ weight, preference }) => (termMatches(preference, node) ? weight : 0)))
}

function unwelcome(pod: Pod, node: Node): number {
  const tolerations = (pod.spec?.tolerations ?? []).filter(({ effect }) => !effect || effect === 'PreferNoSchedule')
  const soft = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'PreferNoSchedule')
  return soft.filter((taint) => !tolerations.some((one) => covers(one, taint))).length
}

function shareOfLargest(values: readonly number[]): number[] {
  const high = Math.max(0, ...values)
  return values.map((value) => (high === 0 ? 0 : Math.floor((100 * value) / high)))
}

/** Constraints of pods without their own: those of the same labels are spread over nodes and zones. */
function softConstraints(pod: Pod): { constraints: readonly Constraint[]; needsKeys: boolean } {
  const own = pod.spec?.topologySpreadConstraints ?? []
  if (own.length > 0)
    return { constraints: own.filter((one) => one.whenUnsatisfiable === 'ScheduleAnyway'), needsKeys: true }
  if (Object.keys(labelsOf(pod)).length === 0) return { constraints: [], needsKeys: false }
  const common = { whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels: { ...labelsOf(pod) } } }
  const constraints = [
    { ...common, topologyKey: HOSTNAME, maxSkew: 3 },
    { ...common, topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5 },
  ]
  return { constraints, needsKeys: false }
}

function spread(world: World, pod: Pod, feasible: readonly Node[]): number[] {
  const { constraints, needsKeys } = softConstraints(pod)
  if (constraints.length === 0) return feasible.map(() => 0)
  const isIgnored = (node: Node): boolean =>
    needsKeys && constraints.some(({ topologyKey }) => labelsOf(node)[topologyKey] === undefined)
  const scored = feasible.filter((node) => !isIgnored(node))
  const all = needsKeys ? constraints : []
  const raw = scored.map((node) =>
    Math.round(
      sum(
        constraints.map((constraint) => {
          const { topologyKey: key, maxSkew } = constraint
          if (labelsOf(node)[key] === undefined) return 0
          const isHostname = key === HOSTNAME
          const size = isHostname ? scored.length : new Set(scored.map((one) => labelsOf(one)[key])).size
          const peers = isHostname
            ? [node]
            : world.nodes.filter(
                (one) => labelsOf(one)[key] === labelsOf(node)[key] && takesPart(pod, one, { constraint, all }),
              )
          const count = sum(peers.map((peer) => countSiblings(world, pod, { constraint, node: peer })))
          return count * Math.log(size + 2) + (maxSkew - 1)
        }),
      ),
    ),
  )
  const [low, high] = [Math.min(...raw), Math.max(0, ...raw)]
  const normalized = new Map(
    scored.map((node, i) => [node, high === 0 ? 100 : Math.floor((100 * (high + low - raw[i]!)) / high)]),
  )
  return feasible.map((node) => normalized.get(node) ?? 0)
}

/** Without constraints of its own, a pod's siblings have exactly its labels. */
function countSiblings(world: World, pod: Pod, { constraint, node }: { constraint: Constraint; node: Node }): number {
  if ((pod.spec?.topologySpreadConstraints ?? []).length > 0) return countMatching(world, pod, { constraint, node })
  const sameLabels = (other: Pod): boolean =>
    Object.keys(labelsOf(other)).length === Object.keys(labelsOf(pod)).length &&
    Object.entries(labelsOf(pod)).every(([key, value]) => labelsOf(other)[key] === value)
  const like = { ...world, placed: world.placed.filter((one) => sameLabels(one.pod)) }
  return countMatching(like, pod, { constraint, node })
}

function podAffinity(world: World, pod: Pod, feasible: readonly Node[]): number[] {
  const weighted = (one: Pod): { term: PodAffinityTerm; weight: number }[] => {
    const { podAffinity: near, podAntiAffinity: far } = one.spec?.affinity ?? {}
    const terms = (list: { weight: number; podAffinityTerm: PodAffinityTerm }[] | undefined, sign: number) =>
      (list ?? []).map(({ weight, podAffinityTerm }) => ({ term: podAffinityTerm, weight: sign * weight }))
    return [
      ...terms(near?.preferredDuringSchedulingIgnoredDuringExecution, 1),
      ...terms(far?.preferredDuringSchedulingIgnoredDuringExecution, -1),
    ]
  }
  const raw = feasible.map((node) => {
    const own = weighted(pod).map(({ term, weight }) => {
      const near = inDomain(world, node, term.topologyKey)
      return weight * near.filter((other) => isAbout(world, term, { owner: pod, other })).length
    })
    const theirs = world.placed.map(({ pod: other }) => {
      const terms = [...weighted(other), ...requiredTerms(other).map((term) => ({ term, weight: 1 }))]
      return sum(
        terms.map(({ term, weight }) =>
          isAbout(world, term, { owner: other, other: pod }) && inDomain(world, node, term.topologyKey).includes(other)
            ? weight
            : 0,
        ),
      )
    })
    return sum([...own, ...theirs])
  })
  const [low, high] = [Math.min(...raw), Math.max(...raw)]
  return raw.map((value) => (high === low ? 0 : Math.floor((100 * (value - low)) / (high - low))))
}
