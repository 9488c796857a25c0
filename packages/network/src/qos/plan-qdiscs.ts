/**
 * Handles of roots that are ours; the kernel's own have 0, and those of others what their owners chose. Two, since the kernel puts no other kind in the place of a handle: so fq takes
 * the place of HTB at once or, where the kernel has none, leaves it alone.
 */
const HTB_HANDLE = 'ce00:'
const FQ_HANDLE = 'ce01:'
const OWN_HANDLES: readonly string[] = [HTB_HANDLE, FQ_HANDLE]
const DEFAULT_HANDLE = '0:'

/**
 * More than fq's own limits, which would drop what a shaper has charged already: programs bound the queues by time. A flow here is a pod's connection, or all that
 * is in one tunnel by one source port.
 */
const FQ = 'fq limit 100000 flow_limit 20000'

/** How the programs shape; see `Dataplane.setShaping`. */
export type ShapingMode = 'edt' | 'htb' | 'none'

/** As `tc -json qdisc show` has it. */
export interface SeenQdisc {
  readonly kind: string
  /** Such as `ce00:`. */
  readonly handle: string
  /** Such as `ce00:3`, or `:3` below a default. Absent for roots. */
  readonly parent?: string
  readonly root?: boolean
}

export interface QdiscPlan {
  /** What the device shapes by once the commands were run. */
  readonly mode: ShapingMode
  /** For `tc -batch`, in order; none when everything is right. More may be needed once these were run: the kernel makes leaves of its own. */
  readonly commands: readonly string[]
  /** Why it is not what it should be, with what to do. */
  readonly problem?: ShapingProblem
}

export interface ShapingProblem {
  /** CamelCase, for conditions. */
  readonly reason: string
  readonly message: string
}

/**
 * What makes a device's queues keep departure times: fq on every leaf, below mq where the device has several hardware queues. Without fq in the kernel: HTB, whose classes
 * {@link planClasses} has, once `isAsked`: a pod has a class or a bandwidth, since HTB makes all of a host's packets wait for one another. Queues that somebody set up are
 * left alone. Pure.
 */
export function planQdiscs(
  seen: readonly SeenQdisc[],
  { device, hasFq, isAsked }: { readonly device: string; readonly hasFq: boolean; readonly isAsked: boolean },
): QdiscPlan {
  const root = seen.find((qdisc) => qdisc.root === true)
  const leaves = seen.filter(({ parent }) => parent !== undefined && parent !== 'ffff:fff1')
  const isOwn = root !== undefined && OWN_HANDLES.includes(root.handle)
  if (root !== undefined && !isOwn && root.handle !== DEFAULT_HANDLE) return planForeign(root, leaves, device)
  if (!hasFq) {
    const isThere = isOwn && root.kind === 'htb'
    const how = 'by HTB, which holds bandwidths and the order of classes and costs more'
    const when =
      isThere || isAsked ? `shapes ${how}` : `shapes nothing until a pod has a class or a bandwidth, then ${how}`
    const message = `This kernel has no fq (module sch_fq): "${device}" ${when}; install the kernel's extra modules, or a kernel with CONFIG_NET_SCH_FQ`
    if (!isThere && !isAsked) return { mode: 'none', commands: [], problem: { reason: 'NoFq', message } }
    const commands = isThere ? [] : [`qdisc replace dev ${device} root handle ${HTB_HANDLE} htb default ${HOST_CLASS}`]
    return { mode: 'htb', commands, problem: { reason: 'NoFq', message } }
  }
  if (root?.kind !== 'mq') {
    const isThere = isOwn && root.kind === 'fq'
    return { mode: 'edt', commands: isThere ? [] : [`qdisc replace dev ${device} root handle ${FQ_HANDLE} ${FQ}`] }
  }
  if (!isOwn) return { mode: 'edt', commands: [`qdisc replace dev ${device} root handle ${FQ_HANDLE} mq`] }
  const wrong = leaves.filter(({ kind }) => kind !== 'fq')
  return { mode: 'edt', commands: wrong.map(({ parent }) => `qdisc replace dev ${device} parent ${parent} ${FQ}`) }
}

function planForeign(root: SeenQdisc, leaves: readonly SeenQdisc[], device: string): QdiscPlan {
  const isFq =
    root.kind === 'fq' || (root.kind === 'mq' && leaves.length > 0 && leaves.every(({ kind }) => kind === 'fq'))
  if (isFq) return { mode: 'edt', commands: [] }
  const message = `"${device}" has a queueing discipline that was set up by hand (${root.kind} ${root.handle}), which stays: packets are only marked, and bandwidths of pods are not held; remove it with "tc qdisc del dev ${device} root"`
  return { mode: 'none', commands: [], problem: { reason: 'ForeignQdisc', message } }
}

/** The command that takes what is ours away, or none. The kernel then puts its default there. Pure. */
export function planRemoval(seen: readonly SeenQdisc[], device: string): string[] {
  return seen.some(({ root, handle }) => root === true && OWN_HANDLES.includes(handle))
    ? [`qdisc del dev ${device} root`]
    : []
}

/** Minor number, in hex, of the class of what is not a pod's: level 9. */
const HOST_CLASS = 'a'
const LINK_CLASS = 'ffff'
/** HTB has eight priorities: by level, the host's own last. */
const PRIORITIES = [1, 2, 2, 3, 4, 4, 5, 6, 7, 0]
/** Of the link, what each level is sure of. */
const SURE_SHARE = 0.05
/** Twice what a large packet is, so that one never waits for tokens that can't be saved. */
const BURST = 'burst 128k cburst 128k quantum 60000'
/** Rate of a link that does not say its own: nothing is held back by it. */
const UNKNOWN_LINK = 100e9

/** A pod with a bandwidth of its own, as the programs have it. */
export interface LimitedPod {
  readonly id: number
  readonly level: number
  /** Bits a second. */
  readonly egressBandwidth: number
}

/**
 * Classes of an HTB at the device, as commands for `tc -batch` that may be run again. Each level is a class with two kinds of children: one for pods without a bandwidth
 * of their own, one for each pod with one. What a class does not use others may borrow, in order of level. `bandwidth`: of the link, bits a second; undefined: not
 * known. Pure.
 */
export function planClasses(
  device: string,
  { bandwidth, pods }: { readonly bandwidth: number | undefined; readonly pods: readonly LimitedPod[] },
): string[] {
  const link = Math.round((bandwidth ?? UNKNOWN_LINK) * 0.98)
  const sure = Math.round(link * SURE_SHARE)
  const replace = (parent: string, minor: string, rest: string) =>
    `class replace dev ${device} parent ${HTB_HANDLE}${parent} classid ${HTB_HANDLE}${minor} htb ${rest} ${BURST}`
  const commands = [replace('', LINK_CLASS, `rate ${link}bit ceil ${link}bit`)]
  PRIORITIES.forEach((priority, level) => {
    const share = `rate ${sure}bit ceil ${link}bit`
    commands.push(replace(LINK_CLASS, innerClass(level), share))
    commands.push(replace(innerClass(level), leafClass(level), `${share} prio ${priority}`))
  })
  for (const { id, level, egressBandwidth } of pods) {
    const rate = Math.round(Math.min(egressBandwidth, link))
    commands.push(
      replace(innerClass(level), podClass(id), `rate ${rate}bit ceil ${rate}bit prio ${PRIORITIES[level] ?? 0}`),
    )
  }
  return commands
}

/** A class that a device has. */
export interface SeenClass {
  /** Such as `ce00:110`. */
  readonly id: string
  readonly parent: string | undefined
}

/** Commands that take away the classes of pods which want none any more, or below another level: a class can't move. To be run first. Pure. */
export function planStaleClasses(device: string, seen: readonly SeenClass[], pods: readonly LimitedPod[]): string[] {
  const wanted = new Map(pods.map(({ id, level }) => [podClass(id), innerClass(level)]))
  return seen
    .filter(({ id }) => id.startsWith(HTB_HANDLE))
    .map(({ id, parent }) => ({ minor: minorOf(id), parent: parent === undefined ? '' : minorOf(parent) }))
    .filter(({ minor, parent }) => isPodClass(minor) && wanted.get(minor) !== parent)
    .map(({ minor }) => `class del dev ${device} classid ${HTB_HANDLE}${minor}`)
}

function minorOf(id: string): string {
  return id.slice(id.indexOf(':') + 1)
}

// The same in bpf/to_uplink.c: what a packet's priority names is a leaf.

function leafClass(level: number): string {
  return (level + 1).toString(16)
}

function innerClass(level: number): string {
  return (0xf0 + level).toString(16)
}

const FIRST_POD_CLASS = 0x100

function podClass(id: number): string {
  return (FIRST_POD_CLASS + id).toString(16)
}

function isPodClass(minor: string): boolean {
  const number = Number.parseInt(minor, 16)
  return number >= FIRST_POD_CLASS && minor !== LINK_CLASS
}
