import type { Readable } from 'node:stream'

import type { StreamRequest, StreamTarget } from '@centaurus/node'
import {
  exitStatus,
  servePortForward,
  serveRemoteCommand,
  type ForwardedPort,
  type RemoteCommandSession,
} from '@centaurus/streams'

import { runScript, runSimulatedCommand, type ShellContext } from './simulated-shell.ts'

/** Bytes of standard input that a command takes. */
const STDIN_BYTES_MAX = 1024 * 1024
const NOTICE = 'This container is simulated: no process runs in it.'

/** The container or sandbox at the other end. */
export interface StreamSubject {
  readonly name: string
  readonly environment: ReadonlyMap<string, string>
  /** What it has logged so far. */
  readonly log: string
  /** Resolves with the exit code when the container ends; never for a sandbox. */
  readonly ended: Promise<number>
}

/** Answers exec with a small shell, attach with the log until the container ends, and forwarded ports with a page that says what they are. */
export function simulateStream(request: StreamRequest, subject: StreamSubject): StreamTarget {
  switch (request.kind) {
    case 'exec':
      return {
        kind: 'serve',
        serve: async (upgraded) => runCommand(await serveRemoteCommand(upgraded, request), request, subject),
      }
    case 'attach':
      return { kind: 'serve', serve: async (upgraded) => attach(await serveRemoteCommand(upgraded, request), subject) }
    case 'portForward':
      return {
        kind: 'serve',
        serve: async (upgraded) => {
          await servePortForward(upgraded, request.ports, (forwarded) => answerPort(forwarded, subject))
        },
      }
  }
}

async function runCommand(
  session: RemoteCommandSession,
  { command, tty }: Extract<StreamRequest, { kind: 'exec' }>,
  subject: StreamSubject,
): Promise<void> {
  const context = { environment: subject.environment, hostname: subject.name }
  const isShell = /(^|\/)(ba|a)?sh$/.test(command[0] ?? '') && command.length === 1
  if (isShell && tty) return converse(session, context)
  const needsInput = isShell || (command[0] ?? '').endsWith('cat')
  const stdin = needsInput && session.stdin !== undefined ? await readAll(session.stdin) : ''
  session.stdin?.resume()
  const result = runSimulatedCommand(command, { ...context, stdin })
  session.stdout?.write(result.stdout)
  ;(session.stderr ?? session.stdout)?.write(result.stderr)
  await session.finish(exitStatus(result.exitCode))
}

/** A terminal: what is typed is echoed, and each line is run. */
async function converse(session: RemoteCommandSession, context: Omit<ShellContext, 'stdin'>): Promise<void> {
  const write = (text: string): unknown => session.stdout?.write(text.replaceAll('\n', '\r\n'))
  write(`${NOTICE} Its shell knows echo, env, hostname, exit and little more.\n$ `)
  let line = ''
  let exitCode = 0
  for await (const chunk of session.stdin ?? []) {
    for (const character of (chunk as Buffer).toString()) {
      if (character === '\u0004' && line === '') return session.finish(exitStatus(exitCode))
      if (character === '\u0003') line = ''
      if (character === '\u007f') line = line.slice(0, -1)
      else if (character >= ' ' && line.length < STDIN_BYTES_MAX) line += character
      if (character !== '\r' && character !== '\n') {
        if (character >= ' ' && character !== '\u007f') write(character)
        continue
      }
      const result = runScript(line, { ...context, stdin: '' })
      exitCode = result.exitCode
      write(`\n${result.stdout}${result.stderr}`)
      if (/^\s*exit\b/.test(line)) return session.finish(exitStatus(exitCode))
      line = ''
      write('$ ')
    }
  }
  await session.finish(exitStatus(exitCode))
}

async function attach(session: RemoteCommandSession, subject: StreamSubject): Promise<void> {
  session.stdin?.resume()
  session.stdout?.write(subject.log)
  const gone = new Promise<number>((resolve) =>
    session.signal.addEventListener('abort', () => resolve(0), { once: true }),
  )
  await session.finish(exitStatus(await Promise.race([subject.ended, gone])))
}

/** One answer to whatever comes first, in HTTP when that was asked. */
function answerPort({ port, data, error }: ForwardedPort, { name }: StreamSubject): void {
  error.end()
  data.on('error', () => data.destroy())
  data.once('data', (first: Buffer) => {
    const body = `Pod ${name} is simulated: nothing listens on port ${port}\n`
    const isHttp = /^[A-Z]+ \S+ HTTP\/1\.[01]\r?\n/.test(first.toString('latin1', 0, 1024))
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`
    data.end(isHttp ? head + body : body)
    data.resume()
  })
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size <= STDIN_BYTES_MAX) chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString()
}
