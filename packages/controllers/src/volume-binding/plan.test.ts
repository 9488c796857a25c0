import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { PersistentVolume, PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { chooseVolume, planUnbound, planVolume } from './plan.ts'

const STORED = { resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }
const REF = { namespace: 'a', name: 'data', uid: 'u' }
const PROVISIONED = { 'pv.kubernetes.io/provisioned-by': 'x' }

function claim(
  spec: PersistentVolumeClaim['spec'],
  annotations?: Record<string, string>,
): Stored<PersistentVolumeClaim> {
  return { metadata: { ...STORED, name: 'data', namespace: 'a', uid: 'u', annotations }, spec }
}

function volume(
  spec: PersistentVolume['spec'],
  annotations?: Record<string, string>,
  phase?: string,
): Stored<PersistentVolume> {
  return {
    metadata: { ...STORED, name: 'v', uid: 'v', annotations },
    spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...spec },
    ...(phase === undefined ? {} : { status: { phase } }),
  }
}

describe('planVolume', () => {
  const bound = claim({ volumeName: 'v' })
  const elsewhere = claim({ volumeName: 'other' })
  const drop = { persistentVolumeReclaimPolicy: 'Delete', claimRef: REF }
  const cases: [string, Stored<PersistentVolume>, Stored<PersistentVolumeClaim> | undefined, string][] = [
    ['free', volume({}), undefined, 'Available'],
    ['reserved by name', volume({ claimRef: { ...REF, uid: undefined } }), bound, 'Available'],
    ['bound', volume({ claimRef: REF }), bound, 'Bound'],
    ['claim not there yet', volume({ claimRef: REF }), claim({}), 'wait'],
    ['kept after its claim', volume({ claimRef: REF, persistentVolumeReclaimPolicy: 'Retain' }), undefined, 'Released'],
    ['left to its provisioner', volume(drop, PROVISIONED), undefined, 'Released'],
    ['nobody can delete it', volume(drop), undefined, 'Failed VolumeFailedDelete'],
    [
      'nobody can recycle it',
      volume({ ...drop, persistentVolumeReclaimPolicy: 'Recycle' }),
      undefined,
      'Failed VolumeFailedRecycle',
    ],
    ['failed before', volume(drop, undefined, 'Failed'), undefined, 'Failed'],
    ['spare, provisioned', volume(drop, PROVISIONED), elsewhere, 'Released'],
    ['spare, static', volume(drop), elsewhere, 'unbind'],
    ['of an older claim of that name', volume({ claimRef: { ...REF, uid: 'old' } }), bound, 'Released'],
  ]
  for (const [title, item, its, expected] of cases) {
    it(`${title}: ${expected}`, () => {
      const plan = planVolume(item, its)
      const text = plan.type === 'phase' ? [plan.phase, plan.failure?.reason].filter(Boolean).join(' ') : plan.type
      assert.equal(text, expected)
    })
  }
})

describe('planUnbound', () => {
  const delayed = { metadata: { name: 'c' }, provisioner: 'x', volumeBindingMode: 'WaitForFirstConsumer' }
  const cases: [string, Stored<PersistentVolumeClaim>, Parameters<typeof planUnbound>[1], string][] = [
    ['no class', claim({}), { storageClass: undefined, waitingPods: [] }, 'wait FailedBinding'],
    ['class is missing', claim({ storageClassName: 'c' }), { storageClass: undefined, waitingPods: [] }, 'fail'],
    [
      'no pod',
      claim({ storageClassName: 'c' }),
      { storageClass: delayed, waitingPods: [] },
      'wait WaitForFirstConsumer',
    ],
    [
      'pod without node',
      claim({ storageClassName: 'c' }),
      { storageClass: delayed, waitingPods: ['p'] },
      'wait WaitForPodScheduled',
    ],
    [
      'node selected',
      claim({ storageClassName: 'c' }, { 'volume.kubernetes.io/selected-node': 'n' }),
      { storageClass: delayed, waitingPods: [] },
      'provision',
    ],
    [
      'immediate',
      claim({ storageClassName: 'c' }),
      { storageClass: { ...delayed, volumeBindingMode: 'Immediate' }, waitingPods: [] },
      'provision',
    ],
    [
      'no provisioner',
      claim({ storageClassName: 'c' }),
      { storageClass: { metadata: { name: 'c' }, provisioner: 'kubernetes.io/no-provisioner' }, waitingPods: [] },
      'fail',
    ],
    [
      'volume named',
      claim({ storageClassName: 'c', volumeName: 'v' }),
      { storageClass: delayed, waitingPods: [] },
      'none',
    ],
  ]
  for (const [title, item, input, expected] of cases) {
    it(`${title}: ${expected}`, () => {
      const plan = planUnbound(item, input)
      assert.equal(plan.type === 'wait' ? `wait ${plan.reason}` : plan.type, expected)
    })
  }
})

describe('chooseVolume', () => {
  it('gives a delayed claim only what is reserved for it', () => {
    const wanted = claim({ accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } })
    assert.equal(chooseVolume(wanted, [volume({})])?.metadata.name, 'v')
    assert.equal(chooseVolume(wanted, [volume({})], { delayed: true }), undefined)
    assert.equal(chooseVolume(wanted, [volume({ claimRef: REF })], { delayed: true })?.metadata.name, 'v')
  })
})
