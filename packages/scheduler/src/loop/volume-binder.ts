import type { Stored } from '@centaurus/api'
import {
  persistentvolumeclaims,
  persistentvolumes,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
} from '@centaurus/api/core/v1'
import { compileNodeSelector } from '@centaurus/api/scheduling'
import type { Clock } from '@centaurus/base'
import { compareResourceVersions, type Client } from '@centaurus/client'
import { SELECTED_NODE, type VolumeBinding } from '../core/volumes.ts'
import type { Caches } from './caches.ts'

/** Source: scheduler VolumeBindingArgs.BindTimeoutSeconds, v1.37. */
const BIND_TIMEOUT_MS = 600_000
const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'

export interface VolumeBinderDeps {
  readonly client: Client
  readonly clock: Clock
  readonly caches: Pick<Caches, 'claim' | 'volume' | 'podByUid'>
}

/** Where the pod goes, and what its claims get there. */
export interface VolumePlacement {
  readonly pod: Stored<Pod>
  readonly nodeName: string
  readonly nodeLabels: Readonly<Record<string, string>>
  readonly bindings: readonly VolumeBinding[]
}

/** Gets volumes for pods that have been given a node. Source: BindPodVolumes, framework/plugins/volumebinding/binder.go v1.37. */
export class VolumeBinder {
  readonly #deps: VolumeBinderDeps
  /** Volume → uid of the pod that it was promised to. One entry a claim of a pod that waits. */
  readonly #promised = new Map<string, string>()
  readonly #waiters = new Set<() => void>()

  constructor(deps: VolumeBinderDeps) {
    this.#deps = deps
  }

  isPromised(volumeName: string): boolean {
    return this.#promised.has(volumeName)
  }

  /** Looks again at what pods wait for. */
  notify(): void {
    for (const check of this.#waiters) check()
  }

  /**
   * Reserves volumes or asks for new ones, and resolves when every claim is bound, at most {@link BIND_TIMEOUT_MS} later. Rejects
   * when that can no longer come: the pod must be scheduled again. Promises its volumes to the pod before the first await.
   */
  async bind(placement: VolumePlacement, signal: AbortSignal): Promise<void> {
    const { uid } = placement.pod.metadata
    for (const { volume } of placement.bindings) if (volume !== undefined) this.#promised.set(volume.metadata.name, uid)
    try {
      // Versions that the cache must show before it can speak against us.
      const written: string[] = []
      for (const binding of placement.bindings) written.push(await this.#write(binding, placement.nodeName))
      await this.#untilBound(placement, { written, signal })
    } finally {
      for (const { volume } of placement.bindings) if (volume !== undefined) this.#promised.delete(volume.metadata.name)
    }
  }

  async #write({ claim, volume }: VolumeBinding, nodeName: string): Promise<string> {
    const { client } = this.#deps
    if (volume === undefined) {
      if (claim.metadata.annotations?.[SELECTED_NODE] === nodeName) return claim.metadata.resourceVersion
      const annotations = { ...claim.metadata.annotations, [SELECTED_NODE]: nodeName }
      const updated = await client.update(persistentvolumeclaims, {
        ...claim,
        metadata: { ...claim.metadata, annotations },
      })
      return updated.metadata.resourceVersion
    }
    const { namespace, name, uid, resourceVersion } = claim.metadata
    const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion }
    const annotations = { ...volume.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' }
    const updated = await client.update(persistentvolumes, {
      ...volume,
      metadata: { ...volume.metadata, annotations },
      spec: { ...volume.spec, claimRef },
    })
    return updated.metadata.resourceVersion
  }

  #untilBound(
    placement: VolumePlacement,
    { written, signal }: { written: readonly string[]; signal: AbortSignal },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        timer.cancel()
        this.#waiters.delete(check)
        signal.removeEventListener('abort', onAbort)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onAbort = (): void => end(new Error('Scheduler closed'))
      const check = (): void => {
        try {
          if (this.#isBound(placement, written)) end()
        } catch (error) {
          end(error as Error) // thrown by isBound only
        }
      }
      const timer = this.#deps.clock.setTimer(BIND_TIMEOUT_MS, () =>
        end(new Error('timed out waiting for the condition')),
      )
      this.#waiters.add(check)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      else check()
    })
  }

  /** Throws when it will never be. */
  #isBound({ pod, bindings, nodeName, nodeLabels }: VolumePlacement, written: readonly string[]): boolean {
    const { caches } = this.#deps
    if (caches.podByUid(pod.metadata.uid) === undefined) throw new Error('pod does not exist any more')
    let isBound = true
    for (const [i, binding] of bindings.entries()) {
      const { name, namespace, uid } = binding.claim.metadata
      const claim = caches.claim(namespace ?? '', name)
      if (claim === undefined || claim.metadata.uid !== uid)
        throw new Error(`could not get claim "${namespace}/${name}": not found`)
      const volume = claim.spec?.volumeName ? caches.volume(claim.spec.volumeName) : undefined
      if (claim.status?.phase === 'Bound' && volume !== undefined) {
        const required = volume.spec?.nodeAffinity?.required
        if (required !== undefined && !compileNodeSelector(required).matches(nodeLabels, nodeName))
          throw new Error(`pv "${volume.metadata.name}" node affinity doesn't match node "${nodeName}"`)
        continue
      }
      isBound = false
      this.#checkAsked(binding, claim, { version: written[i] ?? '', nodeName })
    }
    return isBound
  }

  /** Somebody took back what was asked for: the provisioner wants another node, or the volume went to another claim. */
  #checkAsked(
    binding: VolumeBinding,
    claim: Stored<PersistentVolumeClaim>,
    { version, nodeName }: { version: string; nodeName: string },
  ): void {
    const key = `${claim.metadata.namespace}/${claim.metadata.name}`
    if (binding.volume === undefined) {
      const isNewer = compareResourceVersions(claim.metadata.resourceVersion, version) >= 0
      if (isNewer && claim.metadata.annotations?.[SELECTED_NODE] !== nodeName)
        throw new Error(
          `provisioning failed for PVC "${claim.metadata.name}": node "${nodeName}" is no longer selected`,
        )
      return
    }
    const volume: Stored<PersistentVolume> | undefined = this.#deps.caches.volume(binding.volume.metadata.name)
    if (volume === undefined) throw new Error(`could not get volume "${binding.volume.metadata.name}": not found`)
    const isNewer = compareResourceVersions(volume.metadata.resourceVersion, version) >= 0
    if (isNewer && volume.spec?.claimRef?.uid !== claim.metadata.uid)
      throw new Error(`volume "${volume.metadata.name}" is not bound to claim "${key}" any more`)
  }
}
