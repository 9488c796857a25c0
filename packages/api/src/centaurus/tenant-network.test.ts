import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FieldPath } from '../status/field-error.ts'
import { DEFAULT_QUALITY } from './network-quality.ts'
import { SYSTEM_QUALITY, tenantQualityOf, validateTenantNetwork, type TenantNetwork } from './tenant-network.ts'

describe('what operators say of a tenant', () => {
  it('grants a tenant nothing above others unless it says so, and operators everything', () => {
    assert.deepEqual(tenantQualityOf('acme', undefined), { defaults: {}, max: DEFAULT_QUALITY })
    assert.deepEqual(tenantQualityOf('system', { max: { class: 'best-effort' } }), SYSTEM_QUALITY)
    assert.deepEqual(
      tenantQualityOf('acme', {
        class: 'expedited',
        priority: 'low',
        ingressBandwidth: '10M',
        max: { class: 'expedited', egressBandwidth: '1G' },
      }),
      {
        defaults: { networkClass: 'expedited', priority: 'low', ingressBandwidth: 1e7 },
        max: { networkClass: 'expedited', priority: 'medium', egressBandwidth: 1e9 },
      },
    )
  })

  it('says nothing where it is wrong', () => {
    const { defaults, max } = tenantQualityOf('acme', { egressBandwidth: 'tea', max: { ingressBandwidth: '1' } })
    assert.deepEqual([defaults, max], [{}, DEFAULT_QUALITY])
  })

  it('is refused where it contradicts itself, or is no bandwidth', () => {
    const complaints = (network: TenantNetwork) =>
      validateTenantNetwork(network, new FieldPath('network')).map(({ field, message }) => `${field}: ${message}`)
    const fine: TenantNetwork[] = [
      {},
      { class: 'best-effort', priority: 'low' },
      { max: { priority: 'low' } },
      { class: 'best-effort', priority: 'high', max: { class: 'expedited' } },
      { egressBandwidth: '10M', max: { egressBandwidth: '10M' } },
      { egressBandwidth: '10M', max: { ingressBandwidth: '1M' } },
    ]
    for (const network of fine) assert.deepEqual(complaints(network), [])
    const most = '`max` grants best-effort and medium (by default best-effort and medium)'
    assert.deepEqual(complaints({ class: 'premium' }), [
      `network.class: Invalid value: "premium": pods would have premium and medium, and ${most}`,
    ])
    assert.deepEqual(complaints({ priority: 'high' }), [
      `network.priority: Invalid value: "high": pods would have best-effort and high, and ${most}`,
    ])
    assert.deepEqual(complaints({ egressBandwidth: '1G', max: { egressBandwidth: '10M', ingressBandwidth: '1' } }), [
      'network.max.ingressBandwidth: Invalid value: "1": is less than 1,000 bits a second: must be a quantity of bits a second from 1k to 1P, such as "10M" for ten million',
      'network.egressBandwidth: Invalid value: "1G": `max` grants 10M',
    ])
  })
})
