import type { DefinitionFacts, FieldFacts } from './definitions.ts'
import type { OpenApiDocument, OpenApiSchema } from './openapi.ts'

/** Packages whose kinds clients and webhooks exchange though the published description does not list them. */
const PACKAGES = /^io\.k8s\.(?:api\.admission\.v1|api\.apidiscovery\.v2|apimachinery\.pkg\.apis\.meta\.v1)\.\w+$/

const WIRE_DEFINITIONS: Readonly<Record<string, string>> = {
  t: 'io.k8s.apimachinery.pkg.apis.meta.v1.Time',
  T: 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime',
  x: 'io.k8s.apimachinery.pkg.runtime.RawExtension',
}

const SCALARS: Readonly<Record<string, OpenApiSchema>> = {
  s: { type: 'string' },
  i: { type: 'integer', format: 'int32' },
  l: { type: 'integer', format: 'int64' },
  d: { type: 'number', format: 'double' },
  b: { type: 'boolean' },
  y: { type: 'string', format: 'byte' },
  u: { type: 'string' },
  v: { type: 'array', items: { type: 'string' } },
}

/** The document with schemas for the kinds of these packages too, made from the Go structs, so that they get types as well. */
export function withUnpublished(document: OpenApiDocument, definitions: readonly DefinitionFacts[]): OpenApiDocument {
  const extra = definitions
    .filter(({ name, published }) => !published && PACKAGES.test(name))
    .map((definition) => [definition.name, toSchema(definition)] as const)
  return { ...document, definitions: { ...document.definitions, ...Object.fromEntries(extra) } }
}

function toSchema({ fields, kinds }: DefinitionFacts): OpenApiSchema {
  const isRequired = ({ omitEmpty, pointer }: FieldFacts): boolean => !omitEmpty && !pointer
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field.json, typeSchema(field.type)])),
    required: fields.filter(isRequired).map((field) => field.json),
    ...(kinds.length > 0 ? { 'x-kubernetes-group-version-kind': [...kinds] } : undefined),
  }
}

function typeSchema(code: string): OpenApiSchema {
  if (code.startsWith('[')) return { type: 'array', items: typeSchema(code.slice(1)) }
  if (code.startsWith('{')) return { type: 'object', additionalProperties: typeSchema(code.slice(1)) }
  const reference = code.startsWith('$') ? code.slice(1) : WIRE_DEFINITIONS[code]
  if (reference !== undefined) return { $ref: `#/definitions/${reference}` }
  const scalar = SCALARS[code]
  if (scalar === undefined) throw new Error(`Cannot name the type ${code}`)
  return scalar
}
