import {
  behaviorOf,
  deepEqual,
  prepareCertificateApproval,
  validateCertificateApproval,
  validateEphemeralContainersUpdate,
  validatePodResize,
  type FieldError,
  type KubeObject,
} from '@centaurus/api'
import type { CertificateSigningRequest } from '@centaurus/api/certificates/v1'
import type { Container, Pod, PodSpec } from '@centaurus/api/core/v1'
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
      return approvalStrategy(deps)
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
  // A pods' draft and old are Pods: only that resource has the subresource.
  validate: (draft, old) => [
    ...validatePod(draft),
    ...validateEphemeralContainersUpdate(draft as KubeObject as Pod, old as KubeObject as Pod),
  ],
}

function validatePod(draft: KubeObject): FieldError[] {
  return behaviorOf('', 'Pod').validate?.(draft) ?? []
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
  validate: (draft, old) => [
    ...validatePod(draft),
    ...validatePodResize(draft as KubeObject as Pod, old as KubeObject as Pod),
  ],
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
  validate: (draft) => behaviorOf('', 'Namespace').validate?.(draft) ?? [],
}

/** Source: kubernetes pkg/registry/certificates/certificates/strategy.go csrApprovalStrategy: the conditions, nothing else. */
function approvalStrategy({ clock }: WriteDeps): UpdateStrategy {
  const asRequest = (object: AnyObject): CertificateSigningRequest => object as KubeObject as CertificateSigningRequest
  return {
    subresource: 'approval',
    prepare: (draft, old) => prepareCertificateApproval(asRequest(draft), asRequest(old), { nowMs: clock.now() }),
    validate: (draft, old) => validateCertificateApproval(asRequest(draft), asRequest(old)),
  }
}
