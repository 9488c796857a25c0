import { formatKey } from '@centaurus/api'
import { persistentvolumes, pods, type PersistentVolume, type Pod } from '@centaurus/api/core/v1'
import { resourceslices } from '@centaurus/api/resource/v1'
import { volumeattachments } from '@centaurus/api/storage/v1'
import type { ObjectReader } from '../../resource/object-reader.ts'
import { podReferences, type PodReferences } from './pod-references.ts'

/** What a node may have to do with. */
export type RelatedResource =
  | keyof PodReferences
  | 'pods'
  | 'persistentvolumes'
  | 'volumeattachments'
  | 'resourceslices'

interface KnownPod {
  readonly node: string
  readonly keys: readonly string[]
}

interface KnownVolume {
  readonly claim: string
  readonly secrets: readonly string[]
}

/**
 * Which objects a node has to do with, through its pods and their volumes. A pod's references are read when some node asks for
 * something that is not known yet, not with each change of a pod: most changes are status and add nothing.
 * Source of the relations: plugin/pkg/auth/authorizer/node/graph.go (v1.37).
 */
export class NodeGraph {
  /** `resource/namespace/name` → node → number of pods that lead there. */
  readonly #nodesOf = new Map<string, Map<string, number>>()
  readonly #pods = new Map<string, KnownPod>()
  readonly #volumes = new Map<string, KnownVolume>()
  /** Secret of a volume driver → names of the volumes. */
  readonly #volumesOfSecret = new Map<string, Set<string>>()
  /** Pods that changed since they were looked at. */
  readonly #changed = new Set<string>()
  readonly #findPod: (namespace: string, name: string) => Readonly<Pod> | undefined

  constructor(findPod: (namespace: string, name: string) => Readonly<Pod> | undefined) {
    this.#findPod = findPod
  }

  isRelated(node: string, resource: RelatedResource, namespace: string, name: string): boolean {
    if (this.#hasPath(node, resource, namespace, name)) return true
    if (this.#changed.size === 0) return false
    this.#readChanged()
    return this.#hasPath(node, resource, namespace, name)
  }

  /** A pod was added or changed. */
  touchPod(namespace: string, name: string): void {
    this.#changed.add(formatKey(namespace, name))
  }

  removePod(namespace: string, name: string): void {
    const key = formatKey(namespace, name)
    this.#changed.delete(key)
    const known = this.#pods.get(key)
    if (known === undefined) return
    this.#pods.delete(key)
    for (const target of known.keys) this.#unlink(target, known.node)
  }

  putVolume(volume: Readonly<PersistentVolume>): void {
    const name = volume.metadata.name ?? ''
    this.removeVolume(name)
    const claim = volume.spec?.claimRef
    if (claim === undefined) return
    const secrets = volumeSecrets(volume).map((key) => `secrets/${key}`)
    this.#volumes.set(name, {
      claim: vertex('persistentvolumeclaims', claim.namespace ?? '', claim.name ?? ''),
      secrets,
    })
    for (const secret of secrets) {
      const found = this.#volumesOfSecret.get(secret)
      if (found === undefined) this.#volumesOfSecret.set(secret, new Set([name]))
      else found.add(name)
    }
  }

  removeVolume(name: string): void {
    for (const secret of this.#volumes.get(name)?.secrets ?? []) {
      const found = this.#volumesOfSecret.get(secret)
      found?.delete(name)
      if (found?.size === 0) this.#volumesOfSecret.delete(secret)
    }
    this.#volumes.delete(name)
  }

  /** An object of the cluster that names its node itself. */
  link(resource: 'volumeattachments' | 'resourceslices', name: string, node: string): void {
    this.unlink(resource, name)
    this.#link(vertex(resource, '', name), node)
  }

  unlink(resource: 'volumeattachments' | 'resourceslices', name: string): void {
    this.#nodesOf.delete(vertex(resource, '', name))
  }

  #hasPath(node: string, resource: RelatedResource, namespace: string, name: string): boolean {
    if (resource === 'persistentvolumes') {
      const volume = this.#volumes.get(name)
      return volume !== undefined && this.#nodesOf.get(volume.claim)?.has(node) === true
    }
    const key = vertex(resource, namespace, name)
    if (this.#nodesOf.get(key)?.has(node) === true) return true
    if (resource !== 'secrets') return false
    for (const volume of this.#volumesOfSecret.get(key) ?? [])
      if (this.#hasPath(node, 'persistentvolumes', '', volume)) return true
    return false
  }

  #readChanged(): void {
    for (const key of this.#changed) {
      const slash = key.indexOf('/')
      const namespace = key.slice(0, slash)
      const name = key.slice(slash + 1)
      const pod = this.#findPod(namespace, name)
      this.removePod(namespace, name)
      const node = pod?.spec?.nodeName ?? ''
      if (pod === undefined || node === '') continue
      const references = Object.entries(podReferences(pod)) as [keyof PodReferences, ReadonlySet<string>][]
      const keys = [
        vertex('pods', namespace, name),
        ...references.flatMap(([resource, names]) => [...names].map((target) => vertex(resource, namespace, target))),
      ]
      this.#pods.set(key, { node, keys })
      for (const target of keys) this.#link(target, node)
    }
    this.#changed.clear()
  }

  #link(key: string, node: string): void {
    const found = this.#nodesOf.get(key)
    if (found === undefined) this.#nodesOf.set(key, new Map([[node, 1]]))
    else found.set(node, (found.get(node) ?? 0) + 1)
  }

  #unlink(key: string, node: string): void {
    const found = this.#nodesOf.get(key)
    if (found === undefined) return
    const count = (found.get(node) ?? 1) - 1
    if (count > 0) return void found.set(node, count)
    found.delete(node)
    if (found.size === 0) this.#nodesOf.delete(key)
  }
}

/** A graph that follows the cache. Returns it with the function that stops it. */
export function followNodeGraph(
  reader: ObjectReader,
  tenant: string,
): { readonly graph: NodeGraph; readonly stop: () => void } {
  const options = { tenant }
  const graph = new NodeGraph((namespace, name) => reader.get(pods, { namespace, name }, options))
  const stops = [
    reader.onChange(
      pods,
      ({ type, namespace, name }) =>
        type === 'DELETED' ? graph.removePod(namespace, name) : graph.touchPod(namespace, name),
      options,
    ),
    reader.onChange(
      persistentvolumes,
      (event) => (event.type === 'DELETED' ? graph.removeVolume(event.name) : graph.putVolume(event.object())),
      options,
    ),
    reader.onChange(
      volumeattachments,
      (event) => {
        if (event.type === 'DELETED') graph.unlink('volumeattachments', event.name)
        else graph.link('volumeattachments', event.name, event.object().spec.nodeName)
      },
      options,
    ),
    reader.onChange(
      resourceslices,
      (event) => {
        if (event.type === 'DELETED') graph.unlink('resourceslices', event.name)
        else graph.link('resourceslices', event.name, event.object().spec.nodeName ?? '')
      },
      options,
    ),
  ]
  for (const { metadata } of reader.list(pods, undefined, options))
    graph.touchPod(metadata.namespace ?? '', metadata.name)
  for (const volume of reader.list(persistentvolumes, undefined, options)) graph.putVolume(volume)
  for (const { metadata, spec } of reader.list(volumeattachments, undefined, options))
    graph.link('volumeattachments', metadata.name, spec.nodeName)
  for (const { metadata, spec } of reader.list(resourceslices, undefined, options))
    graph.link('resourceslices', metadata.name, spec.nodeName ?? '')
  return { graph, stop: () => stops.forEach((stop) => stop()) }
}

function vertex(resource: RelatedResource, namespace: string, name: string): string {
  return `${resource}/${namespace}/${name}`
}

/** Secrets (`namespace/name`) that a node needs to mount the volume. Source: pkg/volume/util VisitPVSecretNames, those that are visible to the kubelet. */
export function volumeSecrets(volume: Readonly<PersistentVolume>): string[] {
  const { spec } = volume
  if (spec === undefined) return []
  const claimNamespace = spec.claimRef?.namespace ?? ''
  const drivers = [spec.cephfs, spec.flexVolume, spec.iscsi, spec.rbd, spec.scaleIO]
  const references = [
    ...drivers.map((driver) => driver?.secretRef),
    spec.csi?.nodePublishSecretRef,
    spec.csi?.nodeStageSecretRef,
    spec.csi?.nodeExpandSecretRef,
    spec.storageos?.secretRef,
    spec.azureFile === undefined
      ? undefined
      : { name: spec.azureFile.secretName, namespace: spec.azureFile.secretNamespace },
  ]
  return references.flatMap((reference) =>
    reference?.name === undefined ? [] : [formatKey(reference.namespace ?? claimNamespace, reference.name)],
  )
}
