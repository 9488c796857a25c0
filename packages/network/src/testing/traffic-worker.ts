import { parentPort, workerData } from 'node:worker_threads'
import { NetworkNamespace } from './network-namespace.ts'
import { type Poll, pollSockets, Socket } from './sockets.ts'
import type { Flow, FlowReport, TrafficOrders } from './traffic.ts'

/** The thread behind `startTraffic`: never yields to its event loop, so it keeps on while the main thread does long synchronous work. */

const MESSAGE_BYTES = 8
/** A datagram of each flow so often. */
const PERIOD_MS = 2
const LAST_ANSWERS_MS_MAX = 3_000
const CONNECT_MS_MAX = 10_000
const QUIET_MS = 100

interface RunningFlow {
  readonly flow: Flow
  readonly server: Socket
  readonly client: Socket
  accepted: Socket | undefined
  sent: number
  readonly answers: Set<number>
  arrived: number
  broken: string | undefined
}

const { flows, signal } = workerData as TrafficOrders
const flag = new Int32Array(signal)
const namespaces = new Map<string, NetworkNamespace>()

try {
  const running = flows.map(open)
  connectAll(running)
  Atomics.store(flag, 0, 1)
  Atomics.notify(flag, 0)
  while (Atomics.load(flag, 0) !== 2) {
    const next = performance.now() + PERIOD_MS
    for (const each of running) sendOne(each)
    do serve(running, Math.max(0, Math.ceil(next - performance.now())))
    while (performance.now() < next)
  }
  awaitLast(running)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
  parentPort!.postMessage(running.map(report))
} catch (error) {
  Atomics.store(flag, 0, 3)
  Atomics.notify(flag, 0)
  throw error
}

function namespace(name: string): NetworkNamespace {
  const known = namespaces.get(name) ?? NetworkNamespace.open(name)
  namespaces.set(name, known)
  return known
}

function open(flow: Flow): RunningFlow {
  const address = { ip: '0.0.0.0', port: flow.port }
  const kind = flow.protocol === 'TCP' ? 'tcp' : 'udp'
  const server = Socket[kind](namespace(flow.server)).takeManyPackets().bind(address)
  if (kind === 'tcp') server.listen()
  const client = Socket[kind](namespace(flow.client)).takeManyPackets()
  return { flow, server, client, accepted: undefined, sent: 0, answers: new Set(), arrived: 0, broken: undefined }
}

/** Flows that may pass are established before anything is counted. */
function connectAll(running: readonly RunningFlow[]): void {
  for (const { client, flow } of running) client.connect({ ip: flow.ip, port: flow.port })
  const streams = running.filter(({ flow }) => flow.protocol === 'TCP' && flow.expected === 'lossless')
  const deadline = performance.now() + CONNECT_MS_MAX
  while (streams.some(({ accepted }) => accepted === undefined)) {
    serve(running, 20)
    if (performance.now() > deadline) {
      const missing = streams.filter(({ accepted }) => accepted === undefined).map(({ flow }) => flow.name)
      throw new Error(`Cannot connect: ${missing.join(', ')}`)
    }
  }
  for (const each of running) if (each.flow.protocol === 'UDP' && each.flow.expected === 'lossless') sendOne(each)
}

function sendOne(each: RunningFlow): void {
  const isStream = each.flow.protocol === 'TCP'
  if (each.broken !== undefined || (isStream && each.flow.expected === 'never')) return
  const message = Buffer.alloc(MESSAGE_BYTES)
  message.writeDoubleLE(each.sent, 0)
  const result = each.client.send(message)
  if (result === MESSAGE_BYTES) each.sent++
  // a stream whose buffers are full waits; a datagram that was refused says what a denied flow may hear
  else if (result !== 'EAGAIN' && each.flow.expected === 'lossless') each.broken = `send: ${result}`
}

function serve(running: readonly RunningFlow[], timeoutMs: number): void {
  const polls = running.flatMap((each) => [
    poll(each.server, () => serveServer(each)),
    ...(each.accepted === undefined ? [] : [poll(each.accepted, () => serveStream(each, each.accepted!))]),
    ...(each.broken === undefined ? [poll(each.client, () => readAnswers(each))] : []),
  ])
  for (const { act } of pollSockets(polls, timeoutMs)) act()
}

function poll(socket: Socket, act: () => void): Poll & { act: () => void } {
  return { socket, wants: 'read', act }
}

function serveServer(each: RunningFlow): void {
  if (each.flow.protocol === 'TCP') {
    each.accepted = each.server.accept() ?? each.accepted
    if (each.accepted !== undefined && each.flow.expected === 'never') each.arrived++
    return
  }
  for (const { data, from } of each.server.receiveAll()) {
    each.arrived++
    each.server.sendTo(data, from)
  }
}

function serveStream(each: RunningFlow, stream: Socket): void {
  const received = stream.receive()
  if (received === undefined) return
  if (received.data.length === 0) each.broken = 'the stream ended'
  stream.send(received.data)
}

function readAnswers(each: RunningFlow): void {
  const error = each.client.takeError()
  if (error !== 0) {
    if (each.flow.expected === 'lossless') each.broken = `error ${error}`
    return
  }
  for (let next = each.client.receive(); next !== undefined; next = each.client.receive()) {
    if (next.data.length === 0) {
      each.broken = 'the stream ended'
      return
    }
    // messages are whole: nothing else is written to a stream, and each is shorter than a segment
    for (let i = 0; i + MESSAGE_BYTES <= next.data.length; i += MESSAGE_BYTES)
      each.answers.add(next.data.readDoubleLE(i))
  }
}

function awaitLast(running: readonly RunningFlow[]): void {
  const deadline = performance.now() + LAST_ANSWERS_MS_MAX
  const isMissing = ({ flow, sent, answers, broken }: RunningFlow): boolean =>
    flow.expected === 'lossless' && broken === undefined && answers.size < sent
  while (running.some(isMissing) && performance.now() < deadline) serve(running, 20)
  const quiet = performance.now() + QUIET_MS
  while (performance.now() < quiet) serve(running, 20)
}

function report({ flow, sent, answers, arrived, broken }: RunningFlow): FlowReport {
  return { name: flow.name, expected: flow.expected, sent, answered: answers.size, arrived, broken }
}
