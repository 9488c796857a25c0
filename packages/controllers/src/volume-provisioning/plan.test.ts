import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Node, PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { localStorageClass, planProvisioning, type ProvisioningPlan } from './plan.ts'

const STORED = { resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }
const SELECTED = { 'volume.kubernetes.io/selected-node': 'n1' }
const node: Stored<Node> = {
  metadata: {
    ...STORED,
    name: 'n1',
    uid: 'n',
    labels: { 'kubernetes.io/hostname': 'host-1' },
    annotations: { 'centaurus.io/local-volumes': '/data/local-volumes/' },
  },
}

function claim(
  annotations: Record<string, string> | undefined,
  more: PersistentVolumeClaim['spec'] = {},
): Stored<PersistentVolumeClaim> {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...more }
  return { metadata: { ...STORED, name: 'data', namespace: 'a', uid: 'u', annotations }, spec }
}

describe('planProvisioning', () => {
  it('makes a folder of the selected node, under a name that only depends on the claim', () => {
    const plan = planProvisioning(claim(SELECTED), { storageClass: localStorageClass, node })
    assert.equal(plan.type, 'create')
    const { metadata, spec } = (plan as ProvisioningPlan & { type: 'create' }).volume
    assert.deepEqual(metadata, {
      name: 'pvc-u',
      labels: { 'centaurus.io/node': 'n1' },
      annotations: { 'pv.kubernetes.io/provisioned-by': 'centaurus.io/local' },
      finalizers: ['centaurus.io/local-volume'],
    })
    assert.equal(spec?.local?.path, '/data/local-volumes/pvc-u')
    assert.deepEqual(spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values, ['host-1'])
    assert.deepEqual([spec?.capacity?.['storage'], spec?.claimRef?.uid], ['1Gi', 'u'])
    assert.deepEqual([spec?.persistentVolumeReclaimPolicy, spec?.storageClassName], ['Delete', 'local'])
  })

  it('makes the volume for the tenant that the claim is of, in the names of views over all tenants', () => {
    const mine = claim(SELECTED)
    const annotations = { ...mine.metadata.annotations, 'centaurus.io/tenant': 'acme' }
    const input = { storageClass: localStorageClass, node }
    const plan = planProvisioning({ ...mine, metadata: { ...mine.metadata, annotations } }, input)
    const { metadata, spec } = (plan as ProvisioningPlan & { type: 'create' }).volume
    assert.deepEqual([metadata.name, spec?.local?.path], ['pvc-u--acme', '/data/local-volumes/pvc-u'])
  })

  it('says which partition has the node, so that the node hears of it whoever uses it', () => {
    const plan = planProvisioning(claim(SELECTED), { storageClass: localStorageClass, node, resourcePartition: 'rp1' })
    const { metadata } = (plan as ProvisioningPlan & { type: 'create' }).volume
    assert.equal(metadata.annotations?.['centaurus.io/resource-partition'], 'rp1')
  })

  const cases: [string, Stored<PersistentVolumeClaim>, Partial<Parameters<typeof planProvisioning>[1]>, string][] = [
    ['waits for the scheduler', claim(undefined), {}, 'none'],
    [
      'leaves other provisioners alone',
      claim(SELECTED),
      { storageClass: { ...localStorageClass, provisioner: 'x' } },
      'none',
    ],
    ['leaves bound claims alone', claim(SELECTED, { volumeName: 'v' }), {}, 'none'],
    [
      'says that it needs a node',
      claim(undefined),
      { storageClass: { ...localStorageClass, volumeBindingMode: 'Immediate' } },
      'fail',
    ],
    ['makes no block devices', claim(SELECTED, { volumeMode: 'Block' }), {}, 'fail'],
    ['chooses by no selector', claim(SELECTED, { selector: {} }), {}, 'fail'],
    ['gives the node back when it is gone', claim(SELECTED), { node: undefined }, 'reschedule'],
    [
      'gives a node back that keeps none',
      claim(SELECTED),
      { node: { metadata: { ...node.metadata, annotations: {} } } },
      'reschedule',
    ],
  ]
  for (const [title, item, input, expected] of cases) {
    it(title, () => {
      assert.equal(planProvisioning(item, { storageClass: localStorageClass, node, ...input }).type, expected)
    })
  }
})
