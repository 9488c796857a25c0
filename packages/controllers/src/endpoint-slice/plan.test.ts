import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Node, Pod, Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import { planSubsets } from '../endpoints/plan.ts'
import { planEndpointSlices } from './plan.ts'

const META = { namespace: 'ns', resourceVersion: '1', creationTimestamp: '' }
const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { ...META, name: 'web', uid: 's', labels: { team: 'a' } },
  spec: {
    selector: { app: 'web' },
    clusterIP: '10.96.0.1',
    ipFamilies: ['IPv4'],
    ports: [{ name: 'http', port: 80, targetPort: 'serve', protocol: 'TCP' }],
  },
} as Stored<Service>

function podOf(name: string, ip: string, { ready = true, deleting = false } = {}): Stored<Pod> {
  return {
    metadata: { ...META, name, uid: name, ...(deleting ? { deletionTimestamp: 'now' } : {}) },
    spec: {
      nodeName: 'n1',
      containers: [{ name: 'c', ports: [{ name: 'serve', containerPort: 8080, protocol: 'TCP' }] }],
    },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }
}

const node = { metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1' } } } as Node
const plan = (pods: readonly Stored<Pod>[], existing: readonly Stored<EndpointSlice>[] = []) =>
  planEndpointSlices({ service, pods, nodeOf: (name) => (name === 'n1' ? node : undefined), existing })

describe('planEndpointSlices', () => {
  it('tells address, port, conditions, node and zone of each pod', () => {
    const { create } = plan([podOf('a', '10.1.0.1'), podOf('b', '10.1.0.2', { deleting: true })])
    assert.equal(create.length, 1)
    const [slice] = create
    assert.deepEqual(slice?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }])
    assert.deepEqual(slice?.metadata.labels, {
      team: 'a',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    })
    assert.deepEqual(slice?.endpoints?.[0], {
      addresses: ['10.1.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', namespace: 'ns', name: 'a', uid: 'a' },
      nodeName: 'n1',
      zone: 'z1',
    })
    assert.deepEqual(slice?.endpoints?.[1]?.conditions, { ready: false, serving: true, terminating: true })
  })

  it('keeps one empty slice for a service without pods', () => {
    const { create } = plan([])
    assert.equal(create.length, 1)
    const stored = {
      ...create[0]!,
      metadata: { ...create[0]!.metadata, ...META, name: 'web-1', uid: 'x' },
    } as Stored<EndpointSlice>
    assert.deepEqual(plan([], [stored]), { create: [], update: [], remove: [] })
    const filled = plan([podOf('a', '10.1.0.1')], [stored])
    assert.equal(filled.update[0]?.to.metadata.name, 'web-1')
  })
})

describe('planEndpointSlices of pods whose nodes are not known', () => {
  it('leaves out a pod whose node is gone, and keeps one whose node cannot be asked for, with its zone', () => {
    const pods = [podOf('a', '10.1.0.1')]
    const [told] = plan(pods).create
    const stored = {
      ...told!,
      metadata: { ...told!.metadata, ...META, name: 'web-1', uid: 'x' },
    } as Stored<EndpointSlice>
    const input = { service, pods, nodeOf: () => undefined, existing: [stored] }
    assert.deepEqual(planEndpointSlices(input).update[0]?.to.endpoints ?? [], [])
    const kept = planEndpointSlices({ ...input, isNodeUnknown: () => true })
    assert.deepEqual(kept, { create: [], update: [], remove: [] })
    const [fresh] = planEndpointSlices({ ...input, existing: [], isNodeUnknown: () => true }).create
    assert.deepEqual(fresh?.endpoints?.[0]?.addresses, ['10.1.0.1'])
    assert.equal(fresh.endpoints[0]?.zone, undefined)
  })
})

describe('planSubsets', () => {
  it('separates ready from unready addresses, sorted', () => {
    const { subsets } = planSubsets(service, [
      podOf('b', '10.1.0.2', { ready: false }),
      podOf('c', '10.1.0.3'),
      podOf('a', '10.1.0.1'),
    ])
    assert.equal(subsets.length, 1)
    assert.deepEqual(
      subsets[0]?.addresses?.map(({ ip }) => ip),
      ['10.1.0.1', '10.1.0.3'],
    )
    assert.deepEqual(
      subsets[0]?.notReadyAddresses?.map(({ ip }) => ip),
      ['10.1.0.2'],
    )
    assert.deepEqual(subsets[0]?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }])
  })
})
