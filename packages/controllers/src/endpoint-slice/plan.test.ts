import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Node, Pod, Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import { planSubsets } from '../endpoints/plan.ts'
import { planEndpointSlices } from './plan.ts'
import { describeStrangers } from './service-network.ts'

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

describe('a Service and pods of several networks', () => {
  const inVpc = <T extends Stored<Pod> | Stored<Service>>(object: T, vpc: string): T => ({
    ...object,
    metadata: { ...object.metadata, annotations: { 'centaurus.io/vpc': vpc } },
  })
  const host = podOf('host', '192.0.2.1')
  const pods = [
    podOf('plain', '10.1.0.1'),
    inVpc(podOf('named', '10.1.0.2'), 'default'),
    inVpc(podOf('lab', '10.1.0.1'), 'lab'),
    { ...inVpc(host, 'lab'), spec: { ...host.spec, containers: host.spec!.containers, hostNetwork: true } },
  ]
  const namesOf = (of: Stored<Service>): [string[], string[]] => {
    const { create } = planEndpointSlices({ service: of, pods, nodeOf: () => node, existing: [] })
    const { subsets } = planSubsets(of, pods)
    const flat = subsets.flatMap(({ addresses }) => addresses ?? []).map(({ targetRef }) => targetRef?.name ?? '')
    return [(create[0]?.endpoints ?? []).map(({ targetRef }) => targetRef?.name ?? ''), flat.toSorted()]
  }

  it('has those of its own network, and of their nodes’', () => {
    assert.deepEqual(namesOf(service), [
      ['plain', 'named', 'host'],
      ['host', 'named', 'plain'],
    ])
    assert.deepEqual(namesOf(inVpc(service, 'lab')), [
      ['lab', 'host'],
      ['host', 'lab'],
    ])
  })

  it('says which are left out, and what to do', () => {
    assert.equal(
      describeStrangers(service, pods),
      'It is of Vpc "default", and pods that it selects are of another one, so they are no endpoints: lab; ' +
        'for pods of Vpc "lab" make a Service with the annotation centaurus.io/vpc: lab',
    )
    assert.match(describeStrangers(inVpc(service, 'lab'), pods)!, /named, plain; for pods of Vpc "default"/)
    assert.equal(describeStrangers(service, pods.slice(0, 2)), undefined)
    const many = Array.from({ length: 7 }, (_, i) => inVpc(podOf(`p${i}`, `10.1.0.${i}`), 'lab'))
    assert.match(describeStrangers(service, many)!, /p3, p4 and 2 more;/)
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
