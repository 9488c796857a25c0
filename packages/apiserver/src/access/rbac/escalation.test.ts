import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '@centaurus/api'
import { clusterrolebindings, clusterroles, type PolicyRule } from '@centaurus/api/rbac/v1'
import type { CheckedWrite } from '../../extension.ts'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import { createTestReader } from '../../testing/object-reader.ts'
import { planAggregation } from './aggregation.ts'
import { createEscalationChecks } from './escalation.ts'
import { followRbac, RbacPolicy } from './policy.ts'
import { planBindingUpdate, planRoleUpdate } from './reconcile.ts'

const jane: UserInfo = { name: 'jane', groups: ['dev'], uid: '', extra: {}, tenant: SYSTEM_TENANT }

function check(held: PolicyRule[], resource: string, object: KubeObject, old?: KubeObject): void {
  const reader = createTestReader()
  reader.put(clusterroles, { metadata: { name: 'held' }, rules: held })
  reader.put(clusterroles, {
    metadata: { name: 'secret-reader' },
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list'] }],
  })
  reader.put(clusterrolebindings, {
    metadata: { name: 'b' },
    roleRef: { kind: 'ClusterRole', name: 'held' },
    subjects: [{ kind: 'User', name: 'jane' }],
  })
  const policy = new RbacPolicy()
  followRbac(policy, reader, SYSTEM_TENANT)
  const write: CheckedWrite = {
    operation: old === undefined ? 'create' : 'update',
    object,
    old,
    user: jane,
    info: {
      tenant: SYSTEM_TENANT,
      isResourceRequest: true,
      verb: 'create',
      path: '',
      group: 'rbac.authorization.k8s.io',
      version: 'v1',
      namespace: '',
      resource,
      subresource: '',
      name: '',
      rest: [],
    },
  }
  const checks = createEscalationChecks({
    policies: {
      rulesFor: (user, { namespace }) => policy.rulesFor(user, namespace),
      rulesOfRole: (ref, { namespace }) => policy.rulesOfRole(ref, namespace),
    },
    authorizer: policy,
  })
  checks.find((entry) => entry.resource === resource)?.check(write)
}

const role = (rules: PolicyRule[]): KubeObject => ({ metadata: { name: 'new' }, rules }) as KubeObject
const binding = {
  metadata: { name: 'new' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'secret-reader' },
} as KubeObject

describe('escalation checks', () => {
  it('refuse a role that gives more than its author holds', () => {
    const held = [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }]
    assert.doesNotThrow(() =>
      check(held, 'clusterroles', role([{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }])),
    )
    assert.throws(
      () =>
        check(
          held,
          'clusterroles',
          role([{ apiGroups: [''], resources: ['pods', 'secrets'], verbs: ['get', 'list'] }]),
        ),
      {
        message:
          'clusterroles.rbac.authorization.k8s.io "new" is forbidden: user "jane" (groups=["dev"]) is attempting to grant RBAC permissions not currently held:\n' +
          '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}\n{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
      },
    )
  })

  it('let who may escalate or bind go on', () => {
    const escalate = [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'], verbs: ['escalate'] }]
    assert.doesNotThrow(() =>
      check(escalate, 'clusterroles', role([{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])),
    )
    const bind = [
      {
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['clusterroles'],
        resourceNames: ['secret-reader'],
        verbs: ['bind'],
      },
    ]
    assert.doesNotThrow(() => check(bind, 'clusterrolebindings', binding))
    assert.throws(
      () => check([], 'clusterrolebindings', binding),
      /attempting to grant RBAC permissions not currently held/,
    )
  })

  it('let the garbage collector take finalizers off', () => {
    const old = { ...binding, metadata: { ...binding.metadata, finalizers: ['x'] } }
    assert.doesNotThrow(() => check([], 'clusterrolebindings', binding, old))
  })
})

describe('planAggregation', () => {
  it('gathers the rules of matching roles once, and nothing when they are there', () => {
    const rule = { apiGroups: [''], resources: ['pods'], verbs: ['get'] }
    const sum = {
      metadata: { name: 'sum' },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] },
      rules: [] as PolicyRule[],
    }
    const parts = ['a', 'b'].map((name) => ({ metadata: { name, labels: { part: 'yes' } }, rules: [rule] }))
    const [step, ...rest] = planAggregation([sum, ...parts])
    assert.deepEqual([step?.rules, rest], [[rule], []])
    assert.deepEqual(planAggregation([{ ...sum, rules: [rule] }, ...parts]), [])
  })
})

describe('default role updates', () => {
  const meta = { name: 'r', labels: { a: 'b' } }
  const rule = (verb: string): PolicyRule => ({ apiGroups: [''], resources: ['pods'], verbs: [verb] })

  it('give back what was lost and keep what was added', () => {
    const wanted = { metadata: meta, rules: [rule('get'), rule('list')] }
    const existing = { metadata: meta, rules: [rule('get'), rule('delete')] }
    assert.deepEqual(planRoleUpdate(existing, wanted)?.rules, [rule('get'), rule('delete'), rule('list')])
    assert.equal(planRoleUpdate({ metadata: meta, rules: [rule('*')] }, wanted), undefined)
  })

  it('replace a binding whose role is another', () => {
    const roleRef = { kind: 'ClusterRole', name: 'r' }
    const subjects = [{ kind: 'User', name: 'u' }]
    assert.equal(
      planBindingUpdate(
        { metadata: meta, roleRef: { ...roleRef, name: 'x' }, subjects },
        { metadata: meta, roleRef, subjects },
      ),
      'replace',
    )
    assert.deepEqual(
      planBindingUpdate({ metadata: meta, roleRef, subjects: [] }, { metadata: meta, roleRef, subjects }),
      {
        metadata: meta,
        roleRef,
        subjects,
      },
    )
    assert.equal(
      planBindingUpdate({ metadata: meta, roleRef, subjects }, { metadata: meta, roleRef, subjects }),
      undefined,
    )
  })
})
