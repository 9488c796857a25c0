import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ethernet, ipv4, PROTOCOL_NUMBERS, TCP_ACK, TCP_SYN } from '../testing/frames.ts'
import {
  A,
  asked,
  B,
  backend,
  clusterIP,
  describeFrame,
  formatIP,
  GATEWAY_MAC,
  HAIRPIN,
  NODE,
  nodePort,
  REMOTE,
  SERVICE,
  TCP_RST,
  UPLINK,
  useServiceHost,
} from '../testing/service-host.ts'

describe('Backends of Services in the kernel', () => {
  const services = useServiceHost()
  const { apply, ask, fromPod, fromWorld } = services

  describe('Backends that go', () => {
    it('lose UDP flows at once, and end TCP flows with a reset', () => {
      for (const protocol of ['UDP', 'TCP'] as const) {
        apply(clusterIP([B.ip], { protocol }))
        assert.equal(fromPod(A, ask({ protocol })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol }))
        const next = fromPod(A, ask({ protocol, flags: TCP_ACK }))
        if (protocol === 'UDP') assert.equal(describeFrame(next.frame), `${HAIRPIN}:${services.port} > ${A.ip}:8080`)
        else {
          assert.deepEqual(asked(next), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${services.port}`])
          assert.equal(next.frame[47]! & TCP_RST, TCP_RST)
        }
      }
    })

    it('keep TCP flows until the endpoint is gone, and UDP flows while it serves', () => {
      const draining = (isServing: boolean) => [{ ...backend(B.ip), isServing }]
      for (const protocol of ['TCP', 'UDP'] as const) {
        apply(clusterIP([B.ip], { protocol }))
        assert.equal(fromPod(A, ask({ protocol })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol, draining: draining(true) }))
        assert.equal(fromPod(A, ask({ protocol, flags: TCP_ACK })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol, draining: draining(false) }))
        assert.equal(fromPod(A, ask({ protocol, flags: TCP_ACK })).target, protocol === 'TCP' ? B.ifindex : A.ifindex)
      }
    })

    it('get no new flow, also not one from a port that was used before', () => {
      apply(clusterIP([B.ip]))
      assert.equal(fromPod(A, ask()).target, B.ifindex)
      apply(clusterIP([A.ip], { draining: [{ ...backend(B.ip), isServing: true }] }))
      assert.equal(fromPod(A, ask({ flags: TCP_SYN })).target, A.ifindex)
    })

    it('do not disturb flows of the ones that stay', () => {
      apply(clusterIP([B.ip, REMOTE]))
      const targets = Array.from({ length: 20 }, (_, i) => fromPod(A, ask({ sourcePort: services.port + i })).target)
      apply(clusterIP([A.ip, B.ip]))
      for (const [i, target] of targets.entries()) {
        const next = fromPod(A, ask({ sourcePort: services.port + i, flags: TCP_ACK }))
        if (target === B.ifindex) assert.equal(describeFrame(next.frame), `${A.ip}:${services.port + i} > ${B.ip}:8080`)
        else assert.equal(next.frame[47]! & TCP_RST, TCP_RST)
      }
    })
  })

  describe('Services without backends', () => {
    it('answer TCP with a reset that acknowledges the SYN, UDP with port unreachable', () => {
      apply(clusterIP([]), clusterIP([], { protocol: 'UDP', name: 'default/web:udp' }))
      const reset = fromPod(A, ask({ payload: '' }))
      assert.deepEqual(asked(reset), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${services.port}`])
      assert.deepEqual([reset.frame.length, reset.frame[47], reset.frame.readUInt32BE(42)], [54, TCP_RST | TCP_ACK, 2])
      const unreachable = fromPod(A, ask({ protocol: 'UDP' }))
      assert.deepEqual(asked(unreachable), ['redirect', A.ifindex, `${SERVICE} > ${A.ip} icmp 3/3`])
      assert.equal(formatIP(unreachable.frame.subarray(54, 58)), A.ip)
      assert.equal(unreachable.frame.readUInt16BE(64), 80)
    })

    it('refuse other ports of a ClusterIP, and drop what has none', () => {
      apply(clusterIP([B.ip]))
      const other = fromPod(A, ask({ destinationPort: 81 }))
      assert.deepEqual([other.target, other.frame[47]! & TCP_RST], [A.ifindex, TCP_RST])
      const echo = ipv4(
        { source: A.ip, destination: SERVICE, protocol: PROTOCOL_NUMBERS.ICMP },
        Buffer.from('0800f7ff00000000', 'hex'),
      )
      const ping = services.host.run('from_pod', ethernet({ source: A.mac, destination: GATEWAY_MAC }, echo), {
        ifindex: A.ifindex,
      })
      assert.equal(ping.reason, 'ServiceNoBackend')
    })

    it('answer no reset with a reset', () => {
      apply(clusterIP([]))
      assert.equal(fromPod(A, ask({ flags: TCP_RST })).reason, 'ServiceNoBackend')
    })

    it('drop where other hosts have backends', () => {
      apply(clusterIP([], { whenEmpty: 'drop' }), nodePort([], { whenExternalEmpty: 'drop', name: 'default/web:np' }))
      assert.equal(fromPod(A, ask()).reason, 'ServiceNoBackend')
      assert.equal(fromWorld(ask({ destination: NODE, destinationPort: 30_080 })).reason, 'ServiceNoBackend')
    })
  })

  describe('Session affinity', () => {
    it('keeps a client with one backend, and another one as soon as that is gone', () => {
      const sticky = { affinitySeconds: 60 }
      const all = [B.ip, REMOTE, '10.244.2.21', '10.244.2.22']
      const choice = (port: number): string => {
        const { target, frame } = fromPod(A, ask({ sourcePort: port }))
        return describeFrame(frame, target === UPLINK ? 72 : 14).split(' > ')[1] ?? ''
      }
      apply(clusterIP(all, sticky))
      const first = choice(services.port)
      for (let i = 1; i < 20; i++) assert.equal(choice(services.port + i), first)
      const rest = all.filter((ip) => `${ip}:8080` !== first)
      apply(clusterIP(rest, sticky))
      const second = choice(services.port + 30)
      assert.notEqual(second, first)
      apply(clusterIP(all, sticky))
      for (let i = 31; i < 40; i++) assert.equal(choice(services.port + i), second)
    })
  })
})
