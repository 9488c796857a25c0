import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { NetworkNamespace } from './network-namespace.ts'
import { findTrafficFaults, type Flow, startTraffic } from './traffic.ts'

if (!isInNamespaces()) {
  describe('traffic in the background', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('traffic in the background', () => {
    const client = NetworkNamespace.create('client')
    const server = NetworkNamespace.create('server')
    client.ip(`
      link add eth0 type veth peer name eth0 netns server
      addr add 10.0.0.1/24 dev eth0
      link set eth0 up`)
    server.ip(`
      addr add 10.0.0.2/24 dev eth0
      link set eth0 up`)
    const flow = (protocol: 'TCP' | 'UDP', port: number, expected: Flow['expected']): Flow => {
      return {
        protocol,
        port,
        expected,
        name: `${protocol} ${port}`,
        client: 'client',
        server: 'server',
        ip: '10.0.0.2',
      }
    }
    const drop = (rules: string): void => {
      server.exec(['nft', '-f', '-'], {
        input: `table ip wall {\nchain in {\ntype filter hook input priority 0\n${rules}\n}\n}`,
      })
    }
    const open = (): void => void server.exec(['nft', 'delete', 'table', 'ip', 'wall'])

    it('answers every message while the main thread is busy', async () => {
      drop('udp dport 7001 drop\ntcp dport 81 drop')
      const flows = [
        flow('TCP', 80, 'lossless'),
        flow('UDP', 7000, 'lossless'),
        flow('UDP', 7001, 'never'),
        flow('TCP', 81, 'never'),
      ]
      const traffic = await startTraffic(flows)
      const busyUntil = performance.now() + 200
      while (performance.now() < busyUntil);
      const reports = await traffic.stop()
      open()
      assert.deepEqual(findTrafficFaults(reports), [])
      assert.ok(reports[1]!.sent > 10, `${reports[1]!.sent} datagrams went out`)
    })

    it('sees a loss, and an arrival where none may be', async () => {
      const traffic = await startTraffic([flow('UDP', 7000, 'lossless'), flow('UDP', 7001, 'never')])
      drop('udp dport 7000 numgen inc mod 10 0 drop')
      const busyUntil = performance.now() + 200
      while (performance.now() < busyUntil);
      open()
      const faults = findTrafficFaults(await traffic.stop())
      assert.match(faults[0]!, /UDP 7000: \d+ of \d+ were not answered/)
      assert.match(faults[1]!, /UDP 7001: \d+ of \d+ arrived, none may/)
    })
  })
}
