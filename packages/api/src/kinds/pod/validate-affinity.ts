import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
} from '../../generated/types/core/v1.ts'
import type { LabelSelector } from '../../generated/types/meta/v1.ts'
import { checkDnsLabel, checkDnsSubdomain, checkLabelValue, checkQualifiedName } from '../../meta/names.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { invalidFor } from '../shared/check.ts'
import { validateLabelSelector } from '../shared/selector.ts'

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'

/** Source: validateAffinity, pkg/apis/core/validation v1.37. */
export function validateAffinity(affinity: Affinity | undefined, path: FieldPath): FieldError[] {
  if (affinity === undefined) return []
  const errors: FieldError[] = []
  const node = affinity.nodeAffinity
  const nodePath = path.child('nodeAffinity')
  if (node?.[REQUIRED] !== undefined) errors.push(...validateNodeSelector(node[REQUIRED], nodePath.child(REQUIRED)))
  for (const [i, { weight, preference }] of (node?.[PREFERRED] ?? []).entries()) {
    const at = nodePath.child(PREFERRED).index(i)
    errors.push(...checkWeight(weight, at.child('weight')))
    errors.push(...validateNodeSelectorTerm(preference, at.child('preference'), { checkValues: false }))
  }
  return [
    ...errors,
    ...validatePodAffinity(affinity.podAffinity, path.child('podAffinity')),
    ...validatePodAffinity(affinity.podAntiAffinity, path.child('podAntiAffinity')),
  ]
}

/** Source: ValidateNodeSelector. Persistent volumes have one as well. */
export function validateNodeSelector(selector: NodeSelector, path: FieldPath): FieldError[] {
  const at = path.child('nodeSelectorTerms')
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0) return [required(at, 'must have at least one node selector term')]
  return terms.flatMap((term, i) => validateNodeSelectorTerm(term, at.index(i), { checkValues: true }))
}

/** Keys of `matchLabelKeys` and the like. Source: ValidateMatchLabelKeysAndMismatchLabelKeys. */
export function validateLabelKeys(
  keys: {
    readonly matchLabelKeys?: readonly string[] | undefined
    readonly mismatchLabelKeys?: readonly string[] | undefined
  },
  path: FieldPath,
  selector: LabelSelector | undefined,
): FieldError[] {
  const errors: FieldError[] = []
  for (const field of ['matchLabelKeys', 'mismatchLabelKeys'] as const) {
    const list = keys[field] ?? []
    if (list.length > 0 && selector === undefined) {
      errors.push(forbiddenField(path.child(field), 'must not be specified when labelSelector is not set'))
      continue
    }
    errors.push(...list.flatMap((key, i) => invalidFor(path.child(field).index(i), key, checkQualifiedName(key))))
  }
  const seen = new Set(Object.keys(selector?.matchLabels ?? {}))
  for (const { key } of selector?.matchExpressions ?? []) {
    const i = (keys.matchLabelKeys ?? []).indexOf(key)
    // One expression per key is what the server itself adds when the pod is made.
    if (i >= 0 && seen.has(key))
      errors.push(invalid(path.index(i), key, 'exists in both matchLabelKeys and labelSelector'))
    seen.add(key)
  }
  for (const [i, key] of (keys.matchLabelKeys ?? []).entries()) {
    if (keys.mismatchLabelKeys?.includes(key) !== true) continue
    errors.push(
      invalid(path.child('matchLabelKeys').index(i), key, 'exists in both matchLabelKeys and mismatchLabelKeys'),
    )
  }
  return errors
}

function validateNodeSelectorTerm(
  term: NodeSelectorTerm,
  path: FieldPath,
  options: { readonly checkValues: boolean },
): FieldError[] {
  const expressions = path.child('matchExpressions')
  const fields = path.child('matchFields')
  return [
    ...(term?.matchExpressions ?? []).flatMap((item, i) => validateRequirement(item, expressions.index(i), options)),
    ...(term?.matchFields ?? []).flatMap((item, i) => validateFieldRequirement(item, fields.index(i))),
  ]
}

function validateRequirement(
  { key, operator, values = [] }: NodeSelectorRequirement,
  path: FieldPath,
  options: { readonly checkValues: boolean },
): FieldError[] {
  const at = path.child('values')
  const errors: FieldError[] = []
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(at, "must be specified when `operator` is 'In' or 'NotIn'"))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    const detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    if (values.length > 0) errors.push(forbiddenField(at, detail))
  } else if (operator === 'Gt' || operator === 'Lt') {
    if (values.length !== 1) errors.push(required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
  } else {
    errors.push(invalid(path.child('operator'), operator, 'not a valid selector operator'))
  }
  errors.push(...invalidFor(path.child('key'), key ?? '', checkQualifiedName(key ?? '')))
  if (!options.checkValues) return errors
  return [...errors, ...values.flatMap((value, i) => invalidFor(at.index(i), value, checkLabelValue(value)))]
}

function validateFieldRequirement(
  { key, operator, values = [] }: NodeSelectorRequirement,
  path: FieldPath,
): FieldError[] {
  const at = path.child('values')
  const errors: FieldError[] = []
  if (operator !== 'In' && operator !== 'NotIn') {
    errors.push(invalid(path.child('operator'), operator, 'not a valid selector operator'))
  } else if (values.length !== 1) {
    errors.push(required(at, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
  }
  if (key !== 'metadata.name') return [...errors, invalid(path.child('key'), key, 'not a valid field selector key')]
  return [...errors, ...values.flatMap((value, i) => invalidFor(at.index(i), value, checkDnsSubdomain(value)))]
}

function validatePodAffinity(affinity: PodAffinity | undefined, path: FieldPath): FieldError[] {
  const requiredPath = path.child(REQUIRED)
  const preferredPath = path.child(PREFERRED)
  return [
    ...(affinity?.[REQUIRED] ?? []).flatMap((term, i) => validateTerm(term, requiredPath.index(i))),
    ...(affinity?.[PREFERRED] ?? []).flatMap(({ weight, podAffinityTerm }, i) => [
      ...checkWeight(weight, preferredPath.index(i).child('weight')),
      ...validateTerm(podAffinityTerm, preferredPath.index(i).child('podAffinityTerm')),
    ]),
  ]
}

function validateTerm(term: PodAffinityTerm, path: FieldPath): FieldError[] {
  const keyPath = path.child('topologyKey')
  return [
    ...validateLabelSelector(term.labelSelector, path.child('labelSelector')),
    ...validateLabelSelector(term.namespaceSelector, path.child('namespaceSelector')),
    ...(term.namespaces ?? []).flatMap((name) => invalidFor(path.child('namespace'), name, checkDnsLabel(name))),
    ...validateLabelKeys(term, path, term.labelSelector),
    ...(term.topologyKey ? [] : [required(keyPath, 'can not be empty')]),
    ...invalidFor(keyPath, term.topologyKey ?? '', checkQualifiedName(term.topologyKey ?? '')),
  ]
}

function checkWeight(weight: number, path: FieldPath): FieldError[] {
  return weight >= 1 && weight <= 100 ? [] : [invalid(path, weight ?? 0, 'must be in the range 1-100')]
}
