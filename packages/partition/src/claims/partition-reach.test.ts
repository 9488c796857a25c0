import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import { PartitionReach } from './partition-reach.ts'

describe('which resource partitions can be asked for room', () => {
  const clock = createManualClock()
  const fenced = new Set<string>()
  let peersChanged = (): void => assert.fail('nobody listens')
  const peers = {
    whyFenced: (peer: string) => (fenced.has(peer) ? 'it went back in time' : undefined),
    onChange(listener: () => void) {
      peersChanged = listener
      return () => {}
    },
  }
  const reach = new PartitionReach({ self: 'own', peers, clock })
  const seen: boolean[] = []
  reach.onChange(() => seen.push(reach.isReachable('rp')))

  it('are those that tell what is used of their nodes', () => {
    assert.equal(reach.isReachable('own'), true)
    assert.equal(reach.isReachable('rp'), false)
    reach.synced('rp')
    reach.lost('rp')
    reach.lost('rp')
    reach.synced('rp')
    assert.deepEqual(seen.splice(0), [true, false, true])
  })

  it('leave out one that does not answer claims, until it is worth a try or tells again', async () => {
    reach.claimFailed('rp', 100)
    assert.deepEqual(seen.splice(0), [false])
    await clock.advance(100)
    assert.deepEqual(seen.splice(0), [true])
    reach.claimFailed('rp', 5_000)
    reach.synced('rp')
    assert.deepEqual(seen.splice(0), [false, true])
    await clock.advance(5_000)
    assert.deepEqual(seen.splice(0), [])
  })

  it('leave out one that is fenced', () => {
    fenced.add('rp')
    peersChanged()
    fenced.delete('rp')
    peersChanged()
    assert.deepEqual(seen.splice(0), [false, true])
    reach.close()
  })
})
