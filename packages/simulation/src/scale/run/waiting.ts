import { pause } from '../hollow/hollow-call.ts'
import { RUN_LABEL } from '../load/objects.ts'
import type { RunContext } from './run.ts'

/** A wait gives up when nothing has moved for so long. */
const STUCK_MS_MAX = 180_000
const POLL_MS = 250

/** Resolves when exactly so many pods run on the hollow nodes. Rejects when the number does not move for long. */
export async function waitRunning({ timeline, signal }: RunContext, goal: number): Promise<void> {
  let best = Number.NaN
  let movedMs = performance.now()
  for (;;) {
    signal.throwIfAborted()
    const running = timeline.latest?.running ?? 0
    if (running === goal) return
    if (running !== best) {
      best = running
      movedMs = performance.now()
    }
    if (performance.now() - movedMs > STUCK_MS_MAX) {
      throw new Error(`${running} pods run and ${goal} should: nothing has moved for ${STUCK_MS_MAX / 1000} s`)
    }
    await pause(POLL_MS)
  }
}

interface DeploymentState {
  readonly metadata: { readonly name: string; readonly generation: number }
  readonly spec: { readonly replicas?: number }
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
  }
}

/** Resolves when every Deployment has the replicas that it wants, available. Rejects when that does not come nearer for long. */
export async function converge({ apis, signal }: RunContext): Promise<void> {
  let fewest = Number.POSITIVE_INFINITY
  let movedMs = performance.now()
  for (;;) {
    signal.throwIfAborted()
    let missing = 0
    for (const api of apis) {
      const path = `/apis/apps/v1/deployments?labelSelector=${encodeURIComponent(`${RUN_LABEL}=density`)}`
      for await (const deployment of api.list<DeploymentState>('deployments', path, 500))
        missing += distance(deployment)
    }
    if (missing === 0) return
    if (missing < fewest) {
      fewest = missing
      movedMs = performance.now()
    }
    if (performance.now() - movedMs > STUCK_MS_MAX) {
      throw new Error(
        `Deployments are ${missing} pods away from what they want, and no nearer for ${STUCK_MS_MAX / 1000} s`,
      )
    }
    await pause(1_000)
  }
}

function distance({ metadata, spec, status = {} }: DeploymentState): number {
  const wanted = spec.replicas ?? 1
  if ((status.observedGeneration ?? 0) < metadata.generation) return wanted + 1
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status
  return Math.abs(wanted - replicas) + Math.abs(wanted - updatedReplicas) + Math.abs(wanted - availableReplicas)
}

/** Does `work` for each item, so many at a time, in order. Rejects at the first failure. */
export async function inTurn<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}
