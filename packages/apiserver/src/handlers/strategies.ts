import { deepEqual, FieldPath, forbiddenField, type FieldError } from '@centaurus/api'
import type { Container, EphemeralContainer, PodSpec } from '@centaurus/api/core/v1'
import type { ResourceDefinition } from '../resource/registry.ts'
import { copyMember, hasStatusSubresource, statusStrategy, type AnyObject, type UpdateStrategy } from './prepare.ts'
import type { WriteDeps } from './write-deps.ts'

/** The strategy for a subresource that has the object's own kind; undefined when there is no such one. */
export function strategyFor(
  deps: WriteDeps,
  definition: ResourceDefinition,
  subresource: string,
): UpdateStrategy | undefined {
  const { group, resource } = definition.info
  switch (`${group}/${resource}/${subresource}`) {
    case '/pods/ephemeralcontainers':
      return EPHEMERAL_CONTAINERS
    case '/pods/resize':
      return RESIZE
    case '/namespaces/finalize':
      return FINALIZE
    case 'certificates.k8s.io/certificatesigningrequests/approval':
      return APPROVAL
    default:
      return subresource === 'status' && hasStatusSubresource(definition) ? statusStrategy(deps, definition) : undefined
  }
}

const SHARED_MEMBERS = new Set(['apiVersion', 'kind', 'metadata'])

/** Makes everything but type and metadata what it was. */
function keepOld(draft: AnyObject, old: AnyObject): void {
  for (const member of new Set([...Object.keys(draft), ...Object.keys(old)])) {
    if (!SHARED_MEMBERS.has(member)) copyMember(draft, old, member)
  }
}

function specOf(object: AnyObject): PodSpec {
  return object['spec'] as PodSpec
}

/** Source: kubernetes pkg/registry/core/pod/strategy.go podEphemeralContainersStrategy, v1.37. */
const EPHEMERAL_CONTAINERS: UpdateStrategy = {
  subresource: 'ephemeralcontainers',
  prepare(draft, old) {
    const { ephemeralContainers } = specOf(draft)
    keepOld(draft, old)
    draft['spec'] = { ...specOf(old), ephemeralContainers }
    if (!deepEqual(ephemeralContainers ?? [], specOf(old).ephemeralContainers ?? [])) bumpGeneration(draft, old)
  },
  validate: (draft, old) => validateEphemeralContainers(specOf(draft), specOf(old)),
}

function validateEphemeralContainers(spec: PodSpec, old: PodSpec): FieldError[] {
  const path = new FieldPath('spec').child('ephemeralContainers')
  const byName = new Map((spec.ephemeralContainers ?? []).map((container) => [container.name, container]))
  return (old.ephemeralContainers ?? []).flatMap((container: EphemeralContainer) => {
    const now = byName.get(container.name)
    const name = JSON.stringify(container.name)
    if (now === undefined) return [forbiddenField(path, `existing ephemeral containers ${name} may not be removed\n`)]
    if (deepEqual(now, container)) return []
    return [forbiddenField(path, `existing ephemeral containers ${name} may not be changed\n`)]
  })
}

/** Source: kubernetes pkg/registry/core/pod/strategy.go podResizeStrategy, v1.37: resources and resize policies, nothing else. */
const RESIZE: UpdateStrategy = {
  subresource: 'resize',
  prepare(draft, old) {
    const wanted = specOf(draft)
    const before = specOf(old)
    keepOld(draft, old)
    const spec = {
      ...before,
      containers: withResources(before.containers, wanted.containers),
      ...(before.initContainers === undefined
        ? {}
        : { initContainers: withResources(before.initContainers, wanted.initContainers ?? []) }),
    }
    draft['spec'] = spec
    if (!deepEqual(spec, before)) bumpGeneration(draft, old)
  },
  validate: () => [],
}

function withResources(containers: readonly Container[], wanted: readonly Container[]): Container[] {
  return containers.map((container) => {
    const match = wanted.find((other) => other.name === container.name)
    if (match === undefined) return container
    return { ...container, resources: match.resources, resizePolicy: match.resizePolicy ?? container.resizePolicy }
  })
}

function bumpGeneration(draft: AnyObject, old: AnyObject): void {
  if (old.metadata.generation !== undefined) draft.metadata.generation = old.metadata.generation + 1
}

/** Source: kubernetes pkg/registry/core/namespace/strategy.go namespaceFinalizeStrategy. */
const FINALIZE: UpdateStrategy = {
  subresource: 'finalize',
  prepare(draft, old) {
    const finalizers = (draft['spec'] as { finalizers?: string[] } | undefined)?.finalizers
    keepOld(draft, old)
    draft['spec'] = { ...(old['spec'] as object | undefined), finalizers }
    draft.metadata = { ...old.metadata, finalizers: draft.metadata.finalizers }
  },
  validate: () => [],
}

/** Source: kubernetes pkg/registry/certificates/certificates/strategy.go csrApprovalStrategy: the conditions, nothing else. */
const APPROVAL: UpdateStrategy = {
  subresource: 'approval',
  prepare(draft, old) {
    const conditions = (draft['status'] as { conditions?: Record<string, unknown>[] } | undefined)?.conditions
    keepOld(draft, old)
    draft['status'] = { ...(old['status'] as object | undefined), conditions }
  },
  validate: () => [],
}
