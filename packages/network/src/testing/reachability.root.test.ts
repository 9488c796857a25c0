import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { NetworkNamespace } from './network-namespace.ts'
import { EchoServer, findWrongProbes, type Probe, type ProbeProtocol, type ProbeResult } from './reachability.ts'

/** Drops what is asked for, before any socket sees it; `echo reply` and answers from port 7002 are dropped on their way back. */
const WALL = `table ip wall {
  chain in { type filter hook input priority 0
    tcp dport 8080 drop
    udp dport 7001 drop
    sctp dport 9001 drop
    udp dport 7003 reject
    tcp dport 8083 reject with tcp reset
  }
  chain out { type filter hook output priority 0
    udp sport 7002 drop
    icmp type echo-reply ip daddr 10.0.0.3 drop
  }
}
`

if (!isInNamespaces()) {
  describe('the tester of reachability', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  describe('the tester of reachability', () => {
    const client = NetworkNamespace.create('client')
    const server = NetworkNamespace.create('server')
    client.ip(`
      link add eth0 type veth peer name eth0 netns server
      addr add 10.0.0.1/24 dev eth0
      addr add 10.0.0.3/24 dev eth0
      link set eth0 up`)
    server.ip(`
      addr add 10.0.0.2/24 dev eth0
      link set eth0 up`)
    server.exec(['nft', '-f', '-'], { input: WALL })
    const echo = new EchoServer(server, [
      { protocol: 'TCP', port: 80 },
      { protocol: 'TCP', port: 8080 },
      { protocol: 'UDP', port: 7000 },
      { protocol: 'UDP', port: 7001 },
      { protocol: 'UDP', port: 7002 },
      { protocol: 'UDP', port: 7003 },
      { protocol: 'SCTP', port: 9000 },
      { protocol: 'SCTP', port: 9001 },
    ])
    const probe = (protocol: ProbeProtocol, port: number, expected: ProbeResult): Probe => {
      return { from: client, to: '10.0.0.2', protocol, port, expected, name: `${protocol} ${port}` }
    }

    it('tells open, closed, refused and one-way apart for every protocol', () => {
      const probes = [
        probe('TCP', 80, 'open'),
        probe('TCP', 8080, 'closed'),
        probe('TCP', 8083, 'refused'),
        probe('UDP', 7000, 'open'),
        probe('UDP', 7001, 'closed'),
        probe('UDP', 7002, 'one-way'),
        probe('UDP', 7003, 'refused'),
        probe('SCTP', 9000, 'open'),
        probe('SCTP', 9001, 'closed'),
        probe('ICMP', 0, 'open'),
      ]
      assert.deepEqual(findWrongProbes(probes, [echo]), [])
    })

    it('says what was expected and what came', () => {
      assert.deepEqual(findWrongProbes([probe('TCP', 80, 'closed'), probe('UDP', 7000, 'closed')], [echo]), [
        'TCP 80: open, expected closed',
        'UDP 7000: open, expected closed',
      ])
    })

    it('makes a thousand connections at once', () => {
      const many = Array.from({ length: 500 }, () => [probe('TCP', 80, 'open'), probe('UDP', 7000, 'open')]).flat()
      assert.deepEqual(findWrongProbes(many, [echo]), [])
    })
  })
}
