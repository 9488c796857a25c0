import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { subnets, vpcs } from '@centaurus/api/centaurus/v1'
import { events, pods, type Pod } from '@centaurus/api/core/v1'
import { createNetworkExtension } from '@centaurus/apiserver'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startSubnetController } from './reconcile.ts'

function podOn(node: string, name: string, vpc = 'blue'): Pod {
  const metadata = { name, namespace: 'default', annotations: { 'centaurus.io/vpc': vpc } }
  return { metadata, spec: { nodeName: node, containers: [{ name: 'a', image: 'a' }] } }
}

describe('blocks of networks with addresses of their own', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [(deps) => startSubnetController(deps, { idleMs: 30 })],
      extensions: [createNetworkExtension()],
    })
    await plane.client.create(vpcs, { metadata: { name: 'blue' }, spec: { cidr: '10.0.0.0/25' } })
    await plane.client.create(vpcs, { metadata: { name: 'shared' } })
  })
  after(() => plane.close())
  const show = (...expected: string[]) =>
    plane.eventually(async () => {
      const { items } = await plane.client.list(subnets)
      const found = items.map(({ metadata, spec }) => `${metadata.name} ${spec.vpc} ${spec.cidr} ${spec.node}`)
      assert.deepEqual(found.toSorted(), expected)
      return true
    })
  const end = (name: string) => plane.client.delete(pods, { namespace: 'default', name }, { gracePeriodSeconds: 0 })

  it('come with the first pod of a node, and only there', async () => {
    await plane.client.create(pods, podOn('n0', 'default', 'default'))
    await plane.client.create(pods, podOn('n0', 'shared', 'shared'))
    await plane.client.create(pods, podOn('n1', 'a'))
    await show('blue-10-0-0-0 blue 10.0.0.0/26 n1')
    await plane.client.create(pods, podOn('n1', 'b'))
    await plane.client.create(pods, podOn('n2', 'c'))
    await show('blue-10-0-0-0 blue 10.0.0.0/26 n1', 'blue-10-0-0-64 blue 10.0.0.64/26 n2')
  })

  it('are all in use, which is told, until one is given back', async () => {
    await plane.client.create(pods, podOn('n3', 'd'))
    await plane.eventually(async () =>
      (await plane.client.list(events)).items.some(
        ({ reason, message }) => reason === 'NoFreeBlock' && /pods on n3 get no address/.test(message ?? ''),
      ),
    )
    await end('a')
    await end('b')
    await show('blue-10-0-0-0 blue 10.0.0.0/26 n3', 'blue-10-0-0-64 blue 10.0.0.64/26 n2')
  })

  it('go when nobody has had a pod for a while', async () => {
    await end('c')
    await end('d')
    await show()
  })
})
