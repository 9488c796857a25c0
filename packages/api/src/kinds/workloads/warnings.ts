import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { FieldPath } from '../../status/field-error.ts'
import type { KubeObject } from '../behavior.ts'
import { qualityWarnings } from '../pod/quality-warnings.ts'
import { hostNameWarnings, templateWarnings } from '../pod/warnings.ts'
import { semanticEqual } from '../shared/deep-equal.ts'

interface WorkloadWarnings {
  readonly object: Readonly<KubeObject>
  /** Of the template, such as `spec.template`. */
  readonly path: string
  readonly template: Readonly<PodTemplateSpec> | undefined
  /** That of the old object on an update. */
  readonly oldTemplate: Readonly<PodTemplateSpec> | undefined
  /** Whether pods are named after the object in a way that a long name spoils. */
  readonly isNameUsed?: boolean
}

/** What is odd about a workload: on a create its name too, on an update only a template that changed. */
export function workloadWarnings({ object, path, template, oldTemplate, isNameUsed }: WorkloadWarnings): string[] {
  if (template === undefined || (oldTemplate !== undefined && semanticEqual(template, oldTemplate))) return []
  const named = isNameUsed && oldTemplate === undefined ? hostNameWarnings(object.metadata.name) : []
  const at = new FieldPath(path)
  return [...named, ...templateWarnings(template, at), ...qualityWarnings(template, at)]
}
