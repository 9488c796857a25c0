import type { PodRuntimeState } from '../pod/runtime-state.ts'
import type { NodeReporter } from '../node/node-reporter.ts'
import { collectImages } from './image-gc.ts'
import type { PodDeps } from './pod-context.ts'
import type { PodWorker } from './pod-worker.ts'
import { stopKnownPod } from './stop-pods.ts'

/** Ended containers of one name that are kept, for `kubectl logs --previous`. Source: kubelet maxPerPodContainer. */
const DEAD_CONTAINERS_KEPT = 1
const ORPHAN_GRACE_SECONDS_MAX = 30

export interface HouseInput {
  readonly deps: PodDeps
  readonly workers: ReadonlyMap<string, PodWorker>
  /** Whether the API (as last seen) or a worker has the pod. */
  readonly isKnown: (podUid: string) => boolean
  readonly reporter: NodeReporter
}

/** What must be done now and then: volumes refreshed, the dead removed, orphans ended, images collected. */
export async function keepHouse({ deps, workers, isKnown, reporter }: HouseInput): Promise<void> {
  for (const worker of workers.values()) {
    await worker
      .refreshVolumes()
      .catch((error: unknown) => deps.logger.warn('Could not refresh volumes of Pod', { pod: worker.uid, error }))
  }
  for (const uid of deps.cache.podUids()) {
    if (!isKnown(uid)) await removeOrphan(uid, deps)
    else {
      await removeDead(uid, deps)
      await rotateLogs(uid, deps)
    }
  }
  for (const uid of await deps.host.files.podUids()) {
    if (!isKnown(uid) && !deps.cache.podUids().includes(uid)) await deps.host.files.tearDown(uid)
  }
  await removeOrphanedLogs(deps, isKnown)
  await collectImages({ deps, reporter })
}

/** Logs of pods that nobody knows any longer, as those that were deleted while no agent ran. Folders that are not a pod's are left alone. */
async function removeOrphanedLogs({ cache, host, config }: PodDeps, isKnown: HouseInput['isKnown']): Promise<void> {
  const running = new Set(cache.podUids())
  for (const name of await host.files.logDirectories(config.podLogsDir)) {
    const [, , uid, ...rest] = name.split('_')
    if (uid === undefined || rest.length > 0 || running.has(uid) || isKnown(uid)) continue
    await host.files.removeLogs(`${config.podLogsDir}/${name}`)
  }
}

/** Containers that may go: all but what runs and the newest dead of each name. Pure. */
export function planDeadContainers(state: PodRuntimeState): string[] {
  const kept = new Map<string, number>()
  const remove: string[] = []
  for (const { id, name, phase } of state.containers) {
    if (phase !== 'exited' && phase !== 'created') continue
    const count = kept.get(name) ?? 0
    // The newest of a name may itself be the dead one whose status counts: keep one more then.
    const newest = state.containers.find((container) => container.name === name)
    const allowed = DEAD_CONTAINERS_KEPT + (newest?.phase === 'running' ? 0 : 1)
    if (count >= allowed) remove.push(id)
    kept.set(name, count + 1)
  }
  return remove
}

/** Sandboxes that may go: not ready, not the newest, with no container left. Pure. */
export function planDeadSandboxes(state: PodRuntimeState): string[] {
  return state.sandboxes
    .slice(1)
    .filter(({ id, ready }) => !ready && !state.containers.some(({ sandboxId }) => sandboxId === id))
    .map(({ id }) => id)
}

async function removeDead(uid: string, { cache, runtime }: PodDeps): Promise<void> {
  const state = cache.get(uid)
  const containers = planDeadContainers(state)
  const sandboxes = planDeadSandboxes(state)
  for (const id of containers) await runtime.removeContainer(id)
  for (const id of sandboxes) await runtime.removeSandbox(id)
  if (containers.length + sandboxes.length > 0) await cache.refresh(uid)
}

async function rotateLogs(uid: string, { cache, runtime, host, config }: PodDeps): Promise<void> {
  const limits = { bytesMax: config.logBytesMax, filesMax: config.logFilesMax }
  for (const { id, phase, logPath } of cache.get(uid).containers) {
    if (phase === 'running' && logPath !== '' && (await host.files.rotateLog(logPath, limits)))
      await runtime.reopenContainerLog(id)
  }
}

/** The API forgot the pod while no agent looked. */
async function removeOrphan(uid: string, deps: PodDeps): Promise<void> {
  const { cache, runtime, logger } = deps
  const state = cache.get(uid)
  logger.info('Removing orphaned Pod', {
    pod: state.sandboxes[0] === undefined ? uid : `${state.sandboxes[0].podNamespace}/${state.sandboxes[0].podName}`,
  })
  for (const sandbox of state.sandboxes) {
    const containers = state.containers.filter(
      ({ sandboxId, phase }) => sandboxId === sandbox.id && phase === 'running',
    )
    await stopKnownPod({ sandbox, containers }, ORPHAN_GRACE_SECONDS_MAX, { ...deps, dialer: deps.host.dialer })
  }
  for (const { id } of state.containers) await runtime.removeContainer(id)
  for (const { id } of state.sandboxes) await runtime.removeSandbox(id)
  await cache.refresh(uid)
}
