import { basePath, capitalize, tagOf, type Operation, type PathItem } from './operations.ts'

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']

function read(path: string, operation: Pick<Operation, 'operationId' | 'description' | 'tag' | 'responses'>): PathItem {
  const rest = {
    method: 'get',
    action: undefined,
    kind: undefined,
    query: [],
    consumes: TYPES,
    produces: TYPES,
  } as const
  return { path, parameters: [], operations: [{ ...rest, ...operation }] }
}

/** The path that lists the resources of a group version. */
export function groupVersionPath(groupVersion: { group: string; version: string }): PathItem {
  const tag = tagOf(groupVersion)
  return read(`${basePath(groupVersion)}/`, {
    operationId: `get${tag
      .split('_')
      .map((part) => capitalize(part))
      .join('')}APIResources`,
    description: 'get available resources',
    tag,
    responses: { '200': `${META}.APIResourceList` },
  })
}

/** The path that tells the versions of a group; of the core group and of all groups for `''` and undefined. */
export function groupPath(group: string | undefined): PathItem {
  if (group === undefined) {
    const responses = { '200': `${META}.APIGroupList` }
    return read('/apis/', {
      operationId: 'getAPIVersions',
      description: 'get available API versions',
      tag: 'apis',
      responses,
    })
  }
  if (group === '') {
    const responses = { '200': `${META}.APIVersions` }
    return read('/api/', {
      operationId: 'getCoreAPIVersions',
      description: 'get available API versions',
      tag: 'core',
      responses,
    })
  }
  const tag = tagOf({ group, version: '' }).slice(0, -1)
  const responses = { '200': `${META}.APIGroup` }
  return read(`/apis/${group}/`, {
    operationId: `get${capitalize(tag)}APIGroup`,
    description: 'get information of a group',
    tag,
    responses,
  })
}

export function versionPath(): PathItem {
  const item = read('/version/', {
    operationId: 'getCodeVersion',
    description: 'get the version information for this server',
    tag: 'version',
    responses: { '200': 'io.k8s.apimachinery.pkg.version.Info' },
  })
  const json = ['application/json']
  return { ...item, operations: item.operations.map((operation) => ({ ...operation, consumes: json, produces: json })) }
}
