import type { SchemaJson } from './types.ts'

const BOOLEANS = new Set([
  'allowWatchBookmarks',
  'follow',
  'force',
  'ignoreStoreReadErrorWithClusterBreakingPotential',
  'insecureSkipTLSVerifyBackend',
  'orphanDependents',
  'previous',
  'sendInitialEvents',
  'stderr',
  'stdin',
  'stdout',
  'timestamps',
  'tty',
  'watch',
])

const INTEGERS = new Set([
  'gracePeriodSeconds',
  'limit',
  'limitBytes',
  'ports',
  'sinceSeconds',
  'tailLines',
  'timeoutSeconds',
])

/** `path{}` is the rest of a proxied path, `path` the query parameter of the same name. */
const IN_PATH = new Set(['name', 'namespace', 'path{}'])

/** kubectl looks for these among an operation's own parameters in v2, so they are not shared by reference. */
const NEVER_SHARED = new Set(['dryRun', 'fieldValidation', 'name'])

function typeOf(name: string): string {
  if (BOOLEANS.has(name)) return 'boolean'
  return INTEGERS.has(name) ? 'integer' : 'string'
}

function place(name: string): { in: string; name: string; required?: true } {
  const bare = name.replace('{}', '')
  return IN_PATH.has(name) ? { in: 'path', name: bare, required: true } : { in: 'query', name: bare }
}

export function parameterV3(name: string): SchemaJson {
  return { ...place(name), schema: { type: typeOf(name), uniqueItems: true } }
}

/** The parameter, or a reference to the shared one, which is noted in `shared`. */
export function parameterV2(name: string, shared: Map<string, SchemaJson>): SchemaJson {
  const parameter = { ...place(name), type: typeOf(name), uniqueItems: true }
  if (NEVER_SHARED.has(name)) return parameter
  const key = name.replace('{}', '-in-path')
  shared.set(key, parameter)
  return { $ref: `#/parameters/${key}` }
}
