import type { ResourceInfo, SubresourceInfo } from '../schema/catalog.ts'
import { definitionOfKind } from '../schema/builtin.ts'
import { PATCH_DEFINITION } from './definition.ts'

/** One operation on one path, before a dialect writes it. Source: endpoints/installer.go of k8s.io/apiserver, v0.37.2. */
export interface Operation {
  readonly method: 'get' | 'head' | 'options' | 'put' | 'post' | 'patch' | 'delete'
  readonly operationId: string
  readonly description: string
  /** `x-kubernetes-action`. */
  readonly action: string | undefined
  readonly kind: { readonly group: string; readonly kind: string; readonly version: string } | undefined
  readonly tag: string
  /** Query parameters that belong to the operation, ordered. */
  readonly query: readonly string[]
  /** Definition of the body. */
  readonly body?: { readonly definition: string; readonly required: boolean } | undefined
  readonly consumes: readonly string[]
  readonly produces: readonly string[]
  /** Definition of the answer by status code; `string` for plain text. */
  readonly responses: Readonly<Record<string, string>>
}

export interface PathItem {
  readonly path: string
  /** Path and query parameters that all operations of the path share, ordered. */
  readonly parameters: readonly string[]
  readonly operations: readonly Operation[]
}

/** What operations are made from: a built-in resource, or one of a CustomResourceDefinition. */
export interface DescribedResource extends Pick<
  ResourceInfo,
  'group' | 'version' | 'resource' | 'kind' | 'listKind' | 'namespaced' | 'verbs' | 'subresources' | 'returnsDeleted'
> {
  /** Names of the definitions of the object and its list. */
  readonly definition: string
  readonly listDefinition: string
  readonly hasProtobuf: boolean
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const STATUS = `${META}.Status`
const WATCH_EVENT = `${META}.WatchEvent`

const WRITE = ['dryRun', 'fieldManager', 'fieldValidation']
const DELETE = [
  'dryRun',
  'gracePeriodSeconds',
  'ignoreStoreReadErrorWithClusterBreakingPotential',
  'orphanDependents',
  'propagationPolicy',
]
const LIST = [
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
]
const WATCH = ['allowWatchBookmarks', ...LIST, 'watch']

/** Query parameters of subresources that take their options from the URL. Source: core/v1 types.go, v0.37.2. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  PodAttachOptions: ['container', 'stderr', 'stdin', 'stdout', 'tty'],
  PodExecOptions: ['command', 'container', 'stderr', 'stdin', 'stdout', 'tty'],
  PodPortForwardOptions: ['ports'],
  PodProxyOptions: ['path'],
  ServiceProxyOptions: ['path'],
  NodeProxyOptions: ['path'],
}
const LOG_OPTIONS = [
  'container',
  'follow',
  'insecureSkipTLSVerifyBackend',
  'limitBytes',
  'previous',
  'sinceSeconds',
  'stream',
  'tailLines',
  'timestamps',
]
const PROXY_METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'] as const
const STREAM_METHODS = ['get', 'post'] as const

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]

/** Every path of one resource with its subresources and the deprecated `watch/` ones. */
export function pathsOfResource(resource: DescribedResource): PathItem[] {
  const { verbs, namespaced } = resource
  const items: PathItem[] = []
  const base = basePath(resource)
  const collection = namespaced ? `${base}/namespaces/{namespace}/${resource.resource}` : `${base}/${resource.resource}`
  const shared = namespaced ? ['namespace', 'pretty'] : ['pretty']
  const add = (path: string, parameters: readonly string[], operations: readonly (Operation | false)[]): void => {
    const present = operations.filter((operation) => operation !== false)
    if (present.length > 0) items.push({ path, parameters, operations: present })
  }
  add(collection, mergeSorted(collectionQuery(verbs), shared), [
    verbs.includes('deletecollection') && deleteCollectionOperation(resource),
    verbs.includes('list') && listOperation(resource),
    verbs.includes('create') && createOperation(resource),
  ])
  add(`${collection}/{name}`, ['name', ...shared], objectOperations(resource))
  for (const subresource of resource.subresources) {
    for (const item of subresourcePaths(resource, subresource, `${collection}/{name}`)) items.push(item)
  }
  if (verbs.includes('list') && namespaced) {
    const forAll = {
      ...listOperation(resource),
      operationId: operationId(resource, 'list', { suffix: 'ForAllNamespaces' }),
    }
    add(`${base}/${resource.resource}`, mergeSorted(WATCH, ['pretty']), [{ ...forAll, query: [] }])
  }
  if (verbs.includes('watch')) items.push(...watchPaths(resource, { base, shared }))
  return items
}

/** Upstream moves the parameters of a path's only operation to the path. */
function collectionQuery(verbs: readonly string[]): readonly string[] {
  if (verbs.length === 1 && verbs[0] === 'create') return WRITE
  return verbs.includes('list') && !verbs.includes('create') ? WATCH : []
}

function objectOperations(resource: DescribedResource): (Operation | false)[] {
  const { verbs, definition, returnsDeleted } = resource
  return [
    verbs.includes('delete') && {
      ...common(resource, 'delete', 'delete'),
      description: `delete ${article(resource.kind)}`,
      query: DELETE,
      body: { definition: `${META}.DeleteOptions`, required: false },
      responses: answers(returnsDeleted ? definition : STATUS, ['200', '202']),
    },
    ...readWriteOperations(resource, { verbs, definition, subresource: '' }),
  ]
}

interface Target {
  readonly verbs: readonly string[]
  readonly definition: string
  /** Empty for the object itself. */
  readonly subresource: string
  readonly kind?: { readonly group: string; readonly version: string; readonly kind: string } | undefined
}

function readWriteOperations(resource: DescribedResource, target: Target): (Operation | false)[] {
  const { verbs, definition, subresource, kind } = target
  const what = `${subresource === '' ? '' : `${subresource} of `}the specified ${resource.kind}`
  const suffix = capitalize(subresource)
  const override = kind === undefined ? {} : { kind: { group: kind.group, kind: kind.kind, version: kind.version } }
  const bodyQuery = subresource === 'finalize' ? [] : WRITE
  return [
    verbs.includes('get') && {
      ...common(resource, 'get', 'get', { id: 'read', suffix }),
      ...override,
      description: `read ${what}`,
      responses: answers(definition, ['200']),
    },
    verbs.includes('patch') && {
      ...common(resource, 'patch', 'patch', { suffix }),
      ...override,
      description: `partially update ${what}`,
      query: [...WRITE, 'force'],
      body: { definition: PATCH_DEFINITION, required: true },
      consumes: resource.hasProtobuf ? PATCH_TYPES : PATCH_TYPES.filter((type) => !type.includes('strategic')),
      responses: answers(definition, ['200', '201']),
    },
    verbs.includes('update') && {
      ...common(resource, 'put', 'put', { id: 'replace', suffix }),
      ...override,
      description: `replace ${what}`,
      query: bodyQuery,
      body: { definition, required: true },
      responses: answers(definition, ['200', '201']),
    },
  ]
}

function createOperation(resource: DescribedResource): Operation {
  const { definition, kind, verbs } = resource
  return {
    ...common(resource, 'post', 'post', { id: 'create' }),
    description: `create ${article(kind)}`,
    query: verbs.length === 1 ? [] : WRITE,
    body: { definition, required: true },
    responses: answers(definition, ['200', '201', '202']),
  }
}

function listOperation(resource: DescribedResource): Operation {
  return {
    ...common(resource, 'get', 'list'),
    operationId: operationId(resource, 'list'),
    description: `list or watch objects of kind ${resource.kind}`,
    query: resource.verbs.includes('create') ? WATCH : [],
    produces: streamTypes(resource),
    responses: answers(resource.listDefinition, ['200']),
  }
}

function deleteCollectionOperation(resource: DescribedResource): Operation {
  return {
    ...common(resource, 'delete', 'deletecollection'),
    operationId: operationId(resource, 'delete', { infix: 'Collection' }),
    description: `delete collection of ${resource.kind}`,
    query: mergeSorted(LIST, DELETE),
    body: { definition: `${META}.DeleteOptions`, required: false },
    responses: answers(STATUS, ['200']),
  }
}

function subresourcePaths(resource: DescribedResource, subresource: SubresourceInfo, objectPath: string): PathItem[] {
  const { name, kind } = subresource
  const { group, version } = subresource
  const path = `${objectPath}/${name}`
  const scope = resource.namespaced ? ['name', 'namespace'] : ['name']
  const options = OPTIONS[kind]
  if (options !== undefined) return connectPaths(resource, { subresource, path, scope, options })
  const definition = definitionOfKind(group, version, kind) ?? resource.definition
  if (subresource.verbs.includes('create')) {
    const operation = {
      ...common(resource, 'post', 'post', { id: 'create', suffix: capitalize(name) }),
      kind: { group, kind, version },
      description: `create ${name} of ${article(resource.kind)}`,
      body: { definition, required: true },
      responses: answers(definition, ['200', '201', '202']),
    }
    return [{ path, parameters: mergeSorted(WRITE, [...scope, 'pretty']), operations: [operation] }]
  }
  const target = { verbs: subresource.verbs, definition, subresource: name, kind: subresource }
  const operations = readWriteOperations(resource, target).filter((operation) => operation !== false)
  if (name === 'finalize') return [{ path, parameters: mergeSorted(WRITE, ['name', 'pretty']), operations }]
  if (name !== 'log') return [{ path, parameters: [...scope, 'pretty'], operations }]
  const [read] = operations
  const log = { ...read!, produces: ['text/plain', ...read!.produces], responses: { '200': 'string' } }
  return [{ path, parameters: mergeSorted(LOG_OPTIONS, [...scope, 'pretty']), operations: [log] }]
}

interface Connect {
  readonly subresource: SubresourceInfo
  readonly path: string
  readonly scope: readonly string[]
  readonly options: readonly string[]
}

function connectPaths(resource: DescribedResource, { subresource, path, scope, options }: Connect): PathItem[] {
  const { name, group, version, kind } = subresource
  const isProxy = name === 'proxy'
  const operation = (method: Operation['method'], suffix: string): Operation => ({
    ...common(resource, method, 'connect'),
    operationId: operationId(resource, 'connect', { infix: capitalize(method), suffix: capitalize(name) + suffix }),
    kind: { group, kind, version },
    description: `connect ${method.toUpperCase()} requests to ${name} of ${resource.kind}`,
    produces: ['*/*'],
    responses: { '200': 'string' },
  })
  const methods: readonly Operation['method'][] = isProxy ? PROXY_METHODS : STREAM_METHODS
  const item = {
    path,
    parameters: mergeSorted(options, scope),
    operations: methods.map((method) => operation(method, '')),
  }
  if (!isProxy) return [item]
  const operations = methods.map((method) => operation(method, 'WithPath'))
  return [item, { path: `${path}/{path}`, parameters: [...scope, 'path{}', 'path'], operations }]
}

function watchPaths(
  resource: DescribedResource,
  { base, shared }: { base: string; shared: readonly string[] },
): PathItem[] {
  const { namespaced, resource: plural } = resource
  const collection = namespaced ? `${base}/watch/namespaces/{namespace}/${plural}` : `${base}/watch/${plural}`
  const watch = (action: string, suffix: string): Operation => ({
    ...common(resource, 'get', action),
    operationId: operationId(resource, 'watch', { suffix }),
    description:
      action === 'watch'
        ? `watch changes to an object of kind ${resource.kind}`
        : `watch individual changes to a list of ${resource.kind}`,
    produces: streamTypes(resource),
    responses: answers(WATCH_EVENT, ['200']),
  })
  const items = [{ path: collection, parameters: mergeSorted(WATCH, shared), operations: [watch('watchlist', 'List')] }]
  if (resource.verbs.includes('get')) {
    const parameters = mergeSorted(WATCH, ['name', ...shared])
    items.push({ path: `${collection}/{name}`, parameters, operations: [watch('watch', '')] })
  }
  if (namespaced) {
    const operation = watch('watchlist', 'ListForAllNamespaces')
    items.push({ path: `${base}/watch/${plural}`, parameters: mergeSorted(WATCH, ['pretty']), operations: [operation] })
  }
  return items
}

function common(
  resource: DescribedResource,
  method: Operation['method'],
  action: string,
  { id = method, suffix = '' }: { id?: string; suffix?: string } = {},
): Operation {
  const { group, kind, version } = resource
  return {
    method,
    operationId: operationId(resource, id, { suffix }),
    description: '',
    action,
    kind: { group, kind, version },
    tag: tagOf(resource),
    query: [],
    consumes: ['*/*'],
    produces: mediaTypes(resource),
    responses: {},
  }
}

function mediaTypes({ hasProtobuf }: { hasProtobuf: boolean }): string[] {
  const types = ['application/json', 'application/yaml']
  return hasProtobuf ? [...types, 'application/vnd.kubernetes.protobuf'] : types
}

function streamTypes(resource: DescribedResource): string[] {
  const streams = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch']
  return [...mediaTypes(resource), ...(resource.hasProtobuf ? streams : streams.slice(0, 1))]
}

function answers(definition: string, codes: readonly string[]): Record<string, string> {
  return Object.fromEntries(codes.map((code) => [code, definition]))
}

/** `/api/v1` or `/apis/GROUP/VERSION`. */
export function basePath({ group, version }: { group: string; version: string }): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`
}

/** Such as `core_v1`, `apps_v1`, `rbacAuthorization_v1`. Source: pkg/controlplane openapi GetOperationIDAndTags, v1.37.2. */
export function tagOf({ group, version }: { group: string; version: string }): string {
  return `${groupName(group)}_${version}`
}

function groupName(group: string): string {
  if (group === '') return 'core'
  const [first, ...rest] = group.replace(/\.k8s\.io$/, '').split('.')
  return first! + rest.map((part) => capitalize(part)).join('')
}

/** Such as `listAppsV1NamespacedDeployment`. */
function operationId(
  resource: DescribedResource,
  verb: string,
  { infix = '', suffix = '' }: { infix?: string; suffix?: string } = {},
): string {
  const scope = resource.namespaced && !suffix.endsWith('ForAllNamespaces') ? 'Namespaced' : ''
  const groupVersion = capitalize(groupName(resource.group)) + capitalize(resource.version)
  return verb + groupVersion + infix + scope + resource.kind + suffix
}

function article(kind: string): string {
  return `${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind}`
}

export function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function mergeSorted(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])].sort()
}
