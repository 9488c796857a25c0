import { spawn, type ChildProcess } from 'node:child_process'
import type { NetworkNamespace } from '@centaurus/network/testing'

/** iperf3 and sockperf between two namespaces. */

const IPERF_SECONDS = 3
const SOCKPERF_SECONDS = 2
const IPERF_PORT = 5201
const SOCKPERF_PORT = 11_111
const LISTEN_MS_MAX = 5_000
const LISTEN_POLL_MS = 10
const COMMAND_MS_MAX = 60_000

export interface Ends {
  readonly client: NetworkNamespace
  readonly server: NetworkNamespace
  readonly serverIP: string
}

/** Gigabits a second of one TCP stream. */
export async function measureTcp({ client, server, serverIP }: Ends): Promise<number> {
  return withServer(server, { command: ['iperf3', '-s', '-1'], port: IPERF_PORT }, async () => {
    const output = await run(client, ['iperf3', '-c', serverIP, '-t', String(IPERF_SECONDS), '-J'])
    const report = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } }
    return report.end.sum_received.bits_per_second / 1e9
  })
}

export interface RoundTrips {
  readonly p50: number
  readonly p99: number
}

/** Microseconds of one round trip of 64 bytes, one after the other. */
export async function measureRoundTrips(
  { client, server, serverIP }: Ends,
  protocol: 'UDP' | 'TCP',
): Promise<RoundTrips> {
  const mode = protocol === 'TCP' ? ['--tcp'] : []
  const command = ['sockperf', 'server', ...mode, '-i', serverIP, '-p', String(SOCKPERF_PORT)]
  return withServer(server, { command, port: SOCKPERF_PORT }, async () => {
    const address = ['-i', serverIP, '-p', String(SOCKPERF_PORT), '-t', String(SOCKPERF_SECONDS), '-m', '64']
    const output = await run(client, ['sockperf', 'ping-pong', ...mode, '--full-rtt', ...address])
    return { p50: readPercentile(output, '50.000'), p99: readPercentile(output, '99.000') }
  })
}

function readPercentile(output: string, part: string): number {
  const line = output.split('\n').find((each) => each.includes(`percentile ${part}`))
  const value = Number(line?.split('=')[1])
  if (!(value > 0)) throw new Error(`Cannot find percentile ${part} in sockperf's report:\n${output}`)
  return value
}

async function withServer<Result>(
  namespace: NetworkNamespace,
  { command, port }: { readonly command: readonly string[]; readonly port: number },
  action: () => Promise<Result>,
): Promise<Result> {
  const server = start(namespace, command)
  try {
    await awaitListener(namespace, { port, server, name: command[0]! })
    return await action()
  } finally {
    const ended = server.exitCode !== null || new Promise((resolve) => server.once('exit', resolve))
    server.kill('SIGKILL')
    await ended
  }
}

async function awaitListener(
  namespace: NetworkNamespace,
  { port, server, name }: { readonly port: number; readonly server: ChildProcess; readonly name: string },
): Promise<void> {
  const deadline = performance.now() + LISTEN_MS_MAX
  while (namespace.exec(['ss', '-Hltun', `sport = :${port}`]).trim() === '') {
    if (performance.now() > deadline || server.exitCode !== null)
      throw new Error(`Cannot start ${name}: nothing listens on port ${port}`)
    await new Promise((resolve) => setTimeout(resolve, LISTEN_POLL_MS))
  }
}

/** A child is in the namespace of the thread that starts it. */
function start(namespace: NetworkNamespace, command: readonly string[]): ChildProcess {
  return namespace.run(() => spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] }))
}

async function run(namespace: NetworkNamespace, command: readonly string[]): Promise<string> {
  const child = start(namespace, command)
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS_MAX)
  let output = ''
  child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const code = await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${String(code)}:\n${output}`)
  return output
}
