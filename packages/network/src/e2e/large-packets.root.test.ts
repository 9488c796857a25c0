import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { allowPort, CLOSED, DENY_ALL, OPEN, policySet } from '../testing/policy-sets.ts'
import { findWrongProbes, type Probe } from '../testing/reachability.ts'
import { pollSockets, Socket } from '../testing/sockets.ts'

const BIG_BYTES = 8_000
const WAIT_MS_MAX = 10_000
const QUIET_MS = 80
/** Larger than a tunnel over an uplink of 1500 takes, and no larger than the device of a pod that was given one of 1500. */
const TOO_BIG_BYTES = 1_460
const EMSGSIZE = 90

describeHosts({ title: 'packets that are large, or say that others were', file: import.meta.url }, testLarge)

function testLarge(attach: AttachMode): void {
  let cluster: TestCluster
  let a: TestPod
  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    const guarded = policySet({ ingress: { byIdentity: new Map([[256, allowPort(7000)]]), others: DENY_ALL } })
    a = cluster.addPod({ name: 'a', host: 1, identity: 256 })
    cluster.addPod({ name: 'near', host: 1, identity: 257, policySet: guarded })
    cluster.addPod({ name: 'far', host: 2, identity: 257, policySet: guarded })
  })
  after(() => cluster?.close())

  /** Whether a datagram that has to be cut into fragments arrives whole. */
  function arrives(to: TestPod, { port, expected }: { readonly port: number; readonly expected: boolean }): boolean {
    const server = Socket.udp(to.namespace).bind({ ip: '0.0.0.0', port })
    const client = Socket.udp(a.namespace).allowFragments()
    const data = Buffer.alloc(BIG_BYTES, 'big')
    client.sendTo(data, { ip: to.endpoint.ip, port })
    pollSockets([{ socket: server, wants: 'read' }], expected ? WAIT_MS_MAX : QUIET_MS)
    const received = server.receive()
    for (const socket of [server, client]) socket.close()
    return received?.data.equals(data) === true
  }

  for (const name of ['near', 'far']) {
    it(`pass in fragments where their first one may (${name})`, () => {
      assert.equal(arrives(cluster.pod(name), { port: 7000, expected: true }), true)
      assert.equal(arrives(cluster.pod(name), { port: 7001, expected: false }), false)
    })

    it(`are told of by ICMP errors, whatever policy says of what comes in (${name})`, () => {
      cluster.setPolicySet('a', CLOSED)
      cluster.setPolicySet(name, OPEN)
      const probe = (protocol: 'TCP' | 'UDP'): Probe => {
        const to = cluster.pod(name).endpoint.ip
        return { from: a.namespace, to, protocol, port: 7999, expected: 'refused', name: `${protocol} to nobody` }
      }
      assert.deepEqual(findWrongProbes([probe('TCP'), probe('UDP')], []), [])
      cluster.setPolicySet('a', OPEN)
    })
  }

  it('are answered with the size that fits, and streams go on with it', () => {
    const far = cluster.pod('far')
    a.namespace.ip('link set eth0 mtu 1500')
    a.host.namespace.ip(`link set ${a.device} mtu 1500`)
    const client = Socket.udp(a.namespace).forbidFragments()
    client.connect({ ip: far.endpoint.ip, port: 7000 })
    assert.equal(client.send(Buffer.alloc(TOO_BIG_BYTES)), TOO_BIG_BYTES)
    pollSockets([{ socket: client, wants: 'read' }], WAIT_MS_MAX)
    assert.equal(client.takeError(), EMSGSIZE)
    client.close()
    const bytes = 2 ** 20
    const ends = { client: a.namespace, server: far.namespace, ip: far.endpoint.ip, port: 5000 }
    assert.deepEqual(sendInBulk({ ...ends, bytes }), { received: bytes, isIntact: true })
  })
}
