import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { createInterface } from 'node:readline'
import type { HostAnswer, HostCommand, HostEvent, HostRequest } from './host-fetch.ts'

// Runs on a test host (in its network namespace) and makes requests for the test, which is not there.

const REQUEST_TIMEOUT_MS = 5_000
/** A watch that says nothing for so long is given up, as clients do that see no answer to their pings; something is written all the time. */
const WATCH_SILENCE_MS = 15_000

const watches = new Map<number, ClientRequest>()

process.on('message', (command: HostCommand) => {
  const { id } = command
  if (command.type === 'stop') watches.get(id)?.destroy(new Error('It was stopped'))
  else if (command.type === 'watch') watch(id, command)
  else {
    fetchOnce(command).then(
      (answer) => tell({ type: 'answer', id, ...answer }),
      (error: Error) => tell({ type: 'error', id, error: error.message }),
    )
  }
})
process.on('disconnect', () => process.exit(0))

function tell(event: HostEvent): void {
  if (process.connected) process.send!(event)
}

function open({ url, method, body, contentType, tls }: HostRequest, timeout: number): ClientRequest {
  const headers = body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }
  const call = request(url, { method, headers, ...tls, agent: false, timeout })
  call.on('timeout', () => call.destroy(new Error(`No answer from ${url} in ${timeout} ms`)))
  call.end(body)
  return call
}

function fetchOnce(options: HostRequest): Promise<HostAnswer> {
  return new Promise((resolve, reject) => {
    const call = open(options, REQUEST_TIMEOUT_MS)
    call.on('error', reject)
    call.on('response', (answer: IncomingMessage) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (text += chunk))
      const asksAgain = answer.headers['retry-after'] !== undefined
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text, asksAgain }))
      answer.on('error', reject)
    })
  })
}

function watch(id: number, options: HostRequest): void {
  const call = open(options, WATCH_SILENCE_MS)
  watches.set(id, call)
  let isOver = false
  const end = (event: HostEvent): void => {
    if (isOver) return
    isOver = true
    watches.delete(id)
    tell(event)
  }
  call.on('error', (error) => end({ type: 'error', id, error: error.message }))
  call.on('response', (answer: IncomingMessage) => {
    answer.on('error', (error) => end({ type: 'error', id, error: error.message }))
    if (answer.statusCode !== 200) {
      end({ type: 'answer', id, status: answer.statusCode ?? 0, text: '', asksAgain: false })
      return void answer.resume()
    }
    // readline tells of its stream's errors once more
    createInterface(answer)
      .on('line', (line) => tell({ type: 'line', id, line }))
      .on('error', () => {})
    answer.on('end', () => end({ type: 'end', id }))
  })
}
