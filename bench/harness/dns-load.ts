import { createSocket, type Socket } from 'node:dgram'
import { decode, encode, type Answer, type DecodedPacket, type RecordType } from 'dns-packet'
import { sampleProcess } from './process.ts'

export interface DnsFigures {
  readonly perSecond: number
  /** Time of the server's process on its cores for one query. */
  readonly cpuMicros: number
}

export interface DnsQuestion {
  readonly name: string
  readonly type: RecordType
}

const IN_FLIGHT = 64
const ANSWER_MS_MAX = 5_000
/** So that nothing is cut. */
const EDNS: Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1_232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** Keeps questions under way to a server on this host, each of the list in turn, and counts what comes back. */
export async function measureDns(
  { port, pid }: { readonly port: number; readonly pid: number },
  questions: readonly DnsQuestion[],
  durationMs: number,
): Promise<DnsFigures> {
  const messages = questions.map((question) => encode({ type: 'query', id: 1, flags: 0x100, questions: [question] }))
  const socket = await connectTo(port)
  let next = 0
  let done = 0
  const ask = (): void => socket.send(messages[next++ % messages.length]!)
  socket.on('message', () => {
    done++
    ask()
  })
  for (let i = 0; i < IN_FLIGHT; i++) ask()
  const before = sampleProcess(pid)
  const [start, startDone] = [performance.now(), done]
  await new Promise((resolve) => setTimeout(resolve, durationMs))
  const [count, spanMs] = [done - startDone, performance.now() - start]
  const { cpuMs } = sampleProcess(pid)
  socket.close()
  return { perSecond: (count * 1_000) / spanMs, cpuMicros: ((cpuMs - before.cpuMs) * 1_000) / count }
}

/** One answer as text, without what may differ: order, ids, and the serial of the zone. Rejects when none comes in time. */
export async function askDns(port: number, question: DnsQuestion, timeoutMs = ANSWER_MS_MAX): Promise<string> {
  const socket = await connectTo(port)
  const message = encode({ type: 'query', id: 7, flags: 0x100, questions: [question], additionals: [EDNS] })
  try {
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      socket.once('message', resolve)
      socket.once('error', reject) // nobody listens yet
      setTimeout(() => reject(new Error(`No answer about ${question.name} after ${timeoutMs} ms`)), timeoutMs).unref()
      socket.send(message)
    })
    return format(decode(bytes))
  } finally {
    socket.close()
  }
}

function format(packet: DecodedPacket): string {
  const sections = [packet.answers, packet.authorities, packet.additionals]
  const lists = sections.map((records) =>
    (records ?? [])
      .filter(({ type }) => type !== 'OPT')
      .map(formatRecord)
      .sort()
      .join(', '),
  )
  return `${(packet as { rcode?: string }).rcode} aa=${packet.flag_aa} ${lists.join(' | ')}`.toLowerCase()
}

function formatRecord(record: Answer): string {
  const { type, name } = record
  const ttl = 'ttl' in record ? record.ttl : ''
  const data = 'data' in record ? record.data : ''
  const plain = record.type === 'SOA' ? { ...record.data, serial: 0 } : data
  return `${type} ${name} ${ttl} ${JSON.stringify(plain)}`
}

async function connectTo(port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve))
  return socket
}
