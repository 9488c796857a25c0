import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { schemaOfKind } from './builtin.ts'
import { emptyObject, fillZeros } from './fill-zeros.ts'

const schema = (group: string, version: string, kind: string) => schemaOfKind(group, version, kind)!

// What the kube-apiserver of v1.37.2 answered to creates of these objects.
describe('fillZeros', () => {
  it('writes structs and scalars that Go never leaves out', () => {
    const statefulSet = fillZeros(
      { spec: { template: {} } } as Record<string, unknown>,
      schema('apps', 'v1', 'StatefulSet'),
    )
    assert.deepEqual(statefulSet['status'], { replicas: 0, availableReplicas: 0 })
    assert.deepEqual((statefulSet['spec'] as Record<string, unknown>)['template'], { metadata: {}, spec: {} })
    const node = fillZeros({} as Record<string, unknown>, schema('', 'v1', 'Node'))
    const { daemonEndpoints } = node['status'] as { daemonEndpoints: unknown }
    assert.deepEqual(daemonEndpoints, { kubeletEndpoint: { Port: 0 } })
  })

  it('looks into lists and maps', () => {
    const pod = {
      spec: { containers: [{ name: 'c', env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource: 'x' } } }] }] },
    }
    const { spec } = fillZeros(pod, schema('', 'v1', 'Pod'))
    const [container] = spec.containers as unknown as { resources: unknown; env: [{ valueFrom: unknown }] }[]
    assert.deepEqual(container!.resources, {})
    assert.deepEqual(container!.env[0].valueFrom, { resourceFieldRef: { resource: 'x', divisor: '0' } })
  })

  it('gives back what lacks nothing, and does not look at what is shared with a filled object', () => {
    const old = fillZeros({ spec: { containers: [{ name: 'c' }] } }, schema('', 'v1', 'Pod'))
    assert.equal(fillZeros(old, schema('', 'v1', 'Pod')), old)
    const bare = { containers: [{ name: 'c' }] }
    assert.equal(fillZeros({ spec: bare }, schema('', 'v1', 'Pod'), { spec: bare }).spec, bare)
  })

  it('gives each object structs of its own', () => {
    const fill = () => fillZeros({ spec: { template: {} } }, schema('batch', 'v1', 'Job')).spec.template
    const first = fill() as { metadata?: Record<string, unknown> }
    first.metadata!['labels'] = {}
    assert.deepEqual(fill(), { metadata: {}, spec: {} })
  })

  it('does not change what it is given', () => {
    const object = Object.freeze({ spec: Object.freeze({ template: Object.freeze({}) }) })
    fillZeros(object, schema('apps', 'v1', 'Deployment'))
    assert.deepEqual(object, { spec: { template: {} } })
  })
})

describe('emptyObject', () => {
  it('has the lists too that upstream writes as null', () => {
    const { spec } = emptyObject(schema('apps', 'v1', 'Deployment')) as { spec: { template: { spec: object } } }
    assert.deepEqual(spec.template.spec, { containers: [] })
  })
})
