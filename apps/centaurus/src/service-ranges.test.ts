import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { checkNetworks, chooseRange, parseServiceRange, serviceNetworksOf } from './service-ranges.ts'

function partition(serviceCIDR: string | undefined, kept?: string): Partition {
  const annotations = kept === undefined ? {} : { 'centaurus.io/kept-service-ranges': kept }
  return { metadata: { name: 'p', annotations }, spec: { roles: ['Tenant'], endpoints: [], serviceCIDR } }
}

const choose = (all: readonly Partition[], wanted?: string, machines: readonly string[] = []): string =>
  chooseRange(all, { wanted, machines })

describe('a partition’s addresses of Services', () => {
  it('are the first that nobody has, or keeps for tenants that moved', () => {
    assert.equal(choose([partition(undefined)]), '10.97.0.0/16')
    const all = [partition('10.96.0.0/16', '10.97.0.0/16,10.99.0.0/16'), partition('10.98.7.0/24')]
    assert.equal(choose(all), '10.100.0.0/16')
  })

  it('may be named when they overlap with nobody’s', () => {
    const all = [partition(undefined, '172.30.0.0/16'), partition('10.98.0.0/16')]
    assert.equal(choose(all, '10.200.0.0/20'), '10.200.0.0/20')
    for (const taken of ['10.96.3.0/24', '10.0.0.0/8', '10.98.0.0/16', '172.30.255.0/24'])
      assert.throws(() => choose(all, taken), /must not overlap with .* Services of another partition/, taken)
  })

  it('are none of pods and of machines', () => {
    const { metadata, spec } = partition(undefined)
    const podBlocks = [{ cidr: '10.245.0.0/16', partition: 'p', uid: 'u' }]
    const all = [
      { metadata, spec: { ...spec, endpoints: ['https://192.168.3.4:6443'], podCIDRs: ['10.244.0.0/16'], podBlocks } },
    ]
    for (const range of ['10.244.128.0/20', '10.240.0.0/12'])
      assert.throws(() => choose(all, range), /must not overlap with 10\.24[45]\.0\.0\/16, which pods have/, range)
    assert.throws(() => choose(all, '192.168.0.0/16'), /must not overlap with 192\.168\.3\.4, which a machine has/)
    assert.throws(() => choose(all, '172.16.0.0/12', ['172.17.0.1']), /172\.17\.0\.1, which a machine has/)
    assert.equal(choose(all, '192.168.64.0/20', ['172.17.0.1']), '192.168.64.0/20')
  })

  it('are none of tenants’ networks', () => {
    const networks = [
      { tenant: 'beta', name: 'red', cidr: '10.8.0.0/16' },
      { tenant: 'acme', name: 'blue', cidr: '10.200.0.0/14' },
    ]
    checkNetworks('10.204.0.0/16', networks)
    for (const range of ['10.203.255.0/24', '10.200.0.0/13'])
      assert.throws(
        () => checkNetworks(range, networks),
        /10\.200\.0\.0\/14, which .*"blue" of tenant "acme" has$/,
        range,
      )
  })

  it('are a block', () => {
    assert.equal(parseServiceRange('172.30.0.0/16'), '172.30.0.0/16')
    for (const wrong of [
      '10.98.0.0',
      '10.300.0.0/16',
      '10.1.0.0/33',
      '10.98.0.1/16',
      '10.98.0.0/31',
      '0.0.0.0/0',
      'fd00::/64',
    ])
      assert.throws(() => parseServiceRange(wrong), /must be like/, wrong)
  })

  it('must be named when all are taken', () => {
    assert.throws(() => choose([partition('10.0.0.0/8')]), /name one by --service-cidr/)
  })

  it('are known to be no addresses of the world, those of partitions that are gone included', () => {
    assert.deepEqual(serviceNetworksOf([partition(undefined), partition('10.97.0.0/16')]), ['10.96.0.0/11'])
    const all = [partition(undefined, '10.99.0.0/16,172.30.0.0/16'), partition('192.168.64.0/20'), partition('x')]
    assert.deepEqual(serviceNetworksOf(all), ['10.96.0.0/11', '172.30.0.0/16', '192.168.64.0/20'])
  })
})
