import type { Container, Pod } from '../../generated/types/core/v1.ts'
import { FieldPath, forbiddenField, invalid, type FieldError } from '../../status/field-error.ts'
import { semanticEqual } from '../shared/deep-equal.ts'
import { podQosClass } from './qos.ts'

type Amounts = Readonly<Record<string, string>>

/** Resources that a running container can be given more or less of. */
const RESIZABLE = new Set(['cpu', 'memory'])
const specPath = new FieldPath('spec')

/**
 * What a resize must leave as it is. `pod` has the old one's containers, with new resources.
 * Source: ValidatePodResize, kubernetes pkg/apis/core/validation v1.37; without pod-level resources.
 */
export function validatePodResize(pod: Readonly<Pod>, old: Readonly<Pod>): FieldError[] {
  if (old.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) {
    return [forbiddenField(new FieldPath(), 'static pods cannot be resized')]
  }
  const errors: FieldError[] = []
  const qosClass = podQosClass(old)
  if (podQosClass(pod) !== qosClass) {
    errors.push(invalid(specPath, qosClass, 'Pod QOS Class may not change as a result of resizing'))
  }
  let isOthersChanged = false
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [i, before] of (old.spec?.[list] ?? []).entries()) {
      const now = pod.spec?.[list]?.[i]
      if (now === undefined) continue
      errors.push(...validateRemoval(now, before, specPath.child(list).index(i).child('resources')))
      if (!semanticEqual(othersOf(now), othersOf(before))) isOthersChanged = true
    }
  }
  if (isOthersChanged) errors.push(forbiddenField(specPath, 'only cpu and memory resources are mutable'))
  return errors
}

function validateRemoval(now: Container, before: Container, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const kind of ['requests', 'limits'] as const) {
    const amounts: Amounts = now.resources?.[kind] ?? {}
    const isRemoved = Object.keys(before.resources?.[kind] ?? {}).some((name) => amounts[name] === undefined)
    if (isRemoved) errors.push(forbiddenField(path.child(kind), `resource ${kind} cannot be removed`))
  }
  return errors
}

function othersOf({ resources }: Container): Amounts[] {
  return [resources?.requests ?? {}, resources?.limits ?? {}].map((amounts) =>
    Object.fromEntries(Object.entries(amounts as Amounts).filter(([name]) => !RESIZABLE.has(name))),
  )
}
