import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NAMESPACE_ANNOTATION, qualifyName } from '@centaurus/api'
import { VPC_ANNOTATION, type Vpc } from '@centaurus/api/centaurus/v1'
import type { Service } from '@centaurus/api/core/v1'
import { findNetworks, findStrangers } from './service-networks.ts'

const vpc = (name: string, vni?: number): Vpc => ({
  metadata: { name: qualifyName(name, 'acme') },
  ...(vni === undefined ? {} : { status: { vni } }),
})

function service(key: string, { vpc, selector }: { vpc?: string; selector?: Record<string, string> } = {}): Service {
  const [namespace = '', name = ''] = key.split('/')
  const annotations = { [NAMESPACE_ANNOTATION]: namespace, ...(vpc === undefined ? {} : { [VPC_ANNOTATION]: vpc }) }
  return {
    metadata: { namespace: qualifyName(namespace, 'acme'), name, annotations },
    spec: { clusterIP: '10.97.0.1', ...(selector === undefined ? {} : { selector }) },
  }
}

const ALL = [vpc('lab', 9), vpc('default', 7), vpc('fresh'), vpc('test', 8)]
const SELECTOR = { 'k8s-app': 'kube-dns' }

describe('Networks of a Service', () => {
  const cases: readonly [what: string, service: Service, vpcs: Vpc[], expected: number[] | string][] = [
    ['the default one when it names none', service('shop/web'), ALL, [7]],
    ['the one that it names', service('shop/web', { vpc: 'lab' }), ALL, [9]],
    ['all that have a number, for the API', service('default/kubernetes'), ALL, [7, 8, 9]],
    ['all, for the resolver', service('kube-system/kube-dns'), ALL, [7, 8, 9]],
    ['its own before the others', service('default/kubernetes', { vpc: 'lab' }), ALL, [9, 7, 8]],
    ['that of its pods, for a resolver of pods', service('kube-system/kube-dns', { selector: SELECTOR }), ALL, [7]],
    ['one, for a namesake elsewhere', service('shop/kubernetes'), ALL, [7]],
    ['the others while its own is not there', service('default/kubernetes'), [vpc('lab', 9)], [9]],
    [
      'none, when it names one that is not there',
      service('shop/web', { vpc: 'lap' }),
      ALL,
      'There is no Vpc "lap" in its tenant',
    ],
    ['none, while the tenant has none', service('default/kubernetes'), [], 'There is no Vpc "default" in its tenant'],
    [
      'none, while its own has no number',
      service('shop/web', { vpc: 'fresh' }),
      ALL,
      'Vpc "fresh" of its tenant has no number yet',
    ],
  ]
  for (const [what, object, vpcs, expected] of cases)
    it(`are ${what}`, () => assert.deepEqual(findNetworks(object, vpcs), expected))
})

describe('Endpoints of a Service that are of no network of its', () => {
  const lab = { ...vpc('lab', 9), spec: { cidr: '10.244.0.0/20' } }
  const podBlocks = ['10.244.3.0/24', '10.244.64.0/24']
  const whyNot = (name: string) => findStrangers(service('shop/web', { vpc: name }), { vpcs: [lab, ...ALL], podBlocks })

  it('are those of pods outside of its CIDR', () => {
    assert.equal(
      whyNot('lab')('10.244.64.5'),
      '10.244.64.5 is of a pod of another network: Vpc "lab" has 10.244.0.0/20',
    )
    for (const address of ['10.244.3.5', '192.0.2.1', '203.0.113.7'])
      assert.equal(whyNot('lab')(address), undefined, address)
    assert.equal(whyNot('default')('10.244.64.5'), undefined)
  })
})
