import type { Service } from '../../generated/types/core/v1.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import { checkCidr } from '../shared/ip.ts'

const ANNOTATION = 'service.beta.kubernetes.io/load-balancer-source-ranges'

/** From where a load balancer may be used, in the field or else in the annotation. Source: validateService, pkg/apis/core/validation v1.37. */
export function validateSourceRanges({ metadata, spec }: Readonly<Service>): FieldError[] {
  const ranges = spec?.loadBalancerSourceRanges ?? []
  const annotation = metadata.annotations?.[ANNOTATION]
  if (ranges.length === 0 && annotation === undefined) return []
  // The capital letter is upstream's.
  const at =
    ranges.length > 0
      ? new FieldPath('spec.LoadBalancerSourceRanges')
      : new FieldPath('metadata.annotations').key(ANNOTATION)
  const errors =
    spec?.type === 'LoadBalancer' ? [] : [forbiddenField(at, "may only be used when `type` is 'LoadBalancer'")]
  if (ranges.length > 0) return [...errors, ...ranges.flatMap((range, i) => checkCidr(range.trim(), at.index(i)))]
  const texts = (annotation ?? '').trim() === '' ? [] : annotation!.split(',')
  return [...errors, ...texts.flatMap((range) => checkCidr(range.trim(), at))]
}
