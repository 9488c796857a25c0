import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import assert from 'node:assert/strict'
import { KUBERNETES_VERSION } from '../generated/definitions.ts'
import { buildOpenApiV2, buildOpenApiV3 } from './documents.ts'

type Json = Record<string, unknown>

/** Folder of the documents that upstream publishes for the release. */
function publishedDir(): string | undefined {
  try {
    const module = `k8s.io/kubernetes@${KUBERNETES_VERSION}`
    const output = execFileSync('go', ['mod', 'download', '-json', module], { cwd: '/', encoding: 'utf8' })
    return join((JSON.parse(output) as { Dir: string }).Dir, 'api', 'openapi-spec')
  } catch {
    return undefined
  }
}

/** Paths that upstream serves and we do not describe: node logs of the API server's host, and OIDC discovery. */
const NOT_OURS = /^\/(?:logs|openid|\.well-known)\//

const directory = publishedDir()
const skip = directory === undefined ? '`go` is missing, which fetches the published documents' : false

/** Takes away texts, what we do not offer (CBOR, sharded lists), and differences of writing that mean the same. */
function comparable(value: unknown, parameters: Json): unknown {
  if (Array.isArray(value)) return comparableList(value, parameters)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value as Json)
    .filter(([key, member]) => !(key === 'description' && typeof member === 'string') && !key.includes('cbor'))
    .map(([key, member]) => [key, comparable(member, parameters)] as const)
  const object = Object.fromEntries(entries)
  const only = object['allOf'] as unknown[] | undefined
  return only?.length === 1 && entries.length === 1 ? only[0] : object
}

function comparableList(list: readonly unknown[], parameters: Json): unknown {
  if (list.every((item) => typeof item === 'string')) return list.filter((item) => !item.includes('cbor')).sort()
  const items = list
    .map((item) => {
      const reference = (item as Json)['$ref']
      const isParameter = typeof reference === 'string' && reference.startsWith('#/parameters/')
      return comparable(isParameter ? parameters[reference.slice('#/parameters/'.length)] : item, parameters)
    })
    .filter((item) => (item as Json)['name'] !== 'shardSelector')
  return items.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))
}

function sortKey(value: unknown): string {
  const { name, in: place } = value as Json
  return name === undefined ? JSON.stringify(value) : `${place as string} ${name as string}`
}

/** Every group version that upstream's binary registers is a kind of these two; ours are those that are served. */
function withoutUniversalKinds(schemas: Json): Json {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      const { 'x-kubernetes-group-version-kind': kinds, ...rest } = schema as Json
      return [name, /\.(?:DeleteOptions|WatchEvent)$/.test(name) || kinds === undefined ? rest : schema]
    }),
  )
}

function assertSame(ours: Json, theirs: Json): void {
  const ourParameters = (ours['parameters'] ?? {}) as Json
  const theirParameters = (theirs['parameters'] ?? {}) as Json
  const schemas = (document: Json): Json =>
    (document['definitions'] ?? (document['components'] as Json)['schemas'] ?? {}) as Json
  const paths = Object.entries(theirs['paths'] as Json).filter(([path]) => !NOT_OURS.test(path))
  assert.deepEqual(Object.keys(ours['paths'] as Json).sort(), paths.map(([path]) => path).sort())
  for (const [path, item] of paths) {
    assert.deepEqual(comparable((ours['paths'] as Json)[path], ourParameters), comparable(item, theirParameters), path)
  }
  const expected = comparable(withoutUniversalKinds(schemas(theirs)), {}) as Json
  assert.deepEqual(comparable(withoutUniversalKinds(schemas(ours)), {}), expected)
}

describe('our OpenAPI documents say what the published ones say', { skip }, () => {
  it('in version 2', () => {
    const theirs = JSON.parse(readFileSync(join(directory!, 'swagger.json'), 'utf8')) as Json
    assertSame(buildOpenApiV2(), theirs)
  })

  it('in version 3, for every group version', () => {
    for (const file of readdirSync(join(directory!, 'v3'))) {
      const path = file.replace(/_openapi\.json$/, '').replaceAll('__', '/')
      if (NOT_OURS.test(`/${path}/`)) continue
      const theirs = JSON.parse(readFileSync(join(directory!, 'v3', file), 'utf8')) as Json
      assertSame(buildOpenApiV3(path) as Json, theirs)
    }
  })
})
