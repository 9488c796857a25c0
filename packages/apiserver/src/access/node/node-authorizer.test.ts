import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { persistentvolumes, pods } from '@centaurus/api/core/v1'
import { SYSTEM_TENANT } from '../../request/request-info.ts'
import { createTestReader } from '../../testing/object-reader.ts'
import type { AuthorizationAttributes } from '../access.ts'
import { createNodeAuthorizer } from './node-authorizer.ts'
import { followNodeGraph } from './node-graph.ts'

function setUp() {
  const reader = createTestReader()
  const { graph } = followNodeGraph(reader, SYSTEM_TENANT)
  const authorizer = createNodeAuthorizer(() => graph)
  const ask = (verb: string, resource: string, more: Partial<AuthorizationAttributes> = {}, node = 'n1') => {
    const user = { name: `system:node:${node}`, groups: ['system:nodes'], uid: '', extra: {}, tenant: SYSTEM_TENANT }
    const [name = '', subresource = ''] = resource.split('/')
    const nothing = {
      path: '',
      group: '',
      version: 'v1',
      namespace: '',
      name: '',
      tenant: SYSTEM_TENANT,
      isResourceRequest: true,
    }
    return authorizer.authorize({ ...nothing, user, verb, resource: name, subresource, ...more })
  }
  return { reader, ask }
}

const pod = (nodeName?: string) => ({
  metadata: { name: 'p', namespace: 'a' },
  spec: {
    ...(nodeName === undefined ? {} : { nodeName }),
    serviceAccountName: 'sa',
    containers: [{ name: 'c', envFrom: [{ configMapRef: { name: 'cm' } }] }],
    volumes: [
      { name: 's', secret: { secretName: 'sec' } },
      { name: 'v', persistentVolumeClaim: { claimName: 'claim' } },
    ],
  },
})

describe('node authorizer', () => {
  it('opens to a node what its pods use, once they are bound and until they go', () => {
    const { reader, ask } = setUp()
    const secret = { namespace: 'a', name: 'sec' }
    reader.put(pods, pod())
    assert.equal(ask('get', 'secrets', secret).allowed, false)
    reader.put(pods, pod('n1'))
    assert.equal(ask('get', 'secrets', secret).allowed, true)
    assert.equal(ask('get', 'configmaps', { namespace: 'a', name: 'cm' }).allowed, true)
    assert.equal(ask('get', 'persistentvolumeclaims', { namespace: 'a', name: 'claim' }).allowed, true)
    assert.equal(ask('create', 'serviceaccounts/token', { namespace: 'a', name: 'sa' }).allowed, true)
    assert.equal(ask('get', 'pods', { namespace: 'a', name: 'p' }).allowed, true)
    assert.deepEqual(ask('get', 'secrets', secret, 'n2'), {
      allowed: false,
      reason: "no relationship found between node 'n2' and this object",
    })
    reader.remove(pods, { namespace: 'a', name: 'p' })
    assert.equal(ask('get', 'secrets', secret).allowed, false)
  })

  it('follows volumes to their secrets', () => {
    const { reader, ask } = setUp()
    reader.put(pods, pod('n1'))
    reader.put(persistentvolumes, {
      metadata: { name: 'pv' },
      spec: {
        claimRef: { namespace: 'a', name: 'claim' },
        csi: { driver: 'd', volumeHandle: 'h', nodePublishSecretRef: { namespace: 'x', name: 'key' } },
      },
    })
    assert.equal(ask('get', 'persistentvolumes', { name: 'pv' }).allowed, true)
    assert.equal(ask('get', 'secrets', { namespace: 'x', name: 'key' }).allowed, true)
    assert.equal(ask('get', 'secrets', { namespace: 'x', name: 'key' }, 'n2').allowed, false)
  })

  it('never opens anything through a mirror pod', () => {
    const { reader, ask } = setUp()
    const mirror = pod('n1')
    reader.put(pods, {
      ...mirror,
      metadata: { ...mirror.metadata, annotations: { 'kubernetes.io/config.mirror': 'x' } },
    })
    assert.equal(ask('get', 'secrets', { namespace: 'a', name: 'sec' }).allowed, false)
  })

  it('keeps a node to its own node, lease and pods', () => {
    const { ask } = setUp()
    assert.equal(ask('get', 'nodes', { name: 'n1' }).allowed, true)
    assert.equal(ask('get', 'nodes', { name: 'n2' }).reason, "node 'n1' cannot read 'n2', only its own Node object")
    assert.equal(ask('list', 'pods').reason, 'can only list/watch pods with spec.nodeName field selector')
    assert.equal(ask('watch', 'pods', { fieldSelector: 'spec.nodeName=n1' }).allowed, true)
    assert.equal(ask('watch', 'pods', { fieldSelector: 'spec.nodeName=n2' }).allowed, false)
    assert.equal(ask('update', 'pods/status', { namespace: 'a', name: 'p' }).allowed, true)
    const lease = { group: 'coordination.k8s.io', namespace: 'kube-node-lease' }
    assert.equal(ask('update', 'leases', { ...lease, name: 'n1' }).allowed, true)
    assert.equal(ask('update', 'leases', { ...lease, name: 'n2' }).allowed, false)
    assert.equal(ask('list', 'services').allowed, true)
    assert.equal(ask('delete', 'services').allowed, false)
  })

  it('lets a node watch its own volumes and none of another', () => {
    const { ask } = setUp()
    assert.equal(ask('watch', 'persistentvolumes', { labelSelector: 'centaurus.io/node=n1' }).allowed, true)
    for (const labelSelector of [undefined, 'centaurus.io/node=n2', 'centaurus.io/node in (n1,n2)', 'a=b'])
      assert.equal(ask('list', 'persistentvolumes', { labelSelector }).allowed, false)
    assert.equal(ask('update', 'persistentvolumes', { name: 'pv' }).allowed, true, 'node restriction sees the object')
    assert.equal(ask('patch', 'persistentvolumes', { name: 'pv' }).allowed, false)
    assert.equal(ask('create', 'persistentvolumes').allowed, false)
    assert.equal(ask('update', 'persistentvolumes/status', { name: 'pv' }).allowed, false)
  })
})
