import { randomUUID } from 'node:crypto'
import {
  badRequest,
  deepEqual,
  fillZeros,
  formatTime,
  generateName,
  invalidObject,
  keepServerMetadata,
  validateObjectMeta,
  validateObjectMetaUpdate,
  type BehaviorContext,
  type FieldError,
  type KubeObject,
  type StructSchema,
} from '@centaurus/api'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { ObjectRequest } from '../resource/target.ts'
import type { WriteDeps } from './write-deps.ts'

/** An object whose `status` and other parts are looked at without knowing its kind. */
export type AnyObject = KubeObject & Record<string, unknown>

export function behaviorContext(deps: WriteDeps, request: ObjectRequest): BehaviorContext {
  return { nowMs: deps.clock.now(), user: request.user.name, groups: request.user.groups }
}

export function hasStatusSubresource({ info }: ResourceDefinition): boolean {
  return info.subresources.some((subresource) => subresource.name === 'status')
}

function hasGeneration(definition: ResourceDefinition): boolean {
  const { storage, behavior } = definition
  if (behavior.hasGeneration !== undefined) return behavior.hasGeneration
  return hasStatusSubresource(definition) || COUNTS_GENERATIONS.has(`${storage.group}/${storage.resource}`)
}

/** Resources without a status that count generations all the same. Source: what kube-apiserver v1.37 answers. */
const COUNTS_GENERATIONS = new Set([
  '/podtemplates',
  'admissionregistration.k8s.io/mutatingadmissionpolicies',
  'admissionregistration.k8s.io/mutatingadmissionpolicybindings',
  'admissionregistration.k8s.io/mutatingwebhookconfigurations',
  'admissionregistration.k8s.io/validatingadmissionpolicybindings',
  'admissionregistration.k8s.io/validatingwebhookconfigurations',
  'discovery.k8s.io/endpointslices',
  'networking.k8s.io/ingressclasses',
  'networking.k8s.io/networkpolicies',
  'resource.k8s.io/deviceclasses',
  'resource.k8s.io/resourceslices',
  'scheduling.k8s.io/priorityclasses',
])

/**
 * Makes the object's namespace the request's. Source: apiserver pkg/registry/rest EnsureObjectNamespaceMatchesRequestNamespace.
 */
export function setNamespace(draft: KubeObject, { namespace, target }: ObjectRequest): void {
  if (!target.definition.info.namespaced) {
    delete draft.metadata.namespace
    return
  }
  const given = draft.metadata.namespace ?? ''
  if (given !== '' && given !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  draft.metadata.namespace = namespace
}

/**
 * Gives a new object what only the server decides, before admission. Source: apiserver pkg/registry/rest BeforeCreate.
 */
export function fillNewMetadata(deps: WriteDeps, draft: KubeObject, request: ObjectRequest): void {
  const { definition } = request.target
  const { metadata } = draft
  if ((metadata.resourceVersion ?? '') !== '' && metadata.resourceVersion !== '0') {
    throw badRequest('resourceVersion should not be set on objects to be created')
  }
  delete metadata.resourceVersion
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  delete metadata.selfLink
  metadata.uid = randomUUID()
  metadata.creationTimestamp = formatTime(deps.clock.now())
  if (hasGeneration(definition)) metadata.generation = 1
  else delete metadata.generation
  if (metadata.name === undefined || metadata.name === '') {
    const prefix = metadata.generateName ?? ''
    if (prefix !== '') metadata.name = generateName(prefix, deps.random)
  }
  const dropsStatus = hasStatusSubresource(definition) && definition.behavior.keepsStatusOnCreate !== true
  if (dropsStatus) delete (draft as AnyObject)['status']
}

/**
 * Writes what upstream always writes, also in what the kind's behaviour made or took away. `like` is the object as it was: parts
 * that are the same are not looked at.
 */
export function fillDraft(draft: KubeObject, schema: StructSchema, like?: KubeObject): void {
  Object.assign(draft, fillZeros(draft, schema, like))
}

/** Checks a new object; throws Invalid with every error. */
export function validateNew(definition: ResourceDefinition, draft: KubeObject): void {
  const { info, behavior } = definition
  refuseInvalid(definition, draft, [
    ...validateObjectMeta(draft.metadata, { namespaced: info.namespaced, nameRule: behavior.nameRule }),
    ...(definition.validateSchema?.(draft, undefined) ?? []),
    ...(behavior.validate?.(draft) ?? []),
    ...(behavior.validateCreate?.(draft) ?? []),
  ])
}

/** What part of an object an update may change, and what it must obey: one for each subresource. */
export interface UpdateStrategy {
  readonly subresource: string
  /** Undoes in `draft` whatever may not be changed here, and sets what only the server decides. */
  readonly prepare: (draft: AnyObject, old: AnyObject, request: ObjectRequest) => void
  readonly validate: (draft: AnyObject, old: AnyObject) => FieldError[]
  /** The server itself makes the change, to a whole and valid object: it is nobody's field and needs no preparation or validation. */
  readonly isOwnChange?: boolean | undefined
  /** Webhooks and policies have seen it already, as what the client sent: a Scale, or an Eviction. */
  readonly isReviewed?: boolean | undefined
}

/** The strategy for the object itself. */
export function mainStrategy(deps: WriteDeps, definition: ResourceDefinition): UpdateStrategy {
  const { behavior } = definition
  return {
    subresource: '',
    prepare(draft, old, request) {
      if (hasStatusSubresource(definition)) copyMember(draft, old, 'status')
      behavior.prepareForUpdate?.(draft, old, behaviorContext(deps, request))
      if (hasGeneration(definition) && isSpecChanged(draft, old)) {
        draft.metadata.generation = (old.metadata.generation ?? 0) + 1
      }
    },
    validate: (draft, old) => [...(behavior.validate?.(draft) ?? []), ...(behavior.validateUpdate?.(draft, old) ?? [])],
  }
}

/** The strategy for `/status`: metadata's labels, annotations and finalizers, and the status. */
export function statusStrategy(deps: WriteDeps, definition: ResourceDefinition): UpdateStrategy {
  const { behavior } = definition
  return {
    subresource: 'status',
    prepare(draft, old, request) {
      for (const member of new Set([...Object.keys(draft), ...Object.keys(old)])) {
        if (!STATUS_MEMBERS.has(member)) copyMember(draft, old, member)
      }
      behavior.prepareForStatusUpdate?.(draft, old, behaviorContext(deps, request))
    },
    validate: (draft, old) => behavior.validateStatusUpdate?.(draft, old) ?? [],
  }
}

const STATUS_MEMBERS = new Set(['apiVersion', 'kind', 'metadata', 'status'])

/** Gives `draft` the old object's member, or removes it when the old one has none. */
export function copyMember(draft: AnyObject, old: AnyObject, member: string): void {
  if (old[member] === undefined) delete draft[member]
  else draft[member] = old[member]
}

/** Gives an update the metadata that the server decides. `draft` takes the place of `old`. */
export function fillUpdatedMetadata(draft: KubeObject, old: KubeObject): void {
  keepServerMetadata(draft.metadata, old.metadata)
  draft.metadata.resourceVersion = old.metadata.resourceVersion
  draft.metadata.name ??= old.metadata.name
  if (old.metadata.generateName !== undefined) draft.metadata.generateName ??= old.metadata.generateName
}

/** Checks an updated object; throws Invalid with every error. */
export function validateUpdated(
  definition: ResourceDefinition,
  draft: AnyObject,
  { old, strategy }: { readonly old: AnyObject; readonly strategy: UpdateStrategy },
): void {
  refuseInvalid(definition, draft, [
    ...validateObjectMetaUpdate(draft.metadata, old.metadata),
    ...(definition.validateSchema?.(draft, old) ?? []),
    ...strategy.validate(draft, old),
  ])
}

function refuseInvalid({ storage }: ResourceDefinition, draft: KubeObject, errors: readonly FieldError[]): void {
  if (errors.length === 0) return
  throw invalidObject({ group: storage.group, kind: storage.kind }, draft.metadata.name ?? '', errors)
}

/** True when anything but metadata and status differs. */
function isSpecChanged(draft: AnyObject, old: AnyObject): boolean {
  for (const member of new Set([...Object.keys(draft), ...Object.keys(old)])) {
    if (!STATUS_MEMBERS.has(member) && !deepEqual(draft[member], old[member])) return true
  }
  return false
}
