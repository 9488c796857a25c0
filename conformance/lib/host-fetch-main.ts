import { request } from 'node:https'
import type { HostRequest, HostResponse } from './host-fetch.ts'

// Runs on a test host (in its network namespace) and makes requests for the test, which is not there.

const REQUEST_TIMEOUT_MS = 8_000

process.on('message', (message: HostRequest) => {
  fetchOnce(message).then(
    (response) => process.send!(response),
    (error: Error) => process.send!({ id: message.id, error: error.message } satisfies HostResponse),
  )
})
process.on('disconnect', () => process.exit(0))

function fetchOnce({ id, url, method, body, contentType, tls }: HostRequest): Promise<HostResponse> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }
    const call = request(url, { method, headers, ...tls, agent: false, timeout: REQUEST_TIMEOUT_MS }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => resolve({ id, status: answer.statusCode ?? 0, text }))
      answer.on('error', reject)
    })
    call.on('error', reject)
    call.on('timeout', () => call.destroy(new Error(`No answer from ${url} in ${REQUEST_TIMEOUT_MS} ms`)))
    call.end(body)
  })
}
