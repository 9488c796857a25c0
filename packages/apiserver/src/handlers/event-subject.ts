import { decodeProtobuf, isRecord, ProtobufError, type GroupVersionKind } from '@centaurus/api'
import type { RequestInfo } from '../request/request-info.ts'

/** A body as it was sent: JSON or protobuf. */
export interface SentBody {
  readonly body: Uint8Array
  readonly contentType?: string | undefined
}

/**
 * Name of the pod that an event is about, in the event's namespace: of a new one by its body, of one that is there by its name, which recorders make of the
 * pod's. Undefined when it is about something else, or can't be read.
 */
export function podOfEvent(info: RequestInfo, sent: SentBody): string | undefined {
  const { group, version, verb, name } = info
  if (verb !== 'create') return name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : undefined
  const event = decodeBody(sent, { group, version, kind: 'Event' })
  const subject = memberOf(event, group === '' ? 'involvedObject' : 'regarding')
  const pod = memberOf(subject, 'name')
  return memberOf(subject, 'kind') === 'Pod' && typeof pod === 'string' ? pod : undefined
}

/** Undefined for what can't be read: the server says so later. */
export function decodeBody({ body, contentType }: SentBody, defaultKind: GroupVersionKind): unknown {
  const isBinary = contentType?.startsWith('application/vnd.kubernetes.protobuf') === true
  try {
    return isBinary ? decodeProtobuf(body, { defaultKind }) : parseJson(body)
  } catch (error) {
    if (error instanceof ProtobufError) return undefined
    throw error
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}

/** A field of what may be an object. */
export function memberOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined
}
