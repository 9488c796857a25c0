import {
  forbidden,
  isLocalVolumeOf,
  isLocalVolumeReclaimable,
  LOCAL_VOLUME_FINALIZER,
  type KubeObject,
  type StatusError,
} from '@centaurus/api'
import type { TokenRequest } from '@centaurus/api/authentication/v1'
import { pods, type Node, type PersistentVolume, type Pod } from '@centaurus/api/core/v1'
import type { CheckedWrite, WriteCheck } from '../../extension.ts'
import type { ObjectReader } from '../../resource/object-reader.ts'
import { SYSTEM_TENANT } from '../../request/request-info.ts'
import { nodeNameOf } from './node-authorizer.ts'
import { MIRROR_POD_ANNOTATION, podReferences } from './pod-references.ts'

const LEASE_NAMESPACE = 'kube-node-lease'
/** Labels that a node may not set on itself: others decide by them where pods may run. Source: plugin/pkg/admission/noderestriction. */
const RESTRICTED_LABEL_DOMAIN = 'node-restriction.kubernetes.io'
const KUBELET_LABEL_DOMAINS = ['kubelet.kubernetes.io', 'node.kubernetes.io']
const KUBELET_LABELS = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
])

/**
 * Keeps a node agent to its own node, its own pods and their tokens. Others are not looked at.
 * Source: plugin/pkg/admission/noderestriction/admission.go (v1.37).
 */
export function createNodeRestriction(reader: ObjectReader): WriteCheck[] {
  const restrict = (
    group: string,
    resource: string,
    check: (write: CheckedWrite, node: string) => void,
  ): WriteCheck => ({
    group,
    resource,
    check(write) {
      const node = nodeNameOf(write.user)
      if (node !== undefined) check(write, node)
    },
  })
  return [
    restrict('', 'nodes', checkNode),
    restrict('', 'pods', checkPod),
    restrict('', 'persistentvolumes', checkVolume),
    restrict('', 'serviceaccounts', (write, node) => checkToken(write, node, reader)),
    restrict('coordination.k8s.io', 'leases', checkLease),
    restrict('storage.k8s.io', 'csinodes', (write, node) => checkOwnName(write, node, 'CSINode')),
    restrict('resource.k8s.io', 'resourceslices', checkResourceSlice),
    restrict('centaurus.io', 'networkreports', (write, node) => checkOwnName(write, node, 'NetworkReport')),
  ]
}

function checkNode(write: CheckedWrite, node: string): void {
  const { object, old, info, operation } = write
  const name = object?.metadata.name ?? info.name
  if (name !== node) throw refuse(write, `node ${quote(node)} is not allowed to modify node ${quote(name)}`)
  if (operation === 'delete') return
  checkLabels(write, node)
  const created = object as Node
  const before = old as Node | undefined
  if (created.spec?.configSource !== undefined && before?.spec?.configSource === undefined) {
    throw refuse(write, `node ${quote(node)} is not allowed to update configSource to a new non-nil configSource`)
  }
  if (before === undefined || info.subresource !== '') return
  if (!same(created.spec?.taints ?? [], before.spec?.taints ?? []))
    throw refuse(write, `node ${quote(node)} is not allowed to modify taints`)
  if (!same(created.metadata.ownerReferences ?? [], before.metadata.ownerReferences ?? [])) {
    throw refuse(write, `node ${quote(node)} is not allowed to modify ownerReferences`)
  }
}

function checkLabels(write: CheckedWrite, node: string): void {
  const labels = write.object?.metadata.labels ?? {}
  const before = write.old?.metadata.labels ?? {}
  const changed = [...new Set([...Object.keys(labels), ...Object.keys(before)])].filter(
    (key) => labels[key] !== before[key],
  )
  const refused = changed.filter((key) => isRestrictedLabel(key)).toSorted()
  if (refused.length === 0) return
  const verb = write.operation === 'create' ? 'set' : 'modify'
  throw refuse(write, `is not allowed to ${verb} the following labels: ${refused.join(', ')}`, node)
}

function isRestrictedLabel(key: string): boolean {
  const slash = key.indexOf('/')
  const domain = slash < 0 ? '' : key.slice(0, slash)
  const within = (parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`)
  if (within(RESTRICTED_LABEL_DOMAIN)) return true
  if (!within('kubernetes.io') && !within('k8s.io')) return false
  return !KUBELET_LABELS.has(key) && !KUBELET_LABEL_DOMAINS.some(within)
}

function checkPod(write: CheckedWrite, node: string): void {
  const { operation, info, object } = write
  const pod = (write.old ?? object) as Pod | undefined
  const nodeName = pod?.spec?.nodeName
  if (info.subresource === 'status' || info.subresource === 'eviction' || operation === 'delete') {
    if (nodeName === node) return
    const what =
      operation === 'delete' ? 'delete pods' : info.subresource === 'status' ? 'update status for pods' : 'evict pods'
    throw refuse(write, `node ${quote(node)} can only ${what} with spec.nodeName set to itself`)
  }
  if (operation !== 'create' || info.subresource !== '') throw refuse(write, `unexpected operation ${quote(operation)}`)
  checkMirrorPod(write, object as Pod, node)
}

/** A node may show the pods that it runs from files, and nothing may come with them. */
function checkMirrorPod(write: CheckedWrite, pod: Pod, node: string): void {
  if (write.info.tenant !== SYSTEM_TENANT) throw refuse(write, `node ${quote(node)} can only create pods of its own`)
  const title = `pod does not have ${quote(MIRROR_POD_ANNOTATION)} annotation, node ${quote(node)} can only create mirror pods`
  if (pod.metadata.annotations?.[MIRROR_POD_ANNOTATION] === undefined) throw refuse(write, title)
  if (pod.spec?.nodeName !== node)
    throw refuse(write, `node ${quote(node)} can only create pods with spec.nodeName set to itself`)
  const owners = pod.metadata.ownerReferences ?? []
  const isOwned = owners.length === 0 || (owners.length === 1 && owners[0]?.kind === 'Node' && owners[0].name === node)
  if (!isOwned) throw refuse(write, `node ${quote(node)} can only create pods with an owner reference set to itself`)
  const { annotations: _annotations, ...metadata } = pod.metadata
  for (const [resource, names] of Object.entries(podReferences({ ...pod, metadata }))) {
    if ((names as ReadonlySet<string>).size > 0)
      throw refuse(write, `node ${quote(node)} can not create pods that reference ${resource}`)
  }
}

/** Ours, not upstream's: of a folder on its own node an agent may drop its finalizer, and delete it once it may be reclaimed. */
function checkVolume(write: CheckedWrite, node: string): void {
  const old = write.old as PersistentVolume | undefined
  if (old === undefined || write.info.subresource !== '' || !isLocalVolumeOf(node, old)) {
    throw refuse(write, `node ${quote(node)} can only change persistentvolumes that are folders of itself`)
  }
  if (write.operation === 'delete') {
    if (isLocalVolumeReclaimable(old)) return
    throw refuse(write, `node ${quote(node)} can only delete persistentvolumes that are to be reclaimed`)
  }
  const now = write.object as PersistentVolume
  const finalizers = (old.metadata.finalizers ?? []).filter((name) => name !== LOCAL_VOLUME_FINALIZER)
  if (same(ownedByOthers(now), ownedByOthers(old)) && same(now.metadata.finalizers ?? [], finalizers)) return
  throw refuse(write, `node ${quote(node)} can only remove its finalizer from persistentvolumes`)
}

function ownedByOthers({ metadata, spec }: PersistentVolume): unknown {
  return [metadata.labels, metadata.annotations, metadata.ownerReferences, spec]
}

function checkToken(write: CheckedWrite, node: string, reader: ObjectReader): void {
  if (write.info.subresource !== 'token') return
  const ref = (write.object as TokenRequest | undefined)?.spec?.boundObjectRef
  if (ref === undefined || ref.apiVersion !== 'v1' || ref.kind !== 'Pod' || (ref.name ?? '') === '') {
    throw refuse(write, 'node requested token not bound to a pod')
  }
  if ((ref.uid ?? '') === '') throw refuse(write, 'node requested token with a pod binding without a uid')
  const { namespace, tenant } = write.info
  const pod = reader.get(pods, { namespace, name: ref.name ?? '' }, { tenant })
  if (pod === undefined) throw refuse(write, `pod ${quote(ref.name ?? '')} not found`)
  if (pod.metadata.uid !== ref.uid) {
    throw refuse(
      write,
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  }
  if (pod.spec?.nodeName !== node)
    throw refuse(write, 'node requested token bound to a pod scheduled on a different node')
}

function checkLease(write: CheckedWrite, node: string): void {
  const { info } = write
  if (info.namespace !== LEASE_NAMESPACE) {
    throw refuse(write, `can only access leases in the ${quote(LEASE_NAMESPACE)} system namespace`)
  }
  const name = write.object?.metadata.name ?? info.name
  if (name !== node) throw refuse(write, 'can only access node lease with the same name as the requesting node')
}

function checkOwnName(write: CheckedWrite, node: string, kind: string): void {
  const name = write.object?.metadata.name ?? write.info.name
  if (name !== node) throw refuse(write, `can only access ${kind} with the same name as the requesting node`)
}

function checkResourceSlice(write: CheckedWrite, node: string): void {
  if (write.operation === 'delete') return
  const slice = write.object as KubeObject & { spec?: { nodeName?: string } }
  if (slice.spec?.nodeName !== node)
    throw refuse(write, 'can only create ResourceSlice with the same NodeName as the requesting node')
}

function refuse({ info, object }: CheckedWrite, why: string, node?: string): StatusError {
  const resource = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`
  const name = object?.metadata.name ?? info.name
  return forbidden({ group: info.group, resource }, name, node === undefined ? why : `node ${quote(node)} ${why}`)
}

function quote(text: string): string {
  return JSON.stringify(text)
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
