import { Worker } from 'node:worker_threads'

/** Traffic that goes on in a thread of its own while a test changes what is under it. */

export interface Flow {
  readonly name: string
  readonly protocol: 'TCP' | 'UDP'
  /** Names of namespaces. */
  readonly client: string
  readonly server: string
  readonly ip: string
  /** One flow a port and server. */
  readonly port: number
  /** Every message is answered, or none ever arrives. */
  readonly expected: 'lossless' | 'never'
}

export interface FlowReport {
  readonly name: string
  readonly expected: Flow['expected']
  readonly sent: number
  readonly answered: number
  readonly arrived: number
  readonly broken: string | undefined
}

export interface TrafficOrders {
  readonly flows: readonly Flow[]
  /** 0: starting, 1: running, 2: asked to stop, 3: failed. */
  readonly signal: SharedArrayBuffer
}

export interface Traffic {
  /** Ends it; what each flow saw. */
  stop(): Promise<readonly FlowReport[]>
}

/** Starts all flows; returns when those that have to pass are established. */
export async function startTraffic(flows: readonly Flow[]): Promise<Traffic> {
  const signal = new SharedArrayBuffer(4)
  const flag = new Int32Array(signal)
  const worker = new Worker(new URL('traffic-worker.ts', import.meta.url), { workerData: { flows, signal } })
  const reports = new Promise<readonly FlowReport[]>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  reports.catch(() => undefined) // told by stop()
  await Promise.race([Atomics.waitAsync(flag, 0, 0).value, reports])
  worker.unref() // a test that fails before stop() must be able to end
  return {
    stop: () => {
      worker.ref()
      Atomics.store(flag, 0, 2)
      return reports
    },
  }
}

/** What went wrong, a line a flow. */
export function findTrafficFaults(reports: readonly FlowReport[]): string[] {
  return reports.flatMap(({ name, expected, sent, answered, arrived, broken }) => {
    if (broken !== undefined) return [`${name}: ${broken} after ${answered} answers`]
    if (expected === 'never') return arrived === 0 ? [] : [`${name}: ${arrived} of ${sent} arrived, none may`]
    if (sent === 0) return [`${name}: nothing was sent`]
    return answered === sent ? [] : [`${name}: ${sent - answered} of ${sent} were not answered`]
  })
}
