import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  clusterrolebindings,
  clusterroles,
  rolebindings,
  roles,
  type PolicyRule,
  type Subject,
} from '@centaurus/api/rbac/v1'
import fc from 'fast-check'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import { createTestReader, type TestReader } from '../../testing/object-reader.ts'
import type { AuthorizationAttributes } from '../access.ts'
import { forbiddenRequest } from '../../request/authenticate.ts'
import { defaultRbacObjects } from './bootstrap/default-objects.ts'
import { followRbac, RbacPolicy } from './policy.ts'

const RBAC = 'rbac.authorization.k8s.io'

function user(name: string, ...groups: string[]): UserInfo {
  return { name, groups, uid: '', extra: {}, tenant: SYSTEM_TENANT }
}

function ask(
  who: UserInfo,
  verb: string,
  resource: string,
  more: Partial<AuthorizationAttributes> = {},
): AuthorizationAttributes {
  const [name = '', subresource = ''] = resource.split('/')
  return {
    user: who,
    tenant: SYSTEM_TENANT,
    verb,
    isResourceRequest: true,
    path: '',
    group: '',
    version: 'v1',
    resource: name,
    subresource,
    namespace: '',
    name: '',
    ...more,
  }
}

function follow(reader: TestReader): RbacPolicy {
  const policy = new RbacPolicy()
  followRbac(policy, reader, SYSTEM_TENANT)
  return policy
}

describe('RbacPolicy', () => {
  const jane = user('jane', 'dev')
  const rules: PolicyRule[] = [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }]

  it('allows what a cluster role binding gives to a user, and says why', () => {
    const reader = createTestReader()
    const policy = follow(reader)
    reader.put(clusterroles, { metadata: { name: 'reader' }, rules })
    reader.put(clusterrolebindings, {
      metadata: { name: 'readers' },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'reader' },
      subjects: [{ kind: 'Group', name: 'dev' }],
    })
    assert.deepEqual(policy.authorize(ask(jane, 'list', 'pods')), {
      allowed: true,
      reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "dev"',
    })
    assert.equal(policy.authorize(ask(jane, 'delete', 'pods')).allowed, false)
    assert.equal(policy.authorize(ask(jane, 'get', 'pods/log')).allowed, false)
    assert.equal(policy.authorize(ask(user('bob'), 'get', 'pods')).allowed, false)
  })

  it('limits a role binding to its namespace and follows every change at once', () => {
    const reader = createTestReader()
    const policy = follow(reader)
    const allowed = (namespace: string): boolean => policy.authorize(ask(jane, 'get', 'pods', { namespace })).allowed
    assert.equal(allowed('a'), false)
    const binding = {
      metadata: { name: 'b', namespace: 'a' },
      roleRef: { apiGroup: RBAC, kind: 'Role', name: 'r' },
      subjects: [{ kind: 'User', name: 'jane' }],
    }
    reader.put(rolebindings, binding)
    assert.match(
      policy.authorize(ask(jane, 'get', 'pods', { namespace: 'a' })).reason,
      /^RBAC: role.rbac.authorization.k8s.io "r" not found$/,
    )
    reader.put(roles, { metadata: { name: 'r', namespace: 'a' }, rules })
    assert.deepEqual([allowed('a'), allowed('b'), allowed('')], [true, false, false])
    reader.remove(rolebindings, { namespace: 'a', name: 'b' })
    assert.equal(allowed('a'), false)
    reader.put(rolebindings, binding)
    assert.equal(allowed('a'), true)
    reader.put(roles, { metadata: { name: 'r', namespace: 'a' }, rules: [] })
    assert.equal(allowed('a'), false)
  })

  it('takes a service account for the user of its name, in the binding’s namespace unless it says otherwise', () => {
    const reader = createTestReader()
    const policy = follow(reader)
    reader.put(roles, { metadata: { name: 'r', namespace: 'a' }, rules })
    reader.put(rolebindings, {
      metadata: { name: 'b', namespace: 'a' },
      roleRef: { apiGroup: RBAC, kind: 'Role', name: 'r' },
      subjects: [
        { kind: 'ServiceAccount', name: 'x' },
        { kind: 'ServiceAccount', name: 'y', namespace: 'b' },
      ],
    })
    const allowed = (name: string): boolean =>
      policy.authorize(ask(user(name), 'get', 'pods', { namespace: 'a' })).allowed
    assert.equal(allowed('system:serviceaccount:a:x'), true)
    assert.equal(allowed('system:serviceaccount:b:y'), true)
    assert.equal(allowed('system:serviceaccount:a:y'), false)
  })

  it('agrees with a straight reading of the rules', () => {
    const word = fc.constantFrom('a', 'b', '*')
    const words = fc.array(word, { minLength: 1, maxLength: 2 })
    const ruleArbitrary = fc.record({
      verbs: words,
      apiGroups: words,
      resources: fc.array(fc.constantFrom('a', 'b', '*', 'a/s', '*/s'), { minLength: 1, maxLength: 3 }),
      resourceNames: fc.array(fc.constantFrom('n', 'm'), { maxLength: 2 }),
    })
    const asked = fc.record({
      verb: fc.constantFrom('a', 'b'),
      group: fc.constantFrom('a', 'b'),
      resource: fc.constantFrom('a', 'b'),
      subresource: fc.constantFrom('', 's'),
      name: fc.constantFrom('', 'n'),
    })
    fc.assert(
      fc.property(fc.array(ruleArbitrary, { maxLength: 4 }), asked, (some, question) => {
        const reader = createTestReader()
        reader.put(clusterroles, { metadata: { name: 'r' }, rules: some })
        const subjects: Subject[] = [{ kind: 'User', name: 'jane' }]
        reader.put(clusterrolebindings, {
          metadata: { name: 'b' },
          roleRef: { kind: 'ClusterRole', name: 'r' },
          subjects,
        })
        const { allowed } = follow(reader).authorize({ ...ask(jane, '', ''), ...question })
        assert.equal(
          allowed,
          some.some((rule) => allowsPlainly(rule, question)),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('gives everybody discovery, and strangers only what is public', () => {
    const reader = createTestReader()
    for (const role of defaultRbacObjects().clusterRoles) reader.put(clusterroles, role)
    for (const binding of defaultRbacObjects().clusterRoleBindings) reader.put(clusterrolebindings, binding)
    const policy = follow(reader)
    const get = (who: UserInfo, path: string): boolean =>
      policy.authorize({ ...ask(who, 'get', ''), isResourceRequest: false, path }).allowed
    const somebody = user('x', 'system:authenticated')
    const stranger = user('system:anonymous', 'system:unauthenticated')
    assert.deepEqual(
      ['/api', '/apis/apps/v1', '/openapi/v3', '/version', '/metrics'].map((path) => get(somebody, path)),
      [true, true, true, true, false],
    )
    assert.deepEqual(
      ['/livez', '/readyz', '/healthz', '/version', '/api', '/'].map((path) => get(stranger, path)),
      [true, true, true, true, false, false],
    )
    assert.equal(
      policy.authorize(ask(somebody, 'create', 'selfsubjectaccessreviews', { group: 'authorization.k8s.io' })).allowed,
      true,
    )
  })

  it('decides in microseconds with the default roles loaded', () => {
    const reader = createTestReader()
    for (const role of defaultRbacObjects().clusterRoles) reader.put(clusterroles, role)
    for (const binding of defaultRbacObjects().clusterRoleBindings) reader.put(clusterrolebindings, binding)
    const policy = follow(reader)
    const controller = user(
      'system:serviceaccount:kube-system:deployment-controller',
      'system:serviceaccounts',
      'system:authenticated',
    )
    const question = ask(controller, 'update', 'deployments/status', { group: 'apps', namespace: 'default', name: 'x' })
    const rounds = 20_000
    const start = performance.now()
    for (let i = 0; i < rounds; i++) assert.equal(policy.authorize(question).allowed, true)
    const microseconds = ((performance.now() - start) * 1000) / rounds
    assert.ok(microseconds < 20, `one decision took ${microseconds} µs`)
  })
})

describe('defaultRbacObjects', () => {
  const { clusterRoles, clusterRoleBindings, roles: namespaceRoles } = defaultRbacObjects()
  const rulesOf = (name: string): PolicyRule[] => clusterRoles.find((role) => role.metadata.name === name)?.rules ?? []

  it('has upstream’s roles, with the aggregated ones filled in', () => {
    const has = (name: string, resource: string, verb: string): boolean =>
      rulesOf(name).some((rule) => rule.resources?.includes(resource) === true && rule.verbs.includes(verb))
    assert.deepEqual(
      [has('view', 'pods', 'list'), has('view', 'secrets', 'get'), has('edit', 'secrets', 'get')],
      [true, false, true],
    )
    assert.deepEqual(
      [has('edit', 'rolebindings', 'create'), has('admin', 'rolebindings', 'create'), has('admin', 'pods', 'list')],
      [false, true, true],
    )
    assert.deepEqual(rulesOf('cluster-admin'), [
      { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
      { nonResourceURLs: ['*'], verbs: ['*'] },
    ])
    assert.ok(clusterRoles.length > 60 && clusterRoleBindings.length > 50 && namespaceRoles.length > 5)
  })

  it('binds roles that exist', () => {
    const names = new Set(clusterRoles.map((role) => role.metadata.name))
    for (const { roleRef } of clusterRoleBindings) assert.ok(names.has(roleRef.name), roleRef.name)
  })
})

describe('forbiddenRequest', () => {
  it('words the refusal as upstream does', () => {
    const x = user('x')
    assert.equal(
      forbiddenRequest(ask(x, 'list', 'pods', { namespace: 'default' }), '').message,
      'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"',
    )
    assert.equal(
      forbiddenRequest(ask(x, 'patch', 'deployments/scale', { group: 'apps', name: 'd' }), 'why').message,
      'deployments.apps "d" is forbidden: User "x" cannot patch resource "deployments/scale" in API group "apps" at the cluster scope: why',
    )
    assert.equal(
      forbiddenRequest({ ...ask(x, 'get', ''), isResourceRequest: false, path: '/metrics' }, '').message,
      'forbidden: User "x" cannot get path "/metrics"',
    )
  })
})

function allowsPlainly(
  rule: { verbs: string[]; apiGroups: string[]; resources: string[]; resourceNames: string[] },
  asked: { verb: string; group: string; resource: string; subresource: string; name: string },
): boolean {
  const whole = asked.subresource === '' ? asked.resource : `${asked.resource}/${asked.subresource}`
  const resources = asked.subresource === '' ? ['*', whole] : ['*', whole, `*/${asked.subresource}`]
  return (
    rule.verbs.some((verb) => verb === '*' || verb === asked.verb) &&
    rule.apiGroups.some((group) => group === '*' || group === asked.group) &&
    rule.resources.some((resource) => resources.includes(resource)) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(asked.name))
  )
}
