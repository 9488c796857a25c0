import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { chooseRange } from './service-ranges.ts'

function partition(serviceCIDR: string | undefined, kept?: string): Partition {
  const annotations = kept === undefined ? {} : { 'centaurus.io/kept-service-ranges': kept }
  return { metadata: { name: 'p', annotations }, spec: { roles: ['Tenant'], endpoints: [], serviceCIDR } }
}

describe('a partition’s addresses of Services', () => {
  it('are the first that nobody has, or keeps for tenants that moved', () => {
    assert.equal(chooseRange([partition(undefined)], undefined), '10.97.0.0/16')
    const all = [partition('10.96.0.0/16', '10.97.0.0/16,10.99.0.0/16'), partition('10.98.7.0/24')]
    assert.equal(chooseRange(all, undefined), '10.100.0.0/16')
  })

  it('may be named when they overlap with nobody’s', () => {
    const all = [partition(undefined, '172.30.0.0/16'), partition('10.98.0.0/16')]
    assert.equal(chooseRange(all, '10.200.0.0/20'), '10.200.0.0/20')
    for (const taken of ['10.96.3.0/24', '10.0.0.0/8', '10.98.0.0/16', '172.30.255.0/24'])
      assert.throws(() => chooseRange(all, taken), /must not overlap/, taken)
    for (const wrong of ['10.98.0.0', '10.300.0.0/16', '10.1.0.0/33', 'fd00::/64'])
      assert.throws(() => chooseRange(all, wrong), /must be like/, wrong)
  })

  it('must be named when all are taken', () => {
    const all = [partition('10.0.0.0/8')]
    assert.throws(() => chooseRange(all, undefined), /name one by --service-cidr/)
  })
})
