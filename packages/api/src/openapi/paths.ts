import type { Operation, PathItem } from './operations.ts'
import { parameterV2, parameterV3 } from './parameters.ts'
import { refPrefix, type SchemaJson } from './types.ts'

const RESPONSE_TEXTS: Readonly<Record<string, string>> = { '200': 'OK', '201': 'Created', '202': 'Accepted' }

/** `paths` of a v3 document. */
export function pathsV3(items: readonly PathItem[]): SchemaJson {
  return toPaths(items, {
    parameters: (names) => names.map((name) => parameterV3(name)),
    operation: (operation) => operationV3(operation),
  })
}

/** `paths` of the v2 document; the parameters that it shares are added to `shared`. */
export function pathsV2(items: readonly PathItem[], shared: Map<string, SchemaJson>): SchemaJson {
  return toPaths(items, {
    parameters: (names) => names.map((name) => parameterV2(name, shared)),
    operation: (operation) => operationV2(operation, shared),
  })
}

interface Writer {
  readonly parameters: (names: readonly string[]) => SchemaJson[]
  readonly operation: (operation: Operation) => SchemaJson
}

function toPaths(items: readonly PathItem[], writer: Writer): SchemaJson {
  const paths: Record<string, SchemaJson> = {}
  for (const { path, parameters, operations } of [...items].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const item: Record<string, unknown> = {}
    for (const operation of operations) item[operation.method] = writer.operation(operation)
    if (parameters.length > 0) item['parameters'] = writer.parameters(parameters)
    paths[path] = item
  }
  return paths
}

function operationV3(operation: Operation): SchemaJson {
  const { query, body, consumes, produces, responses } = operation
  const parameters = query.map((name) => parameterV3(name))
  const content = (definition: string, types: readonly string[]): SchemaJson =>
    Object.fromEntries(types.map((type) => [type, { schema: schemaOf(definition, 'v3') }]))
  return {
    ...head(operation),
    ...(parameters.length === 0 ? undefined : { parameters }),
    ...(body === undefined
      ? undefined
      : {
          requestBody: {
            content: content(body.definition, consumes),
            ...(body.required ? { required: true } : undefined),
          },
        }),
    responses: responsesOf(responses, (definition) => ({ content: content(definition, produces) })),
    ...tail(operation),
  }
}

function operationV2(operation: Operation, shared: Map<string, SchemaJson>): SchemaJson {
  const { query, body, consumes, produces, responses } = operation
  const parameters = query.map((name) => parameterV2(name, shared))
  if (body !== undefined) {
    const required = body.required ? { required: true } : undefined
    parameters.unshift({ in: 'body', name: 'body', ...required, schema: schemaOf(body.definition, 'v2') })
  }
  return {
    ...head(operation),
    consumes,
    produces,
    schemes: ['https'],
    ...(parameters.length === 0 ? undefined : { parameters }),
    responses: responsesOf(responses, (definition) => ({ schema: schemaOf(definition, 'v2') })),
    ...tail(operation),
  }
}

function head({ description, operationId, tag }: Operation): SchemaJson {
  return { description, operationId, tags: [tag] }
}

function tail({ action, kind }: Operation): SchemaJson {
  return {
    ...(action === undefined ? undefined : { 'x-kubernetes-action': action }),
    ...(kind === undefined ? undefined : { 'x-kubernetes-group-version-kind': kind }),
  }
}

function responsesOf(responses: Operation['responses'], body: (definition: string) => SchemaJson): SchemaJson {
  const result: Record<string, SchemaJson> = {}
  for (const [code, definition] of Object.entries(responses)) {
    result[code] = { description: RESPONSE_TEXTS[code], ...body(definition) }
  }
  result['401'] = { description: 'Unauthorized' }
  return result
}

function schemaOf(definition: string, dialect: 'v2' | 'v3'): SchemaJson {
  return definition === 'string' ? { type: 'string' } : { $ref: refPrefix(dialect) + definition }
}
