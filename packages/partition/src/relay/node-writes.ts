import {
  conflict,
  isRecord,
  ORIGIN_ANNOTATION,
  ORIGIN_REVISION_ANNOTATION,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
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
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
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
  if (status < 200 || status > 299 || !isJson(contentType)) return undefined
  const found = VERSION.exec(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  return found === null ? undefined : Number(found[1])
}

/** The answer with the copy's resourceVersion in the place of the original's: the first one, since metadata comes first in what servers send. */
export function withVersion(answer: ForwardedAnswer, revision: number): ForwardedAnswer {
  const { body } = answer
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  return { ...answer, body: Buffer.from(text.replace(VERSION, `"resourceVersion":"${revision}"`)) }
}
