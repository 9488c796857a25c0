import { buildOpenApiV2, buildOpenApiV3, documentPaths } from './documents.ts'
import { encodeOpenApiV2 } from './gnostic.ts'
import type { CustomResourceDescription, Descriptions } from './types.ts'

export interface OpenApiOptions {
  /** Every served version of every CustomResourceDefinition. Make a new {@link OpenApi} when they change. */
  readonly customResources?: readonly CustomResourceDescription[] | undefined
  /** Called when a document is built, so that the texts need not stay in memory. Undefined: documents without texts. */
  readonly descriptions?: (() => Descriptions | undefined) | undefined
}

/**
 * The descriptions of the API that `/openapi/v2` and `/openapi/v3` serve. Bytes are shared: do not change them.
 * A document costs 2 to 20 ms when it is first asked for (the v2 ones 100 ms); the garbage collector takes it back when nobody holds it,
 * and it is built again.
 */
export interface OpenApi {
  /** Body of `/openapi/v3`: where each document is, under a URL that changes when the document does. */
  v3Index(): { readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>> }
  /** JSON of the document at `/openapi/v3/PATH`, such as `apis/apps/v1`; undefined when there is none. */
  v3(path: string): Uint8Array | undefined
  /** The `hash` parameter of the URL in the index, upper case; an ETag too. Undefined when there is no such document. */
  v3Hash(path: string): string | undefined
  /** JSON of the v2 document. */
  v2(): Uint8Array
  /** The same as `application/com.github.proto-openapi.spec.v2.v1.0+protobuf`. */
  v2Protobuf(): Uint8Array
  /** ETag of the v2 document, without quotes. */
  v2Hash(): string
}

/**
 * Of all documents without custom resources and texts. A test recomputes it and tells the new value when the documents
 * change; taking the hashes from it saves building every document for the index.
 */
export const DOCUMENTS_FINGERPRINT = '839438F165DE636F'

const encoder = new TextEncoder()

/**
 * Documents of the built-in kinds and of `customResources`, made when they are asked for. Cheap to create: the index and the
 * hashes need no document, so make a new one whenever a CustomResourceDefinition changes.
 */
export function createOpenApi({ customResources = [], descriptions }: OpenApiOptions = {}): OpenApi {
  const cached = new Map<string, WeakRef<Uint8Array>>()
  const paths = documentPaths(customResources)
  const base = DOCUMENTS_FINGERPRINT + (descriptions === undefined ? '' : ' with texts')
  const hashes = new Map(
    paths.map((path) => [path, fingerprint([base, path, JSON.stringify(customsOf(path, customResources))])]),
  )
  const keep = (key: string, build: () => Uint8Array): Uint8Array => {
    const known = cached.get(key)?.deref()
    if (known !== undefined) return known
    const bytes = build()
    cached.set(key, new WeakRef(bytes))
    return bytes
  }
  const source = (): Parameters<typeof buildOpenApiV2>[0] => ({ customResources, descriptions: descriptions?.() })
  return {
    v3Index: () => ({
      paths: Object.fromEntries(
        paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hashes.get(path)!}` }]),
      ),
    }),
    v3: (path) => {
      if (!hashes.has(path)) return undefined
      return keep(path, () => encoder.encode(JSON.stringify(buildOpenApiV3(path, source()))))
    },
    v3Hash: (path) => hashes.get(path),
    v2: () => keep('/v2', () => encoder.encode(JSON.stringify(buildOpenApiV2(source())))),
    v2Protobuf: () => keep('/v2 protobuf', () => encodeOpenApiV2(buildOpenApiV2(source()))),
    v2Hash: () => fingerprint([base, JSON.stringify(customResources)]),
  }
}

function customsOf(path: string, customs: readonly CustomResourceDescription[]): readonly CustomResourceDescription[] {
  return customs.filter(({ group, version }) => path === `apis/${group}/${version}`)
}

/** 64 bits of hash as upper-case hex: two FNV-1a with different starts. Not for security, only to tell documents apart. */
export function fingerprint(texts: readonly string[]): string {
  let a = 0x811c9dc5
  let b = 0x2f0b4a27
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      a = Math.imul(a ^ unit, 0x01000193)
      b = Math.imul(b ^ unit, 0x01000193) + 1
    }
    b ^= a >>> 7
  }
  return ((a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0')).toUpperCase()
}
