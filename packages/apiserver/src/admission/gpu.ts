import { FieldPath, invalid, invalidObject } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import {
  GPU_ALLOCATION_ANNOTATION,
  GPU_CONSTRAINT_ANNOTATIONS,
  gpuRequestsOf,
  parseGpuAllocation,
} from '@centaurus/api/gpu'
import { MIRROR_POD_ANNOTATION } from '../access/node/pod-references.ts'
import { NODES_GROUP } from '../access/operator-groups.ts'
import type { AdmissionStep, AdmittedWrite } from './admission.ts'
import { refuseAdmission } from './refuse.ts'

/**
 * What a pod asks of GPUs must mean something, since nobody could say later what was meant. Which it has is decided where room is
 * known: the allocation comes with the node's name, in the same write, or with the mirror of a pod that a node made by itself.
 */
export const gpuRequests: AdmissionStep = {
  name: 'GpuRequests',
  handles: (write) => write.operation !== 'delete' && isOfPods(write),
  validate(write) {
    if (write.subresource === '' && isSaidAnew(write)) checkRequests(write)
    const [now, before] = [allocationOf(write.draft), allocationOf(write.old)]
    if (now === before) return
    if (write.subresource === 'binding') checkAllocation(write, now)
    else if (!isMirrorOfNode(write)) {
      const why = 'the scheduler writes it when it gives the pod a node'
      throw refuseAdmission(
        write,
        `annotation "${GPU_ALLOCATION_ANNOTATION}" may not be set, changed or removed: ${why}`,
      )
    }
  },
}

function isOfPods({ request }: AdmittedWrite): boolean {
  const { storage } = request.target.definition
  return storage.group === pods.group && storage.resource === pods.resource
}

/** Resources of containers do not change: of pods that are there only annotations are looked at. */
function isSaidAnew({ draft, old }: AdmittedWrite): boolean {
  if (old === undefined) return true
  const [now, before] = [draft.metadata.annotations, old.metadata.annotations]
  return now !== before && GPU_CONSTRAINT_ANNOTATIONS.some((name) => now?.[name] !== before?.[name])
}

function checkRequests({ draft }: AdmittedWrite): void {
  const { errors } = gpuRequestsOf(draft as Pod)
  if (errors.length > 0) throw invalidObject({ group: '', kind: 'Pod' }, draft.metadata.name ?? '', errors)
}

function checkAllocation({ draft }: AdmittedWrite, text: string | undefined): void {
  if (text === undefined) return
  const why = whyNotAllocation(draft as Pod, text)
  if (why === undefined) return
  const field = new FieldPath('metadata').child('annotations').key(GPU_ALLOCATION_ANNOTATION)
  throw invalidObject({ group: '', kind: 'Binding' }, draft.metadata.name ?? '', [invalid(field, text, why)])
}

function whyNotAllocation({ spec }: Pod, text: string): string | undefined {
  try {
    const names = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ name }) => name)
    const unknown = Object.keys(parseGpuAllocation(text)).find((name) => !names.includes(name))
    return unknown === undefined ? undefined : `names container ${JSON.stringify(unknown)}, which the pod does not have`
  } catch (error) {
    if (error instanceof SyntaxError) return error.message
    throw error
  }
}

function allocationOf(pod: AdmittedWrite['old']): string | undefined {
  return pod?.metadata.annotations?.[GPU_ALLOCATION_ANNOTATION]
}

function isMirrorOfNode({ operation, draft, request }: AdmittedWrite): boolean {
  const isMirror = draft.metadata.annotations?.[MIRROR_POD_ANNOTATION] !== undefined
  return operation === 'create' && isMirror && request.user.groups.includes(NODES_GROUP)
}
