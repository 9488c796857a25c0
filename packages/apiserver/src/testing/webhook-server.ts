import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { text } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'
import type { AdmissionRequest } from '@centaurus/api/admission/v1'
import type { ClusterCertificates } from '../certificates/cluster-certificates.ts'

/** What a webhook answers, without the uid; a number is an HTTP error; `silence` never answers. */
export type WebhookAnswer = Readonly<Record<string, unknown>> | number | 'silence'

export interface WebhookServer {
  readonly port: number
  /** Base64 of the PEM that its certificate is signed by. */
  readonly caBundle: string
  /** What it was asked at each path, in order. */
  asked(path: string): AdmissionRequest[]
  /** How many connections were made to it. */
  readonly connections: number
  /** Says what it answers at a path. */
  answer(path: string, answer: Answerer): void
  close(): Promise<void>
}

export interface WebhookServerOptions {
  /** Of its certificate, beside `localhost` and 127.0.0.1. */
  readonly names?: readonly string[] | undefined
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string | undefined
}

/** A webhook over HTTPS on a free port. It allows what it was not told of. */
export async function startWebhookServer(
  certificates: ClusterCertificates,
  { names = [], host = '127.0.0.1' }: WebhookServerOptions = {},
): Promise<WebhookServer> {
  const alternativeNames = ['127.0.0.1', 'localhost', ...names]
  const serving = await certificates.server(`webhook-${names.join('-')}`, { commonName: 'webhook', alternativeNames })
  const asked = new Map<string, AdmissionRequest[]>()
  const answers = new Map<string, Answerer>()
  let connections = 0
  const server: Server = createServer({ key: serving.keyPem, cert: serving.certificatePem })
  server.on('secureConnection', () => connections++)
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const path = new URL(incoming.url ?? '/', 'https://webhook').pathname
    const review = JSON.parse(await text(incoming)) as { apiVersion: string; request: AdmissionRequest }
    asked.set(path, [...(asked.get(path) ?? []), review.request])
    const answer = tryAnswer(answers.get(path), review.request)
    if (answer === 'silence') return
    if (typeof answer === 'number') return void outgoing.writeHead(answer).end('broken')
    const response = { uid: review.request.uid, ...answer }
    outgoing.end(JSON.stringify({ apiVersion: review.apiVersion, kind: 'AdmissionReview', response }))
  }
  server.on('request', (incoming, outgoing) => void serve(incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return {
    port: (server.address() as AddressInfo).port,
    caBundle: Buffer.from(certificates.authority.certificatePem).toString('base64'),
    asked: (path) => asked.get(path) ?? [],
    get connections() {
      return connections
    },
    answer: (path, answer) => void answers.set(path, answer),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

type Answerer = (request: AdmissionRequest) => WebhookAnswer

/** What a test's own checks have against the request is told as a refusal. */
function tryAnswer(answer: Answerer | undefined, request: AdmissionRequest): WebhookAnswer {
  try {
    return answer?.(request) ?? { allowed: true }
  } catch (error) {
    return { allowed: false, status: { message: String(error) } }
  }
}

/** A patch as a webhook sends it. */
export function jsonPatch(...operations: readonly object[]): WebhookAnswer {
  const patch = Buffer.from(JSON.stringify(operations)).toString('base64')
  return { allowed: true, patchType: 'JSONPatch', patch }
}
