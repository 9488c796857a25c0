import { QUALITY_ANNOTATIONS, readQuality } from '../../centaurus/quality-annotations.ts'
import type { Pod, PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { invalid, type FieldPath } from '../../status/field-error.ts'

/** Annotations of a template for which its pods will be refused. */
export function qualityWarnings({ metadata }: Readonly<PodTemplateSpec>, path: FieldPath): string[] {
  const at = path.child('metadata').child('annotations')
  return readQuality(metadata?.annotations).problems.map(({ annotations, value, detail }) => {
    const { field, message } = invalid(at.key(annotations.at(-1)!), value, detail)
    return `${field}: ${message}; its pods will be refused`
  })
}

/** Annotations that do nothing, since the packets are the node's. */
export function hostQualityWarnings({ metadata, spec }: Readonly<Pod | PodTemplateSpec>, path: FieldPath): string[] {
  if (spec?.hostNetwork !== true) return []
  const at = path.child('metadata').child('annotations')
  return QUALITY_ANNOTATIONS.filter((name) => metadata?.annotations?.[name] !== undefined).map(
    (name) => `${String(at.key(name))}: does nothing for pods in the network of their node (\`hostNetwork\`)`,
  )
}
