import { deepEqual } from '@centaurus/api'
import { nodes, pods, type Node, type Pod, type Toleration } from '@centaurus/api/core/v1'
import { runtimeclasses } from '@centaurus/api/node/v1'
import { priorityclasses, type PriorityClass } from '@centaurus/api/scheduling/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
/** Source: kubernetes plugin/pkg/admission/defaulttolerationseconds, v1.37. */
const DEFAULT_TOLERATION_SECONDS = 300

/** Lets Pods stay on a node that fails for five minutes, unless they say otherwise. */
export const defaultTolerationSeconds: AdmissionStep = {
  name: 'DefaultTolerationSeconds',
  handles: (write) => write.operation !== 'delete' && isWriteTo(write, pods),
  mutate({ draft }) {
    const { spec } = draft as Pod
    if (spec === undefined) return
    for (const key of [NOT_READY, UNREACHABLE]) {
      if (spec.tolerations?.some((toleration) => coversNoExecute(toleration, key)) === true) continue
      const added = { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: DEFAULT_TOLERATION_SECONDS }
      spec.tolerations = [...(spec.tolerations ?? []), added]
    }
  },
}

function coversNoExecute({ key = '', effect = '' }: Toleration, taint: string): boolean {
  return (key === taint || key === '') && (effect === 'NoExecute' || effect === '')
}

/** A new node takes no Pods until its agent says that it is ready. Source: kubernetes plugin/pkg/admission/nodetaint, v1.37. */
export const taintNodesByCondition: AdmissionStep = {
  name: 'TaintNodesByCondition',
  handles: (write) => write.operation === 'create' && isWriteTo(write, nodes),
  mutate({ draft }) {
    const spec = ((draft as Node).spec ??= {})
    const isTainted = spec.taints?.some((taint) => taint.key === NOT_READY && taint.effect === 'NoSchedule')
    if (isTainted !== true) spec.taints = [...(spec.taints ?? []), { key: NOT_READY, effect: 'NoSchedule' }]
  },
}

/** Turns a priority class's name into its number. Source: kubernetes plugin/pkg/admission/priority, v1.37. */
export const priority: AdmissionStep = {
  name: 'Priority',
  handles: (write) => write.operation !== 'delete' && (isWriteTo(write, pods) || isWriteTo(write, priorityclasses)),
  mutate(write, context) {
    if (!isWriteTo(write, pods)) return
    const { spec } = write.draft as Pod
    if (spec === undefined) return
    if (write.operation === 'update') {
      const old = (write.old as Pod | undefined)?.spec
      spec.priority ??= old?.priority
      spec.preemptionPolicy ??= old?.preemptionPolicy
      return
    }
    const found = findPriorityClass(write, context)
    const value = found?.value ?? 0
    if (spec.priority !== undefined && spec.priority !== value) {
      const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`
      throw refuseAdmission(write, why)
    }
    const policy = found?.preemptionPolicy ?? 'PreemptLowerPriority'
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
      const why = `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`
      throw refuseAdmission(write, why)
    }
    spec.priority = value
    spec.preemptionPolicy = policy
    if (found !== undefined && (spec.priorityClassName ?? '') === '') spec.priorityClassName = found.metadata.name
  },
  validate(write, { reader }) {
    if (!isWriteTo(write, priorityclasses) || (write.draft as PriorityClass).globalDefault !== true) return
    const { tenant } = write.request.target
    const other = reader
      .list(priorityclasses, '', { tenant })
      .find((entry) => entry.globalDefault === true && entry.metadata.name !== write.draft.metadata.name)
    if (other === undefined) return
    const why = `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`
    throw refuseAdmission(write, why)
  },
}

/** The class that the Pod names, else the default one. */
function findPriorityClass(write: AdmittedWrite, { reader }: AdmissionContext): PriorityClass | undefined {
  const { tenant } = write.request.target
  const name = (write.draft as Pod).spec?.priorityClassName ?? ''
  if (name === '') {
    return reader
      .list(priorityclasses, '', { tenant })
      .filter((entry) => entry.globalDefault === true)
      .toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0))[0]
  }
  const found = reader.get(priorityclasses, { name }, { tenant })
  if (found === undefined) throw refuseAdmission(write, `no PriorityClass with name ${name} was found`)
  return found
}

/** Adds what a runtime class costs and where it runs. Source: kubernetes plugin/pkg/admission/runtimeclass, v1.37. */
export const runtimeClass: AdmissionStep = {
  name: 'RuntimeClass',
  handles: (write) => write.operation === 'create' && isWriteTo(write, pods),
  mutate(write, { reader }) {
    const { spec } = write.draft as Pod
    const name = spec?.runtimeClassName ?? ''
    if (spec === undefined) return
    if (name === '') {
      if (spec.overhead === undefined) return
      throw refuseAdmission(write, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
    }
    const found = reader.get(runtimeclasses, { name }, { tenant: write.request.target.tenant })
    if (found === undefined) {
      throw refuseAdmission(write, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`)
    }
    const overhead = found.overhead?.podFixed
    if (spec.overhead !== undefined && !deepEqual(spec.overhead, overhead)) {
      const why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
      throw refuseAdmission(write, why)
    }
    if (overhead !== undefined) spec.overhead = { ...overhead }
    addScheduling(write, { ...found.scheduling })
  },
}

function addScheduling(
  write: AdmittedWrite,
  scheduling: { nodeSelector?: Record<string, string> | undefined; tolerations?: Toleration[] | undefined },
): void {
  const spec = (write.draft as Pod).spec!
  for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {})) {
    const own = spec.nodeSelector?.[key]
    if (own !== undefined && own !== value) {
      const why = `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`
      throw refuseAdmission(write, why)
    }
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value }
  }
  for (const toleration of scheduling.tolerations ?? []) {
    if (spec.tolerations?.some((own) => deepEqual(own, toleration)) === true) continue
    spec.tolerations = [...(spec.tolerations ?? []), { ...toleration }]
  }
}
