import { DEFAULT_LEVEL, HOST_LEVEL, SHAPING_LEVELS } from '../layouts/shaping.ts'

/** 0 (premium high) to 8 (best-effort low); 9: what the host itself sends. */
export type Level = number

const CLASSES = ['premium', 'expedited', 'best-effort'] as const
const PRIORITIES = ['high', 'medium', 'low'] as const

/** The part of a pod's network quality that says its level. */
export interface QualityLevel {
  readonly networkClass: (typeof CLASSES)[number]
  readonly priority: (typeof PRIORITIES)[number]
}

/** By class, then by priority. */
export function levelOf({ networkClass, priority }: QualityLevel): Level {
  return CLASSES.indexOf(networkClass) * PRIORITIES.length + PRIORITIES.indexOf(priority)
}

/** The other way round, for pods' levels. */
export function qualityOf(level: Level): QualityLevel {
  const [networkClass, priority] = [CLASSES[Math.floor(level / 3)], PRIORITIES[level % 3]]
  if (networkClass === undefined || priority === undefined) throw new RangeError(`There is no level ${level}`)
  return { networkClass, priority }
}

/** Such as `best-effort medium`; `host` for the host's own. */
export function nameOfLevel(level: Level): string {
  if (level === HOST_LEVEL) return 'host'
  const { networkClass, priority } = qualityOf(level)
  return `${networkClass} ${priority}`
}

/** The shaper that pods of a level without limits of their own have in common. */
export function levelShaper(level: Level): number {
  return level + 1
}

/** Of pods that nothing is said of. */
export const DEFAULT_SHAPER = levelShaper(DEFAULT_LEVEL)

/**
 * By level: EF, AF41, AF42; AF21, AF22, AF23; default twice; LE. Switches with the usual tables (RFC 4594, RFC 5127, RFC 8325) or with none but the upper three bits serve them in
 * this order, or neighbours alike; priorities of a class are drop precedences of one queue, which reorders nothing. Not used: CS1 and AF1x, which some put before the default and
 * others behind it; 26, 3 and 4, which networks for RDMA keep lossless. What the host sends keeps its own. Why: docs/shaping.md.
 */
export const LEVEL_DSCP: readonly number[] = [46, 34, 36, 18, 20, 22, 0, 0, 1, 0]

/**
 * Priorities of packets by class, such that fq's bands (Linux 6.7, its default map) and those of pfifo_fast serve premium first and best-effort last; never TC_PRIO_CONTROL, which is
 * for what keeps the link alive. Source: include/uapi/linux/pkt_sched.h, TC_PRIO_*.
 */
const CLASS_PRIORITIES = [6, 4, 2]

/** Handle of the HTB that a host without fq gets; see {@link classOf}. */
const HTB_MAJOR = 0xce00
const HTB_FIRST_SHAPER = 0x100

/** Of packets of a level; 0: as it was. */
export function priorityOf(level: Level, mode: 'edt' | 'htb' | 'none'): number {
  if (mode === 'htb') return classOf({ level })
  return mode === 'edt' && level !== HOST_LEVEL ? CLASS_PRIORITIES[Math.floor(level / 3)]! : 0
}

/** Class of HTB, as skb->priority has it: `ce00:` and level + 1, or 0x100 + the number of a shaper with limits. */
export function classOf(of: { readonly level: Level } | { readonly shaper: number }): number {
  const minor = 'level' in of ? of.level + 1 : HTB_FIRST_SHAPER + of.shaper
  return HTB_MAJOR * 65_536 + minor
}

/** Of pods, then the host's. */
export function listLevels(): Level[] {
  return Array.from({ length: SHAPING_LEVELS }, (_, level) => level)
}
