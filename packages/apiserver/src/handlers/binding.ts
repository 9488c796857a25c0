import {
  badRequest,
  conflict,
  EPOCH_ANNOTATION,
  FieldPath,
  invalid,
  invalidObject,
  required,
  setCondition,
  type KubeObject,
} from '@centaurus/api'
import type { Binding, Pod } from '@centaurus/api/core/v1'
import type { Status } from '@centaurus/api/meta/v1'
import { reviewOwnKind } from '../admission/review-write.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { UpdateStrategy } from './prepare.ts'
import { updateObject } from './update.ts'
import { runWriteChecks } from './write-checks.ts'
import type { WriteDeps } from './write-deps.ts'

const RESOURCE = { group: '', resource: 'pods/binding' }

/** Success of an action that has no object to show. */
export const CREATED: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }

/**
 * Assigns a Pod to a node. Throws Conflict when it has one already, is being deleted, or is still held by a scheduling gate; and when the
 * Binding names a scheduler's epoch that is over, even if that happens just now.
 * Source: kubernetes pkg/registry/core/pod/storage/storage.go BindingREST, v1.37.
 */
export async function bindPod(
  deps: WriteDeps,
  request: WriteRequest,
  { name, binding: sent }: { readonly name: string; readonly binding: Binding },
): Promise<Status> {
  checkBinding(sent, name)
  const binding = await reviewBinding(deps, request, { name, binding: sent })
  const nowMs = deps.clock.now()
  const fence = await deps.epochs.of(name, binding.metadata?.annotations)
  await updateObject(deps, fence === undefined ? request : { ...request, fence }, {
    name,
    strategy: BIND,
    change: (old) => {
      const pod = old as Pod
      runWriteChecks(deps, { request, operation: 'create', subresource: 'binding', draft: binding as KubeObject, old })
      return assign(pod, binding, nowMs)
    },
  })
  return CREATED
}

async function reviewBinding(
  { admissionContext }: WriteDeps,
  request: WriteRequest,
  { name, binding }: { readonly name: string; readonly binding: Binding },
): Promise<Binding> {
  if (!admissionContext.reviews.concern(request)) return binding
  const { namespace } = request // the tenant's own, whoever binds
  const kind = { group: '', version: 'v1', kind: 'Binding' }
  const object = { ...binding, apiVersion: 'v1', kind: 'Binding', metadata: { ...binding.metadata, name, namespace } }
  return reviewOwnKind(admissionContext, request, { operation: 'CREATE', subresource: 'binding', name, object, kind })
}

/** The change is checked where it is made; nothing else of the Pod moves. As upstream, it is tracked as nobody's field. */
const BIND: UpdateStrategy = { subresource: 'binding', prepare: () => {}, validate: () => [], isOwnChange: true }

function checkBinding(binding: Binding, name: string): void {
  const given = binding.metadata?.name ?? ''
  if (given !== '' && given !== name) throw badRequest('name in URL does not match name in Binding object')
  const path = new FieldPath('target')
  const errors = []
  const { kind = '', name: node = '' } = binding.target ?? {}
  if (kind !== '' && kind !== 'Node') errors.push(invalid(path.child('kind'), kind, "must be empty or 'Node'"))
  if (node === '') errors.push(required(path.child('name')))
  if (errors.length > 0) throw invalidObject({ group: '', kind: 'Binding' }, name, errors)
}

function assign(old: Pod, { metadata, target }: Binding, nowMs: number): Pod {
  const name = old.metadata.name ?? ''
  const refuse = (why: string): Error => conflict(RESOURCE, name, why)
  const uid = metadata?.uid ?? ''
  if (uid !== '' && uid !== old.metadata.uid) {
    throw refuse(`Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`)
  }
  if (old.metadata.deletionTimestamp !== undefined) {
    throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`)
  }
  const node = old.spec?.nodeName ?? ''
  if (node !== '') throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(node)}`)
  if ((old.spec?.schedulingGates?.length ?? 0) > 0) {
    throw refuse(`pod ${name} has non-empty .spec.schedulingGates`)
  }
  const annotations = withoutEpoch(metadata?.annotations)
  // Only what changes is copied: the rest is shared with the stored object, which nobody changes.
  return {
    ...old,
    metadata: {
      ...old.metadata,
      ...(annotations && { annotations: { ...old.metadata.annotations, ...annotations } }),
      ...(metadata?.labels && { labels: { ...old.metadata.labels, ...metadata.labels } }),
    },
    spec: { ...old.spec!, nodeName: target.name },
    status: {
      ...old.status,
      conditions: setCondition(old.status?.conditions, { type: 'PodScheduled', status: 'True' }, nowMs),
    },
  }
}

/** The epoch is for the commit, not for the Pod. */
function withoutEpoch(annotations: Readonly<Record<string, string>> | undefined): Record<string, string> | undefined {
  if (annotations?.[EPOCH_ANNOTATION] === undefined) return annotations
  const { [EPOCH_ANNOTATION]: _, ...rest } = annotations
  return Object.keys(rest).length === 0 ? undefined : rest
}
