import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const role = kindCases('rbac.authorization.k8s.io', 'Role')
const binding = kindCases('rbac.authorization.k8s.io', 'RoleBinding')
const roleRef = { kind: 'Role', name: 'reader' }

describe('a role', () => {
  it('reports rules without verbs, and URLs in a namespace', () => {
    const rules = [
      { apiGroups: [''], resources: ['pods'], verbs: [] },
      { nonResourceURLs: ['/a'], verbs: ['get'] },
    ]
    assert.deepEqual(role.errorsOf({ rules }), [
      'rules[0].verbs: Required value: verbs must contain at least one value',
      'rules[1].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs',
    ])
  })
})

describe('a role binding', () => {
  it('gets the groups that go without saying', () => {
    const subjects = [
      { kind: 'User', name: 'a' },
      { kind: 'ServiceAccount', name: 'b', namespace: 'c' },
    ]
    const { subjects: found, roleRef: reference } = binding.defaulted({ roleRef, subjects })
    assert.deepEqual(found, [
      { kind: 'User', name: 'a', apiGroup: 'rbac.authorization.k8s.io' },
      { kind: 'ServiceAccount', name: 'b', namespace: 'c' },
    ])
    assert.deepEqual(reference, { ...roleRef, apiGroup: 'rbac.authorization.k8s.io' })
  })

  it('reports a role that is none', () => {
    assert.deepEqual(binding.errorsOf({ roleRef: { kind: 'Rule', name: '' } }), [
      'roleRef.kind: Unsupported value: "Rule": supported values: "Role", "ClusterRole"',
      'roleRef.name: Required value',
    ])
  })

  it('keeps its role', () => {
    assert.deepEqual(binding.updateErrorsOf({ roleRef: { ...roleRef, name: 'other' } }, { roleRef }), [
      'roleRef: Invalid value: {"kind":"Role","name":"other","apiGroup":"rbac.authorization.k8s.io"}: field is immutable',
    ])
  })

  it('shows its row', () => {
    const subjects = [
      { kind: 'User', name: 'a' },
      { kind: 'Group', name: 'g' },
      { kind: 'ServiceAccount', name: 'b', namespace: 'c' },
    ]
    assert.deepEqual(binding.rowOf({ roleRef, subjects }), {
      Name: 'x',
      Role: 'Role/reader',
      Age: '60m',
      Users: 'a',
      Groups: 'g',
      ServiceAccounts: 'c/b',
    })
  })
})
