import type { Connection, Received, Sent } from './connection.ts'
import { normalize, normalizeText } from './normalize.ts'

/** One answer, with what differs between any two runs taken out. */
export interface Observation {
  readonly request: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** JSON; the documents of a watch as a list; text; or a note for bytes. */
  readonly body: unknown
}

/** What one battery saw on one server, by the names of its steps, in their order. */
export type Trace = Map<string, Observation>

/** What a battery is given: sends, records, and hands back the answer as it was. */
export interface Recorder {
  /** Unique to this run, the same on both servers: for names. */
  readonly run: string
  readonly connection: Connection
  /** Sends and records under `step`. */
  call(step: string, sent: Sent): Promise<Answer>
  /** Sends without recording: set-up and clean-up. */
  prepare(sent: Sent): Promise<Answer>
  /** Records what was not a request, such as the output of a command. */
  note(step: string, body: unknown): void
}

export interface Answer {
  readonly status: number
  /** The body as JSON, or an empty object. */
  readonly object: AnswerObject
  readonly bytes: Buffer
}

export interface AnswerObject {
  metadata?: { name?: string; uid?: string; resourceVersion?: string; continue?: string; namespace?: string }
  items?: AnswerObject[]
  [field: string]: unknown
}

export type Battery = (recorder: Recorder) => Promise<void>

/** Headers that clients act on. */
const COMPARED_HEADERS = ['content-type', 'warning', 'retry-after', 'location', 'allow', 'www-authenticate'] as const

export function createRecorder(connection: Connection, run: string): Recorder & { readonly trace: Trace } {
  const trace: Trace = new Map()
  return {
    run,
    connection,
    trace,
    async call(step, sent) {
      const received = await sendOrExplain(connection, sent)
      if (trace.has(step)) throw new Error(`Two steps are called ${step}`)
      trace.set(step, observe(sent, received, run))
      return toAnswer(received)
    },
    prepare: async (sent) => toAnswer(await sendOrExplain(connection, sent)),
    note(step, body) {
      trace.set(step, { request: step, status: 0, headers: {}, body: normalize(body, run) })
    },
  }
}

async function sendOrExplain(connection: Connection, sent: Sent): Promise<Received> {
  try {
    return await connection.send(sent)
  } catch (error) {
    return { status: -1, headers: {}, bytes: Buffer.from(String(error)) }
  }
}

function observe(sent: Sent, received: Received, run: string): Observation {
  const headers: Record<string, string> = {}
  for (const name of COMPARED_HEADERS) {
    const value = received.headers[name]
    if (value !== undefined) headers[name] = normalizeText(value, run)
  }
  const request = normalizeText(`${sent.method} ${sent.path}`, run)
  return { request, status: received.status, headers, body: parseBody(received, run) }
}

function parseBody({ headers, bytes }: Received, run: string): unknown {
  const type = headers['content-type'] ?? ''
  if (type.includes('protobuf'))
    return `${bytes.length > 0 ? 'some' : 'no'} protobuf ${bytes.subarray(0, 4).toString('hex')}`
  const text = bytes.toString('utf8')
  if (!type.includes('json')) return normalizeText(text, run)
  const documents = text.split('\n').filter((line) => line.trim() !== '')
  try {
    return normalize(JSON.parse(text), run)
  } catch {
    return documents.map((line) => parseLine(line, run))
  }
}

function parseLine(line: string, run: string): unknown {
  try {
    return normalize(JSON.parse(line), run)
  } catch {
    return normalizeText(line, run)
  }
}

function toAnswer({ status, bytes }: Received): Answer {
  let object: AnswerObject = {}
  try {
    object = JSON.parse(bytes.toString('utf8')) as AnswerObject
  } catch {
    // not JSON: the caller looks at the bytes
  }
  return { status, object, bytes }
}
