import type { StructSchema, ValueSchema } from '../schema/schema.ts'

/** Name of a type as Go prints it in decoding errors: `v1.PodSpec`, `[]v1.Container`, `map[string]string`. */
export function goTypeName(schema: ValueSchema): string {
  switch (schema.type) {
    case 'struct':
      return goStructName(schema.struct())
    case 'list':
      return `[]${goTypeName(schema.items)}`
    case 'map':
      return `map[string]${goTypeName(schema.values)}`
    case 'double':
      return 'float64'
    case 'boolean':
      return 'bool'
    case 'bytes':
      return '[]uint8'
    case 'time':
      return 'v1.Time'
    case 'microTime':
      return 'v1.MicroTime'
    case 'duration':
      return 'v1.Duration'
    case 'quantity':
      return 'resource.Quantity'
    case 'intOrString':
      return 'intstr.IntOrString'
    case 'any':
      return 'runtime.RawExtension'
    default:
      return schema.type
  }
}

/** `io.k8s.api.core.v1.PodSpec` → `v1.PodSpec`. */
function goStructName(struct: StructSchema): string {
  return struct.name.split('.').slice(-2).join('.')
}

/** Last part of the name, as in `Go struct field PodSpec.spec.containers`. */
export function shortStructName(struct: StructSchema): string {
  return struct.name.slice(struct.name.lastIndexOf('.') + 1)
}
