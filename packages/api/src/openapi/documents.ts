import { KUBERNETES_VERSION } from '../generated/definitions.ts'
import { definitionOfKind } from '../schema/builtin.ts'
import { resources } from '../schema/catalog.ts'
import { CUSTOM_REFERENCES, customDefinitions, describeCustomResource } from './custom-resource.ts'
import { definitionSchema, groupVersions, referencesOf } from './definition.ts'
import { groupPath, groupVersionPath, versionPath } from './discovery-paths.ts'
import { pathsOfResource, type DescribedResource, type PathItem } from './operations.ts'
import { pathsV2, pathsV3 } from './paths.ts'
import type { CustomResourceDescription, Descriptions, Dialect, SchemaJson } from './types.ts'

/** What the documents are made of besides the built-in kinds. */
export interface OpenApiSource {
  readonly customResources?: readonly CustomResourceDescription[] | undefined
  /** Texts of built-in definitions and fields; without them the documents have none. */
  readonly descriptions?: Descriptions | undefined
}

const SECURITY = {
  BearerToken: { description: 'Bearer Token authentication', in: 'header', name: 'authorization', type: 'apiKey' },
}

/** Paths below `/openapi/v3/` that have a document: `version`, `api`, `api/v1`, `apis`, `apis/apps`, `apis/apps/v1` … */
export function documentPaths(customResources: readonly CustomResourceDescription[] = []): string[] {
  const paths = new Set(['version', 'api', 'apis'])
  for (const { group, version } of [...groupVersions(), ...customResources]) {
    if (group !== '') paths.add(`apis/${group}`)
    paths.add(group === '' ? `api/${version}` : `apis/${group}/${version}`)
  }
  return [...paths].sort()
}

/** The OpenAPI v3 document of one of {@link documentPaths}; undefined for any other path. */
export function buildOpenApiV3(path: string, source: OpenApiSource = {}): SchemaJson | undefined {
  const customs = source.customResources ?? []
  if (!documentPaths(customs).includes(path)) return undefined
  const [prefix, group = prefix === 'api' ? '' : undefined, version] = path.startsWith('api/')
    ? ['api', '', path.slice('api/'.length)]
    : path.split('/')
  const own = customs.filter((each) => each.group === group && each.version === version)
  const items = version === undefined ? rootItems(prefix!, group) : groupVersionItems({ group: group!, version }, own)
  const schemas = collectSchemas(items, { dialect: 'v3', customs: own, descriptions: source.descriptions })
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: KUBERNETES_VERSION },
    paths: pathsV3(items),
    components: { ...(Object.keys(schemas).length > 0 ? { schemas } : undefined), securitySchemes: SECURITY },
  }
}

/** The OpenAPI v2 document of the whole API. */
export function buildOpenApiV2({ customResources: customs = [], descriptions }: OpenApiSource = {}): SchemaJson {
  const items = [versionPath(), groupPath(''), groupPath(undefined)]
  const versions = [...groupVersions(), ...customs.map(({ group, version }) => ({ group, version }))]
  const groups = new Set(versions.map(({ group }) => group))
  groups.delete('')
  for (const group of groups) items.push(groupPath(group))
  for (const key of new Set(versions.map(({ group, version }) => `${group}/${version}`))) {
    const [group, version] = key.split('/') as [string, string]
    const own = customs.filter((each) => each.group === group && each.version === version)
    items.push(...groupVersionItems({ group, version }, own))
  }
  const parameters = new Map<string, SchemaJson>()
  const paths = pathsV2(items, parameters)
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: KUBERNETES_VERSION },
    paths,
    definitions: collectSchemas(items, { dialect: 'v2', customs, descriptions }),
    parameters: Object.fromEntries([...parameters].sort(([a], [b]) => (a < b ? -1 : 1))),
    securityDefinitions: SECURITY,
    security: [{ BearerToken: [] }],
  }
}

function rootItems(prefix: string, group: string | undefined): PathItem[] {
  return prefix === 'version' ? [versionPath()] : [groupPath(group)]
}

function groupVersionItems(
  groupVersion: { group: string; version: string },
  customs: readonly CustomResourceDescription[],
): PathItem[] {
  const described = [...builtinResources(groupVersion), ...customs.map((custom) => describeCustomResource(custom))]
  return [groupVersionPath(groupVersion), ...described.flatMap((resource) => pathsOfResource(resource))]
}

function builtinResources({ group, version }: { group: string; version: string }): DescribedResource[] {
  return resources()
    .filter((info) => info.group === group && info.version === version)
    .map((info) => ({
      ...info,
      definition: definitionOfKind(group, version, info.kind)!,
      listDefinition: definitionOfKind(group, version, info.listKind) ?? '',
      hasProtobuf: true,
    }))
}

interface SchemaOptions {
  readonly dialect: Dialect
  readonly customs: readonly CustomResourceDescription[]
  readonly descriptions: Descriptions | undefined
}

/** Definitions that the operations name, and those that these refer to, by name. */
function collectSchemas(items: readonly PathItem[], { dialect, customs, descriptions }: SchemaOptions): SchemaJson {
  const schemas = new Map<string, SchemaJson>()
  for (const custom of customs)
    for (const [name, schema] of customDefinitions(custom, dialect)) schemas.set(name, schema)
  const pending = new Set<string>(customs.length > 0 ? CUSTOM_REFERENCES : [])
  for (const { operations } of items) {
    for (const { body, responses } of operations) {
      if (body !== undefined) pending.add(body.definition)
      for (const definition of Object.values(responses)) pending.add(definition)
    }
  }
  // A set may grow while it is walked; each name is visited once.
  for (const name of pending) {
    if (schemas.has(name)) continue
    const schema = definitionSchema(name, { dialect, descriptions })
    if (schema === undefined) continue
    schemas.set(name, schema)
    for (const reference of referencesOf(name)) pending.add(reference)
  }
  return Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1)))
}
