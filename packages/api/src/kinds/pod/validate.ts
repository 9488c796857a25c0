import type { Pod } from '../../generated/types/core/v1.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import { checkNonNegative } from '../shared/check.ts'
import { validatePodAnnotations } from './validate-annotations.ts'
import { checkImagePadding } from './validate-container.ts'
import { validatePodSpec } from './validate-spec.ts'

/** Source: validatePodMetadataAndSpec, pkg/apis/core/validation v1.37. */
export function validatePod(pod: Readonly<Pod>): FieldError[] {
  const path = new FieldPath('spec')
  const spec = pod.spec
  const errors = [
    ...validatePodAnnotations(pod.metadata.annotations ?? {}, new FieldPath('metadata.annotations'), spec),
    ...validatePodSpec(spec, path, { podMeta: pod.metadata }),
  ]
  if (!spec?.serviceAccountName) {
    for (const [i, volume] of (spec?.volumes ?? []).entries()) {
      for (const [j, source] of (volume.projected?.sources ?? []).entries()) {
        if (source.serviceAccountToken === undefined) continue
        const at = path.child('volumes').index(i).child('projected', 'sources').index(j).child('serviceAccountToken')
        errors.push(forbiddenField(at, 'must not be specified when serviceAccountName is not set'))
      }
    }
  }
  errors.push(...checkNonNegative(spec?.terminationGracePeriodSeconds, path.child('terminationGracePeriodSeconds')))
  for (const list of ['containers', 'initContainers'] as const) {
    errors.push(
      ...(spec?.[list] ?? []).flatMap((container, i) => checkImagePadding(container, path.child(list).index(i))),
    )
  }
  return errors
}

/** Source: ValidatePodCreate. */
export function validatePodCreate({ spec }: Readonly<Pod>): FieldError[] {
  const path = new FieldPath('spec')
  const errors: FieldError[] = []
  if ((spec?.ephemeralContainers ?? []).length > 0) {
    errors.push(forbiddenField(path.child('ephemeralContainers'), 'cannot be set on create'))
  }
  if (spec?.nodeName && (spec.schedulingGates ?? []).length > 0) {
    errors.push(forbiddenField(path.child('nodeName'), 'cannot be set until all schedulingGates have been cleared'))
  }
  return errors
}
