import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { checksum } from '../testing/frames.ts'
import { openTestDataplane, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import { addOtherHost, fromPod, podOf, policySetOf, throughTunnel, udpPacket } from '../testing/test-world.ts'

const A = '10.244.1.2'
const B = '10.244.1.3'
const REMOTE = '10.244.2.9'
const START = 9_000_000_000n
const BANDWIDTH = 80e6
/** 400 ms of it. */
const BURST_BYTES = 4e6
const PAYLOAD_BYTES = 1372
const INNER_BYTES = 14 + 20 + 8 + PAYLOAD_BYTES

/** Ways to the pod, with what the program is given. */
const WAYS = ['from_uplink', 'from_uplink_xdp', 'from_pod', 'from_host'] as const

for (const program of WAYS)
  describe(`A pod's limit of what it gets (${program})`, () => {
    let host: TestDataplane
    let shaper = 30
    before(async () => {
      host = await openTestDataplane()
      addOtherHost(host.tables)
      host.tables.setEndpoint(podOf(3, { policySet: host.tables.addPolicySet(policySetOf('open')) }))
    })
    beforeEach(() => {
      host.tables.setShaper({ id: ++shaper, level: 7, ingressBandwidth: BANDWIDTH })
      host.tables.setEndpoint(podOf(2, { policySet: host.tables.addPolicySet(policySetOf('open')), shaper }))
    })
    after(() => host.close())

    const send = (nowNs: bigint, tos = 0): TestVerdict => {
      const source = { from_uplink: REMOTE, from_uplink_xdp: REMOTE, from_pod: B, from_host: '10.244.1.1' }[program]
      const packet = udpPacket({ source, destination: A, tos, payload: Buffer.alloc(PAYLOAD_BYTES) })
      const frame = program.startsWith('from_uplink')
        ? throughTunnel(packet, { tos: tos & 3 })
        : fromPod(packet, source)
      return host.run(program, frame, { nowNs, ...(program === 'from_pod' ? { ifindex: 13 } : {}) })
    }

    it('gives what it may get at once, and then its rate', () => {
      let passed = 0
      for (let i = 0; i < 4_000; i++) if (send(START).verdict === 'redirect') passed++
      assert.equal(passed, Math.ceil(BURST_BYTES / INNER_BYTES), 'the last one overdraws')
      assert.equal(send(START).reason, 'IngressBandwidth')
      let later = 0
      for (let ms = 1; ms <= 200; ms++)
        for (let i = 0; i < 14; i++) if (send(START + BigInt(ms) * 1_000_000n).verdict === 'redirect') later++
      const bandwidth = (later * INNER_BYTES * 8) / 0.2
      assert.ok(Math.abs(bandwidth / BANDWIDTH - 1) < 0.01, `${bandwidth}`)
    })

    it('tells who understands it before it drops, and leaves a right header', () => {
      const seen: string[] = []
      for (let i = 0; i < 4_000; i++) {
        const { verdict, frame } = send(START, 0xb8 | 2)
        if (verdict === 'redirect') assert.equal(checksum(frame.subarray(14, 34)), 0)
        seen.push(verdict === 'drop' ? 'dropped' : (frame[15]! & 3) === 3 ? 'marked' : 'passed')
      }
      const [marked, dropped] = [seen.indexOf('marked'), seen.indexOf('dropped')]
      assert.ok(marked > 2_000 && dropped - marked > 50, `${marked} ${dropped}`)
      assert.deepEqual(new Set(seen.slice(marked, dropped)), new Set(['marked']))
      assert.deepEqual(new Set(seen.slice(dropped)), new Set(['dropped']))
    })

    it('is no limit when none is set', () => {
      host.tables.setShaper({ id: shaper, level: 7, egressBandwidth: 8_000 })
      for (let i = 0; i < 500; i++) assert.equal(send(START).verdict, 'redirect')
    })
  })
