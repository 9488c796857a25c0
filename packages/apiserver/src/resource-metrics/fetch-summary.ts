import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Backend } from '../proxy/backend.ts'

/** A node full of pods says less; one that says more is not listened to. */
const SUMMARY_BYTES_MAX = 16 * 1024 * 1024

/** What a node's agent, or a partition for it, answers to a GET. Throws when that is not 200. */
export function fetchSummary({ url, tls }: Backend, signal: AbortSignal): Promise<string> {
  const request = url.protocol === 'http:' ? requestHttp : requestHttps
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'GET', agent: false, signal, ...tls })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      if (response.statusCode !== 200) {
        response.destroy()
        return reject(new Error(`GET ${url.pathname} was answered with ${response.statusCode}`))
      }
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        bytes += chunk.byteLength
        if (bytes > SUMMARY_BYTES_MAX)
          response.destroy(new Error(`The summary is longer than ${SUMMARY_BYTES_MAX} bytes`))
      })
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    })
    outgoing.end()
  })
}
