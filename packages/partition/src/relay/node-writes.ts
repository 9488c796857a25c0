import {
  conflict,
  decodeProtobuf,
  encodeProtobuf,
  isProtobuf,
  isRecord,
  ORIGIN_ANNOTATION,
  ORIGIN_REVISION_ANNOTATION,
  ProtobufError,
  type KubeObject,
  type ProtobufObject,
  type Stored,
} from '@centaurus/api'
import type { ObjectMeta } from '@centaurus/api/meta/v1'
import type { ForwardedAnswer, ForwardedWrite } from '@centaurus/apiserver'
import { originOf } from './copies.ts'

/**
 * The body for the original's partition of what was written to its copy: the copy's resourceVersion, where the writer insists on one, becomes that of
 * the original, and what makes it a copy goes. Throws Conflict when the writer saw an older copy. Bodies in protobuf are left as they are: no node
 * agent insists on a version in one.
 */
export function toOriginal({ body, contentType, copy }: ForwardedWrite): Uint8Array {
  if (copy === undefined || body.byteLength === 0 || !isJson(contentType)) return body
  let value: unknown
  try {
    value = JSON.parse(textOf(body))
  } catch {
    return body // the owner says what is wrong
  }
  if (!isRecord(value)) return body
  const changed = [changeMember(value, 'metadata', copy), changeMember(value, 'preconditions', copy)]
  return changed.includes(true) ? Buffer.from(JSON.stringify(value)) : body
}

function isJson(contentType = 'application/json'): boolean {
  const type = contentType.split(';', 1)[0]!.trim()
  return type === 'application/json' || type === '*/*' || type.endsWith('-patch+json')
}

/** True when it changed something. */
function changeMember(value: Record<string, unknown>, member: string, copy: Stored<KubeObject>): boolean {
  const part = value[member]
  if (!isRecord(part)) return false
  let isChanged = false
  const version = part['resourceVersion']
  if (typeof version === 'string' && version !== '' && version !== '0') {
    if (version !== copy.metadata.resourceVersion) throw stale(copy)
    part['resourceVersion'] = String(originOf(copy)?.revision ?? version)
    isChanged = true
  }
  const annotations = part['annotations']
  if (isRecord(annotations)) {
    for (const name of [ORIGIN_ANNOTATION, ORIGIN_REVISION_ANNOTATION]) {
      if (annotations[name] === undefined) continue
      delete annotations[name]
      isChanged = true
    }
  }
  return isChanged
}

function stale(copy: Stored<KubeObject>): Error {
  const why = 'the object has been modified; please apply your changes to the latest version and try again'
  return conflict({ group: '', resource: copy.kind ?? '' }, copy.metadata.name, why)
}

const VERSION = /"resourceVersion":"(\d+)"/

/** Revision of the original in an answer that shows it; undefined in other answers. */
export function versionOf({ status, contentType, body }: ForwardedAnswer): number | undefined {
  if (status < 200 || status > 299) return undefined
  const found = isProtobuf(body) ? decodeShown(body)?.metadata?.resourceVersion : readVersion(contentType, body)
  return found === undefined || found === '' ? undefined : Number(found)
}

function readVersion(contentType: string, body: Uint8Array): string | undefined {
  return isJson(contentType) ? VERSION.exec(textOf(body))?.[1] : undefined
}

/**
 * The answer with the copy's resourceVersion in the place of the original's: in JSON the first one, since metadata comes first in what servers
 * send.
 */
export function withVersion(answer: ForwardedAnswer, revision: number): ForwardedAnswer {
  const { body } = answer
  if (!isProtobuf(body)) {
    return { ...answer, body: Buffer.from(textOf(body).replace(VERSION, `"resourceVersion":"${revision}"`)) }
  }
  const object = decodeShown(body)
  if (object === undefined) return answer
  const metadata = { ...object.metadata, resourceVersion: String(revision) }
  return { ...answer, body: encodeProtobuf({ ...object, metadata } as ProtobufObject) }
}

/** As kubelets ask for it. Undefined for what is not a kind that we know: nothing of it can be copied here. */
function decodeShown(body: Uint8Array): (ProtobufObject & { metadata?: ObjectMeta }) | undefined {
  try {
    return decodeProtobuf(body)
  } catch (error) {
    if (error instanceof ProtobufError) return undefined
    throw error
  }
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
}
