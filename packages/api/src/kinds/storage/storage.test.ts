import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

describe('a volume', () => {
  const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('', 'PersistentVolume')
  const spec = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/a' } }

  it('gets defaults', () => {
    assert.deepEqual(defaulted({ spec })['spec'], {
      ...spec,
      hostPath: { path: '/a', type: '' },
      persistentVolumeReclaimPolicy: 'Retain',
      volumeMode: 'Filesystem',
    })
  })

  it('reports what is missing', () => {
    assert.deepEqual(errorsOf({ spec: {} }), [
      'spec.accessModes: Required value',
      'spec.capacity: Required value',
      'spec.capacity: Unsupported value: {}: supported values: "storage"',
      'spec: Required value: must specify a volume type',
    ])
  })

  it('keeps its source', () => {
    const errors = updateErrorsOf({ spec: { ...spec, hostPath: { path: '/b' } } }, { spec })
    assert.equal(errors.length, 1)
    assert.match(
      errors[0]!,
      /^spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation/,
    )
  })

  it('shows its row', () => {
    const bound = { ...spec, claimRef: { namespace: 'n', name: 'c' }, storageClassName: 'fast' }
    assert.deepEqual(rowOf({ spec: bound, status: { phase: 'Bound' } }), {
      Name: 'x',
      Capacity: '1Gi',
      'Access Modes': 'RWO',
      'Reclaim Policy': 'Retain',
      Status: 'Bound',
      Claim: 'n/c',
      StorageClass: 'fast',
      VolumeAttributesClass: '<unset>',
      Reason: '',
      Age: '60m',
      VolumeMode: 'Filesystem',
    })
  })
})

describe('a claim', () => {
  const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('', 'PersistentVolumeClaim')
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }

  it('gets defaults', () => assert.deepEqual(defaulted({ spec })['spec'], { ...spec, volumeMode: 'Filesystem' }))

  it('reports what is missing', () => {
    assert.deepEqual(errorsOf({ spec: {} }), [
      'spec.accessModes: Required value: at least 1 access mode is required',
      'spec.resources[storage]: Required value',
    ])
  })

  it('may grow only, and stays as it is otherwise', () => {
    const now = { spec: { ...spec, accessModes: ['ReadOnlyMany'] } }
    const errors = updateErrorsOf(now, { spec })
    assert.equal(errors.length, 1)
    assert.match(
      errors[0]!,
      /^spec: Forbidden: spec is immutable after creation except resources\.requests and volumeAttributesClassName for bound claims/,
    )
  })

  it('shows its row', () => {
    const status = { phase: 'Bound', capacity: { storage: '2Gi' }, accessModes: ['ReadWriteOnce'] }
    assert.deepEqual(rowOf({ spec: { ...spec, volumeName: 'v' }, status }), {
      Name: 'x',
      Status: 'Bound',
      Volume: 'v',
      Capacity: '2Gi',
      'Access Modes': 'RWO',
      StorageClass: '',
      VolumeAttributesClass: '<unset>',
      Age: '60m',
      VolumeMode: 'Filesystem',
    })
  })
})

describe('a storage class', () => {
  const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('storage.k8s.io', 'StorageClass')

  it('gets defaults', () => {
    const { reclaimPolicy, volumeBindingMode } = defaulted({})
    assert.deepEqual([reclaimPolicy, volumeBindingMode], ['Delete', 'Immediate'])
  })

  it('reports no provisioner', () => assert.deepEqual(errorsOf({}), ['provisioner: Required value']))

  it('keeps its parameters', () => {
    const errors = updateErrorsOf({ provisioner: 'a', parameters: { a: '1' } }, { provisioner: 'a' })
    assert.deepEqual(errors, ['parameters: Invalid value: {"a":"1"}: field is immutable'])
  })

  it('shows which is the default', () => {
    const metadata = { name: 'x', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }
    assert.deepEqual(rowOf({ metadata, provisioner: 'a/b' }), {
      Name: 'x (default)',
      Provisioner: 'a/b',
      ReclaimPolicy: 'Delete',
      VolumeBindingMode: 'Immediate',
      AllowVolumeExpansion: false,
      Age: '60m',
    })
  })
})

describe('a CSI driver', () => {
  const { defaulted, rowOf } = kindCases('storage.k8s.io', 'CSIDriver')

  it('gets defaults', () => {
    assert.deepEqual(defaulted({ spec: {} })['spec'], {
      attachRequired: true,
      podInfoOnMount: false,
      storageCapacity: false,
      fsGroupPolicy: 'ReadWriteOnceWithFSType',
      volumeLifecycleModes: ['Persistent'],
      requiresRepublish: false,
      seLinuxMount: false,
      preventPodSchedulingIfMissing: false,
    })
  })

  it('shows its row', () => assert.equal(rowOf({ spec: {} })['TokenRequests'], '<unset>'))
})
