import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Service } from '@centaurus/api/core/v1'
import type { Endpoint, EndpointSlice } from '@centaurus/api/discovery/v1'
import { planServices } from './plan.ts'
import { formatRuleset } from './ruleset.ts'

const service = (spec: Partial<NonNullable<Service['spec']>>): Service => ({
  metadata: { namespace: 'default', name: 'web' },
  spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
})
const slice = (...endpoints: Endpoint[]): EndpointSlice => ({
  metadata: { namespace: 'default', name: 'web-x', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints,
})
const endpoint = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({ addresses: [address], ...more })
const plan = (item: Service, slices: EndpointSlice[]) =>
  planServices({ services: [item], slices, nodeName: 'here' })[0]!
const addresses = (item: Service, slices: EndpointSlice[]): string[] =>
  plan(item, slices).backends.map((backend) => backend.address)

describe('planServices', () => {
  it('takes ready endpoints, and serving ones that terminate when none is ready', () => {
    const leaving = endpoint('10.244.0.9', { conditions: { ready: false, serving: true, terminating: true } })
    const broken = endpoint('10.244.0.8', { conditions: { ready: false, serving: false } })
    assert.deepEqual(addresses(service({}), [slice(endpoint('10.244.0.5'), leaving, broken)]), ['10.244.0.5'])
    assert.deepEqual(addresses(service({}), [slice(leaving, broken)]), ['10.244.0.9'])
  })

  it('keeps to this node where a policy says so', () => {
    const pods = [slice(endpoint('10.244.0.5', { nodeName: 'here' }), endpoint('10.244.1.5', { nodeName: 'there' }))]
    assert.deepEqual(addresses(service({ internalTrafficPolicy: 'Local' }), pods), ['10.244.0.5'])
    const external = plan(
      service({
        type: 'NodePort',
        externalTrafficPolicy: 'Local',
        ports: [{ name: 'http', port: 80, nodePort: 30080 }],
      }),
      pods,
    )
    assert.deepEqual(
      external.externalBackends.map((backend) => backend.address),
      ['10.244.0.5'],
    )
    assert.equal(external.backends.length, 2)
    assert.equal(external.keepsSource, true)
  })

  it('leaves headless and external names alone', () => {
    const pods = [slice(endpoint('10.244.0.5'))]
    assert.deepEqual(
      planServices({
        services: [service({ clusterIP: 'None' }), service({ type: 'ExternalName' })],
        slices: pods,
        nodeName: 'here',
      }),
      [],
    )
  })
})

describe('formatRuleset', () => {
  const options = { table: 't', masqueradeWithin: undefined }

  it('writes one table with a map look-up a packet', () => {
    const text = formatRuleset([plan(service({}), [slice(endpoint('10.244.0.5'), endpoint('10.244.0.6'))])], options)
    assert.match(text, /10\.96\.0\.7 \. tcp \. 80 : goto service_default_2f_web_3a_http/)
    assert.match(text, /dnat ip to numgen random mod 2 map \{ 0 : 10\.244\.0\.5 \. 8080, 1 : 10\.244\.0\.6 \. 8080 \}/)
    assert.match(text, /10\.244\.0\.5 \. 10\.244\.0\.5/)
  })

  it('refuses connections to a service without endpoints', () => {
    const text = formatRuleset([plan(service({}), [])], options)
    assert.match(text, /set without_endpoints \{\n.*\n\s+elements = \{ 10\.96\.0\.7 \. tcp \. 80 \}/)
  })

  it('lets the first have an address that two claim', () => {
    const one = plan(service({}), [slice(endpoint('10.244.0.5'))])
    const text = formatRuleset([one, { ...one, name: 'default/zzz:http' }], options)
    assert.equal(text.match(/10\.96\.0\.7 \. tcp \. 80 : goto/g)?.length, 1)
  })

  it('gives names that differ different chains', () => {
    const one = { ...plan(service({}), [slice(endpoint('10.244.0.5'))]), name: 'a/b-c:d' }
    const text = formatRuleset([one, { ...one, name: 'a/b:c-d' }], options)
    assert.equal(new Set(text.match(/ {2}chain service\S+/g)).size, 2)
  })
})
