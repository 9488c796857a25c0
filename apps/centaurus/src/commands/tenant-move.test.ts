import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Partition, Tenant } from '@centaurus/api/centaurus/v1'
import { refuseMove } from './tenant-move.ts'

const partition = (
  name: string,
  spec: Partial<Partition['spec']> = {},
  ready: 'True' | 'Unknown' = 'True',
): Partition => ({
  metadata: { name },
  spec: { roles: ['Tenant'], endpoints: [], ...spec },
  status: { conditions: [{ type: 'Ready', status: ready, reason: 'r', message: '', lastTransitionTime: '' }] },
})
const all = [
  partition('home'),
  partition('tp1'),
  partition('rp1', { roles: ['Resource'] }),
  partition('full', { draining: true }),
  partition('away', {}, 'Unknown'),
]
const tenant: Tenant = { metadata: { name: 'acme' }, status: { partition: 'home', epoch: 1 } }

describe('centaurus tenant move', () => {
  it('goes to a tenant partition that is well, or stays', () => {
    assert.equal(refuseMove(tenant, all, 'tp1'), undefined)
    assert.equal(refuseMove(tenant, all, 'home'), undefined)
  })
  const refused = [
    { to: 'nowhere', why: /there is no partition "nowhere"/ },
    { to: 'rp1', why: /has no role Tenant/ },
    { to: 'full', why: /is draining/ },
    { to: 'away', why: /is not ready/ },
  ]
  for (const { to, why } of refused) it(`does not go to ${to}`, () => assert.match(refuseMove(tenant, all, to)!, why))
  it('leaves alone what is going, or is nowhere', () => {
    const going = { ...tenant, metadata: { name: 'acme', deletionTimestamp: '2026-01-01T00:00:00Z' } }
    assert.match(refuseMove(going, all, 'tp1')!, /being deleted/)
    assert.match(refuseMove({ metadata: { name: 'acme' } }, all, 'tp1')!, /lives nowhere/)
  })
})
