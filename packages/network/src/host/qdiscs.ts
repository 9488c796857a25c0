import {
  planClasses,
  planQdiscs,
  planRemoval,
  planStaleClasses,
  type LimitedPod,
  type SeenClass,
  type SeenQdisc,
  type ShapingMode,
  type ShapingProblem,
} from '../qos/plan-qdiscs.ts'
import { listLinks } from './links.ts'
import { CommandError, runCommand } from './run-command.ts'

/** The kernel makes mq's leaves when mq is there: they are seen, and made right, in the second round. */
const ROUNDS_MAX = 4

/** What a device shapes by. */
export interface Qdiscs {
  readonly mode: ShapingMode
  readonly problem?: ShapingProblem
}

/** Whether this kernel has fq; undefined: nobody has asked it yet. Where it can't be loaded now it may be later, after a package was installed. */
let knownFq: boolean | undefined

/** Asks the kernel again whether it has fq, at the next {@link ensureQdiscs}. */
export function forgetFq(): void {
  knownFq = undefined
}

/**
 * Makes the queues of a device keep departure times, or shape by HTB when `isAsked`; see {@link planQdiscs}. Idempotent. Needs root; rejects with a `CommandError` when the kernel refuses. Packets that wait
 * when the queues change are lost, so they change only when they are wrong.
 */
export async function ensureQdiscs(device: string, { isAsked }: { readonly isAsked: boolean }): Promise<Qdiscs> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const plan = planQdiscs(await listQdiscs(device), { device, hasFq: knownFq !== false, isAsked })
    if (plan.commands.length === 0) return plan
    try {
      await runBatch(plan.commands)
    } catch (error) {
      if (!(plan.mode === 'edt' && isUnknownKind(error))) throw error
      knownFq = false
    }
  }
  throw new Error(`Cannot set up the queues of "${device}": they change while they are set up`)
}

/** Brings HTB's classes at a device to what is wanted; {@link ensureQdiscs} has made the HTB. */
export async function ensureClasses(
  device: string,
  wanted: { readonly bandwidth: number | undefined; readonly pods: readonly LimitedPod[] },
): Promise<void> {
  const stale = planStaleClasses(device, await listClasses(device), wanted.pods)
  await runBatch([...stale, ...planClasses(device, wanted)])
}

/** Takes what is ours off every device. */
export async function removeQdiscs(): Promise<void> {
  for (const { ifname } of await listLinks()) await removeQdiscsOf(ifname)
}

/** Takes what is ours off a device, which may be gone. */
export async function removeQdiscsOf(device: string): Promise<void> {
  const seen = await listQdiscs(device).catch(() => [])
  await runBatch(planRemoval(seen, device))
}

/** Queueing disciplines of a device; none when it is not there. */
export async function listQdiscs(device: string): Promise<SeenQdisc[]> {
  const text = await runCommand(['tc', '-json', 'qdisc', 'show', 'dev', device])
  return JSON.parse(text) as SeenQdisc[]
}

/** Not as JSON: Debian 12's tc writes none for classes. */
async function listClasses(device: string): Promise<SeenClass[]> {
  const text = await runCommand(['tc', 'class', 'show', 'dev', device])
  return text.split('\n').flatMap((line) => {
    const [, id, parent] = /^class htb (\S+) (?:root|parent (\S+))/.exec(line) ?? []
    return id === undefined ? [] : [{ id, parent }]
  })
}

async function runBatch(commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await runCommand(['tc', '-batch', '-'], `${commands.join('\n')}\n`)
}

function isUnknownKind(error: unknown): boolean {
  return error instanceof CommandError && /kind is unknown|No such file or directory/.test(error.stderr)
}
