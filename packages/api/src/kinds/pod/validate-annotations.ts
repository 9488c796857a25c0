import type { Pod, PodSpec } from '../../generated/types/core/v1.ts'
import { forbiddenField, invalid, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { INT32_MAX } from '../shared/check.ts'

const MIRROR = 'kubernetes.io/config.mirror'
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const APP_ARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/'

type Annotations = Readonly<Record<string, string>>

/** Annotations that have a meaning for pods. Source: ValidatePodSpecificAnnotations, pkg/apis/core/validation v1.37. */
export function validatePodAnnotations(
  annotations: Annotations,
  path: FieldPath,
  spec: Readonly<PodSpec> | undefined,
): FieldError[] {
  const errors: FieldError[] = []
  const mirror = annotations[MIRROR]
  if (mirror !== undefined && !spec?.nodeName) {
    errors.push(invalid(path.key(MIRROR), mirror, 'must set spec.nodeName if mirror pod annotation is set'))
  }
  const cost = annotations[DELETION_COST]
  if (cost !== undefined && !isDeletionCost(cost)) {
    errors.push(invalid(path.key(DELETION_COST), cost, 'must be a 32bit integer'))
  }
  const containers = [
    ...(spec?.initContainers ?? []),
    ...(spec?.containers ?? []),
    ...(spec?.ephemeralContainers ?? []),
  ]
  for (const [key, profile] of Object.entries(annotations)) {
    if (!key.startsWith(APP_ARMOR_PREFIX)) continue
    const name = key.slice(APP_ARMOR_PREFIX.length)
    if (!containers.some((container) => container.name === name)) {
      errors.push(invalid(path.key(key), name, 'container not found'))
    }
    if (!['', 'runtime/default', 'unconfined'].includes(profile) && !profile.startsWith('localhost/')) {
      errors.push(invalid(path.key(key), profile, `invalid AppArmor profile name: ${JSON.stringify(profile)}`))
    }
  }
  return errors
}

/** Annotations that nobody may change. Source: ValidatePodSpecificAnnotationUpdates. */
export function validatePodAnnotationUpdates(pod: Readonly<Pod>, old: Readonly<Pod>, path: FieldPath): FieldError[] {
  const now = pod.metadata.annotations ?? {}
  const before = old.metadata.annotations ?? {}
  const errors: FieldError[] = []
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (now[key] === before[key]) continue
    const isNew = before[key] === undefined
    const verb = isNew ? 'may not add' : 'may not remove or update'
    if (key.startsWith(APP_ARMOR_PREFIX)) errors.push(forbiddenField(path.key(key), `${verb} AppArmor annotations`))
    if (key === MIRROR) errors.push(forbiddenField(path.key(key), `${verb} mirror pod annotation`))
  }
  return errors
}

/** An int32 without a plus sign or leading zeros. Source: GetDeletionCostFromPodAnnotations, pkg/apis/core/helper v1.37. */
function isDeletionCost(text: string): boolean {
  const value = Number(text)
  return /^(0|-?[1-9]\d*)$/.test(text) && value >= -INT32_MAX - 1 && value <= INT32_MAX
}
