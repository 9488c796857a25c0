import { median } from '../harness/measure.ts'
import { measureConnections } from './connections.ts'
import { type Ends, measureRoundTrips, measureTcp } from './traffic.ts'

const CONNECTIONS = 1_000

/** What is measured between two pods. */
export interface PathFigures {
  readonly tcpGigabits: number
  readonly udpP50: number
  readonly udpP99: number
  readonly tcpP50: number
  readonly connectionMicroseconds: number
}

export async function measurePath(ends: Ends): Promise<PathFigures> {
  measureConnections(ends, CONNECTIONS / 10) // neighbours, routes and caches are there afterwards
  const tcpGigabits = await measureTcp(ends)
  const udp = await measureRoundTrips(ends, 'UDP')
  const tcp = await measureRoundTrips(ends, 'TCP')
  const connectionMicroseconds = measureConnections(ends, CONNECTIONS)
  return { tcpGigabits, udpP50: udp.p50, udpP99: udp.p99, tcpP50: tcp.p50, connectionMicroseconds }
}

/** The median of each figure. */
export function medianPath(samples: readonly PathFigures[]): PathFigures {
  const of = (figure: keyof PathFigures): number => median(samples.map((sample) => sample[figure]))
  return {
    tcpGigabits: of('tcpGigabits'),
    udpP50: of('udpP50'),
    udpP99: of('udpP99'),
    tcpP50: of('tcpP50'),
    connectionMicroseconds: of('connectionMicroseconds'),
  }
}
