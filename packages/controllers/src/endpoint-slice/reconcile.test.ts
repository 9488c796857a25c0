import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { vpcs } from '@centaurus/api/centaurus/v1'
import { events, nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { createNetworkExtension } from '@centaurus/apiserver'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startEndpointSliceController } from './reconcile.ts'

const NAMESPACE = 'default'

describe('slices of a Service with pods of two networks', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [startEndpointSliceController],
      extensions: [createNetworkExtension()],
    })
    await plane.client.create(vpcs, { metadata: { name: 'lab' }, spec: { cidr: '10.20.0.0/16' } })
    await plane.client.create(nodes, { metadata: { name: 'n1' } })
  })
  after(() => plane.close())

  const run = async (name: string, ip: string, vpc?: string): Promise<void> => {
    const annotations = vpc === undefined ? {} : { annotations: { 'centaurus.io/vpc': vpc } }
    const metadata = { namespace: NAMESPACE, name, labels: { app: 'web' }, ...annotations }
    const pod: Pod = { metadata, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'c' }] } }
    const made = await plane.client.create(pods, pod)
    const conditions = [{ type: 'Ready', status: 'True' }]
    await plane.client.updateStatus(pods, {
      ...made,
      status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions },
    })
  }
  const addresses = async (): Promise<string[]> => {
    const { items } = await plane.client.list(endpointslices, { namespace: NAMESPACE })
    return items.flatMap(({ endpoints = [] }) => (endpoints ?? []).flatMap((each) => each.addresses ?? [])).toSorted()
  }
  const told = async (): Promise<string[]> =>
    (await plane.client.list(events)).items
      .filter(({ reason }) => reason === 'PodsOfOtherNetwork')
      .map(({ message = '' }) => message)

  it('have those of its own, and an Event names the others once', async () => {
    const ports = [{ port: 80 }]
    const metadata = { namespace: NAMESPACE, name: 'web' }
    await plane.client.create(services, { metadata, spec: { selector: { app: 'web' }, ports } })
    await run('a', '10.244.0.5')
    await run('b', '10.20.0.5', 'lab')
    await plane.eventually(async () => (await told()).some((message) => /no endpoints: b; /.test(message)))
    await run('c', '10.244.0.6')
    await plane.eventually(async () => (await addresses()).join() === '10.244.0.5,10.244.0.6')
    assert.equal((await told()).length, 1)
  })

  it('follow the network that the Service names', async () => {
    const now = await plane.client.get(services, { namespace: NAMESPACE, name: 'web' })
    const annotations = { 'centaurus.io/vpc': 'lab' }
    await plane.client.update(services, { ...now, metadata: { ...now.metadata, annotations } })
    await plane.eventually(async () => (await addresses()).join() === '10.20.0.5')
  })
})
