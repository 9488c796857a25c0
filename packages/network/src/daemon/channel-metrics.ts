import { Counter, Gauge, type Registry } from 'prom-client'
import type { ChannelReport } from '../channels/channel-service.ts'

/** Metrics of connections of sandboxes that go past the network. Returns what sets them; without a report there are none. */
export function createChannelMetrics(registry: Registry): (report: ChannelReport | undefined) => void {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `centaurus_network_channel_${name}`, help, registers })
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `centaurus_network_channel_${name}`, help, registers })
  const pods = gauge('pods', 'Sandboxes that use channels.')
  const links = gauge('links', 'Other hosts to which there is a link.')
  const connections = gauge('connections', 'Connections over channels that there are now.')
  const opened = counter('connections_total', 'Connections over channels that were made.')
  const bytes = counter('link_bytes_total', 'Bytes over channels to and from other hosts.')
  return (report) => {
    opened.reset()
    bytes.reset()
    pods.set(report?.pods ?? 0)
    links.set(report?.links.length ?? 0)
    connections.set(report?.connections ?? 0)
    opened.inc(report?.opened ?? 0)
    bytes.inc(report?.carried_bytes ?? 0)
  }
}
