import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { TUNNEL_OVERHEAD } from '../layouts/layouts.ts'
import { openTestDataplane, type TestDataplane } from '../testing/test-dataplane.ts'
import { addOtherHost, podOf, policySetOf, tcpPacket, throughTunnel, udpPacket } from '../testing/test-world.ts'

const ADDRESSES = { source: '10.244.2.9', destination: '10.244.1.2' }
/** Up to the inner packet. */
const TUNNEL_BYTES = 14 + TUNNEL_OVERHEAD

describe('A frame whose buffer is in pieces, at XDP', () => {
  let host: TestDataplane
  let whyNot: string | undefined

  before(async () => {
    host = await openTestDataplane()
    addOtherHost(host.tables)
    host.tables.setEndpoint(podOf(2, { policySet: host.tables.addPolicySet(policySetOf('open')) }))
    whyNot = findLimit(host)
  })
  after(() => host.close())

  for (const [name, packet] of [
    ['UDP', udpPacket(ADDRESSES)],
    ['TCP', tcpPacket(ADDRESSES)],
  ] as const)
    it(`is understood wherever the first one ends (${name}), or left to tcx as it is`, (t) => {
      if (whyNot !== undefined) return t.skip(whyNot)
      const tunnelled = throughTunnel(packet)
      const { frame: whole } = host.run('from_uplink_xdp', tunnelled)
      for (let firstPieceBytes = 14; firstPieceBytes <= tunnelled.length; firstPieceBytes++) {
        const { verdict, frame } = host.run('from_uplink_xdp', tunnelled, { firstPieceBytes })
        const expected = firstPieceBytes < TUNNEL_BYTES ? ['pass', tunnelled] : ['redirect', whole]
        assert.deepEqual([verdict, frame], expected, `${firstPieceBytes} bytes`)
      }
    })
})

/** Why this kernel makes no frame in pieces that are so short. */
function findLimit(host: TestDataplane): string | undefined {
  try {
    host.run('from_uplink_xdp', Buffer.alloc(64), { firstPieceBytes: 32 })
    return undefined
  } catch (error) {
    if ((error as { code?: string }).code !== 'EINVAL') throw error
    return 'test runs make frames in pieces from Linux 6.18 on'
  }
}
