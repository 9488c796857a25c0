import type {
  Container,
  NodeAffinity,
  NodeSelectorTerm,
  Pod,
  PodSpec,
  Toleration,
} from '../../generated/types/core/v1.ts'
import { FieldPath, forbiddenField, invalid, required, type FieldError } from '../../status/field-error.ts'
import { INT32_MAX } from '../shared/check.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { describeChange } from '../shared/describe-change.ts'
import { validatePodAnnotationUpdates } from './validate-annotations.ts'
import { checkImagePadding } from './validate-container.ts'

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',')
const REQUIRED_AFFINITY = 'requiredDuringSchedulingIgnoredDuringExecution'

/** What may change once a pod exists. Source: ValidatePodUpdate, pkg/apis/core/validation v1.37. */
export function validatePodUpdate(pod: Readonly<Pod>, old: Readonly<Pod>): FieldError[] {
  const path = new FieldPath('spec')
  const spec = pod.spec ?? { containers: [] }
  const before = old.spec ?? { containers: [] }
  const errors = validatePodAnnotationUpdates(pod, old, new FieldPath('metadata.annotations'))
  for (const list of ['containers', 'initContainers'] as const) {
    const at = path.child(list)
    if ((spec[list] ?? []).length !== (before[list] ?? []).length) {
      return [...errors, forbiddenField(at, 'pod updates may not add or remove containers')]
    }
    errors.push(...(spec[list] ?? []).flatMap((container, i) => validateImage(container, at.index(i))))
  }
  const deadline = validateDeadline(spec, before, path.child('activeDeadlineSeconds'))
  if (deadline.stop) return [...errors, ...deadline.errors]
  errors.push(...deadline.errors, ...validateAddedTolerations(spec, before, path.child('tolerations')))
  errors.push(...validateRemovedGates(spec, before, path.child('schedulingGates')))
  if (semanticEqual(spec, before)) return errors
  const rest = withUpdatableFieldsOf(spec, before)
  if ((before.schedulingGates ?? []).length > 0) errors.push(...restoreNodeChoice(rest, before, path))
  if (!semanticEqual(rest, before)) {
    const detail = `pod updates may not change fields other than ${UPDATABLE}\n${describeChange(before, rest)}`
    errors.push(forbiddenField(path, detail))
  }
  return errors
}

/** The subresource that adds containers to look at a running pod. Source: ValidatePodEphemeralContainersUpdate. */
export function validateEphemeralContainersUpdate(pod: Readonly<Pod>, old: Readonly<Pod>): FieldError[] {
  if (old.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) {
    return [forbiddenField(new FieldPath(), 'static pods do not support ephemeral containers')]
  }
  const path = new FieldPath('spec.ephemeralContainers')
  return (old.spec?.ephemeralContainers ?? []).flatMap((before) => {
    const name = JSON.stringify(before.name)
    const now = pod.spec?.ephemeralContainers?.find((container) => container.name === before.name)
    if (now === undefined) return [forbiddenField(path, `existing ephemeral containers ${name} may not be removed\n`)]
    if (semanticEqual(before, now)) return []
    return [
      forbiddenField(path, `existing ephemeral containers ${name} may not be changed\n${describeChange(before, now)}`),
    ]
  })
}

function validateImage(container: Container, path: FieldPath): FieldError[] {
  return container.image ? checkImagePadding(container, path) : [required(path.child('image'))]
}

function validateDeadline(spec: PodSpec, before: PodSpec, path: FieldPath): { errors: FieldError[]; stop: boolean } {
  const now = spec.activeDeadlineSeconds
  const earlier = before.activeDeadlineSeconds
  if (now === undefined) {
    const detail = 'must not update from a positive integer to nil value'
    return { errors: earlier === undefined ? [] : [invalid(path, null, detail)], stop: false }
  }
  if (now < 0 || now > INT32_MAX) {
    return { errors: [invalid(path, now, `must be between 0 and ${INT32_MAX}, inclusive`)], stop: true }
  }
  if (earlier === undefined || earlier >= now) return { errors: [], stop: false }
  return { errors: [invalid(path, now, 'must be less than or equal to previous value')], stop: true }
}

function validateAddedTolerations(spec: PodSpec, before: PodSpec, path: FieldPath): FieldError[] {
  const isKept = (old: Toleration): boolean =>
    (spec.tolerations ?? []).some((now) => semanticEqual({ ...old, tolerationSeconds: now.tolerationSeconds }, now))
  if ((before.tolerations ?? []).every(isKept)) return []
  return [forbiddenField(path, 'existing toleration can not be modified except its tolerationSeconds')]
}

function validateRemovedGates(spec: PodSpec, before: PodSpec, path: FieldPath): FieldError[] {
  const earlier = new Set((before.schedulingGates ?? []).map((gate) => gate.name))
  return (spec.schedulingGates ?? []).flatMap(({ name }, i) => {
    if (earlier.has(name)) return []
    const detail = `only deletion is allowed, but found new scheduling gate '${name}'`
    return [forbiddenField(path.index(i).child('name'), detail)]
  })
}

/** The new spec with everything that may change set back, so that what still differs may not. */
function withUpdatableFieldsOf(spec: PodSpec, before: PodSpec): PodSpec {
  const restore = (containers: Container[] | undefined, old: Container[] | undefined): Container[] | undefined =>
    containers?.map((container, i) => ({ ...container, image: old?.[i]?.image }))
  const rest: PodSpec = {
    ...spec,
    containers: restore(spec.containers, before.containers) ?? [],
    initContainers: restore(spec.initContainers, before.initContainers),
    activeDeadlineSeconds: before.activeDeadlineSeconds,
    schedulingGates: before.schedulingGates,
    tolerations: before.tolerations,
  }
  if ((before.terminationGracePeriodSeconds ?? 0) < 0 && rest.terminationGracePeriodSeconds === 1) {
    rest.terminationGracePeriodSeconds = before.terminationGracePeriodSeconds
  }
  return rest
}

/** A pod that its gates hold back may be told more narrowly where to run. Sets `rest` back and says what was widened. */
function restoreNodeChoice(rest: PodSpec, before: PodSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const selector = rest.nodeSelector ?? {}
  if (Object.entries(before.nodeSelector ?? {}).some(([key, value]) => selector[key] !== value)) {
    const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'
    errors.push(invalid(path.child('nodeSelector'), selector, detail))
  }
  rest.nodeSelector = before.nodeSelector
  const earlier = before.affinity?.nodeAffinity
  errors.push(...validateNarrowed(rest.affinity?.nodeAffinity, earlier, path.child('affinity', 'nodeAffinity')))
  if (!semanticEqual(rest.affinity?.nodeAffinity, earlier)) rest.affinity = { ...rest.affinity, nodeAffinity: earlier }
  return errors
}

function validateNarrowed(
  now: NodeAffinity | undefined,
  before: NodeAffinity | undefined,
  path: FieldPath,
): FieldError[] {
  const earlier = before?.[REQUIRED_AFFINITY]?.nodeSelectorTerms ?? []
  const terms = now?.[REQUIRED_AFFINITY]?.nodeSelectorTerms ?? []
  const at = path.child(REQUIRED_AFFINITY, 'nodeSelectorTerms')
  if (earlier.length === 0) return []
  if (earlier.length !== terms.length) {
    return [invalid(at, terms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed')]
  }
  return earlier.flatMap((term, i) => {
    if (hasOnlyAdditions(terms[i]!, term)) return []
    return [invalid(at.index(i), terms[i], 'only additions are allowed (no mutations or deletions)')]
  })
}

function hasOnlyAdditions(now: NodeSelectorTerm, before: NodeSelectorTerm): boolean {
  const count = (term: NodeSelectorTerm): number =>
    (term.matchExpressions ?? []).length + (term.matchFields ?? []).length
  // An empty term selects nothing: more would be wider.
  if (count(before) === 0) return count(now) === 0
  return (['matchExpressions', 'matchFields'] as const).every((list) => {
    const earlier = before[list] ?? []
    return semanticEqual((now[list] ?? []).slice(0, earlier.length), earlier)
  })
}
