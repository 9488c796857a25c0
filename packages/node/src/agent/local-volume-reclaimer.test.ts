import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Stored } from '@centaurus/api'
import type { PersistentVolume } from '@centaurus/api/core/v1'

import { planReclaim } from './local-volume-reclaimer.ts'

interface VolumeInput {
  readonly node?: string
  readonly phase: string
  readonly policy?: string
  readonly deleted?: boolean
  readonly finalizers?: string[]
}

function volume(input: VolumeInput): Stored<PersistentVolume> {
  const { node = 'n1', phase, policy = 'Delete', deleted = false, finalizers = ['centaurus.io/local-volume'] } = input
  return {
    metadata: {
      name: 'pv',
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { 'centaurus.io/node': node },
      annotations: { 'pv.kubernetes.io/provisioned-by': 'centaurus.io/local' },
      finalizers,
      ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { persistentVolumeReclaimPolicy: policy, local: { path: '/volumes/pv' } },
    status: { phase },
  }
}

describe('planReclaim', () => {
  const cases: [string, VolumeInput, string][] = [
    ['bound', { phase: 'Bound' }, 'leave'],
    ['bound and deleted', { phase: 'Bound', deleted: true }, 'leave'],
    ['released', { phase: 'Released' }, 'remove, delete'],
    ['released and deleted', { phase: 'Released', deleted: true }, 'remove, finalize'],
    ['released and deleted, with our part done', { phase: 'Released', deleted: true, finalizers: [] }, 'leave'],
    ['released, to be kept', { phase: 'Released', policy: 'Retain' }, 'leave'],
    ['deleted, its data to be kept', { phase: 'Released', policy: 'Retain', deleted: true }, 'finalize'],
    ['free', { phase: 'Available' }, 'leave'],
    ['free and deleted', { phase: 'Available', deleted: true }, 'remove, finalize'],
    ['not seen by the binder yet', { phase: 'Pending', deleted: true }, 'leave'],
    ['of another node', { phase: 'Released', node: 'n2' }, 'leave'],
  ]
  for (const [title, input, expected] of cases) {
    it(`${title}: ${expected}`, () => {
      const plan = planReclaim('n1', volume(input))
      assert.equal(
        plan === undefined ? 'leave' : [plan.removesData ? 'remove' : '', plan.next].filter(Boolean).join(', '),
        expected,
      )
    })
  }
})
