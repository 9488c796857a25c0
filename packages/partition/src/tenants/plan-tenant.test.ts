import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject, ResourceType } from '@centaurus/api'
import type { Partition, Tenant } from '@centaurus/api/centaurus/v1'
import { planClasses } from './plan-classes.ts'
import { planDeletion } from './plan-deletion.ts'
import { planTenant, type TenantStep } from './plan-tenant.ts'

const condition = (type: string, status: string) => ({ type, status, reason: 'R', message: '', lastTransitionTime: '' })

function partition(name: string, spec: Partial<Partition['spec']> = {}, ready = 'True'): Partition {
  return {
    metadata: { name },
    spec: { roles: ['Tenant'], endpoints: ['https://x'], ...spec },
    status: { conditions: [condition('Ready', ready)] },
  }
}

const HOME = partition('home', { home: true })

function tenant(status: Tenant['status'], spec: Tenant['spec'] = {}, deleted = false): Tenant {
  const metadata = { name: 'acme', ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) }
  return { metadata, spec, status }
}

const plan = (self: string, subject: Tenant, partitions: Partition[], others: Tenant[] = []): TenantStep =>
  planTenant(subject, { self, partitions, tenants: others })

describe('planTenant', () => {
  it('places a tenant where the fewest are, among those that take some', () => {
    const partitions = [
      HOME,
      partition('p1'),
      partition('p2', { roles: ['Resource'] }),
      partition('p3', { draining: true }),
      partition('p4', {}, 'Unknown'),
    ]
    const there = { metadata: { name: 'x' }, status: { partition: 'home' } }
    assert.deepEqual(plan('home', tenant(undefined), partitions, [there]), { type: 'place', partition: 'p1' })
    assert.deepEqual(plan('home', tenant(undefined), partitions), { type: 'place', partition: 'home' })
    assert.deepEqual(plan('p1', tenant(undefined), partitions), { type: 'nothing' })
  })

  it('puts it where it wants, or says why it waits', () => {
    const partitions = [HOME, partition('p1'), partition('p2', { draining: true })]
    assert.deepEqual(plan('home', tenant({}, { partition: 'p1' }), partitions), { type: 'place', partition: 'p1' })
    for (const [wanted, why] of [
      ['p2', /is draining/],
      ['p9', /does not exist/],
    ] as const) {
      const step = plan('home', tenant({}, { partition: wanted }), partitions)
      assert.ok(step.type === 'wait')
      assert.match(step.why, why)
    }
    assert.equal(plan('home', tenant({}), [partition('home', { home: true }, 'False')]).type, 'wait')
  })

  it('gives each partition its part, and a deleted tenant its end', () => {
    const partitions = [HOME, partition('p1')]
    const at = (phase: 'Pending' | 'Active' | 'Moving') => ({ partition: 'p1', phase, epoch: 1 })
    assert.equal(plan('p1', tenant(at('Pending')), partitions).type, 'bootstrap')
    assert.equal(plan('p1', tenant(at('Active')), partitions).type, 'keep')
    assert.equal(plan('p1', tenant(at('Moving')), partitions).type, 'nothing')
    assert.equal(plan('home', tenant(at('Active')), partitions).type, 'nothing')
    assert.equal(plan('p1', tenant(at('Active'), {}, true), partitions).type, 'terminate')
    assert.equal(plan('home', tenant(at('Active'), {}, true), partitions).type, 'nothing')
    assert.equal(plan('home', tenant(undefined, {}, true), partitions).type, 'release')
  })
})

describe('planClasses', () => {
  const offered = (name: string, value: string): KubeObject & { value: string } => ({
    metadata: { name, uid: 'u', resourceVersion: '7', labels: { 'centaurus.io/offered': 'true' } },
    value,
  })

  it('copies what is offered, follows it, and leaves a tenant’s own alone', () => {
    const own: KubeObject & { value: string } = { metadata: { name: 'mine' }, value: 'own' }
    const present = [offered('changed', 'old'), offered('gone', 'x'), offered('same', 's'), own]
    const system = [
      offered('new', 'n'),
      offered('changed', 'new'),
      offered('same', 's'),
      offered('mine', 'theirs'),
      { metadata: { name: 'private' }, value: 'p' },
    ]
    const result = planClasses(system, present)
    assert.deepEqual(
      result.create.map(({ metadata }) => metadata),
      [{ name: 'new', labels: { 'centaurus.io/offered': 'true' } }],
    )
    assert.deepEqual(
      result.update.map(({ metadata, value }) => [metadata.name, metadata.resourceVersion, value]),
      [['changed', '7', 'new']],
    )
    assert.deepEqual(result.remove, ['gone'])
  })
})

describe('planDeletion', () => {
  const type = (group: string, resource: string, namespaced = true): ResourceType<KubeObject> => ({
    group,
    version: 'v1',
    resource,
    kind: resource,
    namespaced,
  })
  const names = (types: ResourceType<KubeObject>[]): string[] => types.map(({ resource }) => resource)

  it('takes what makes things before what it makes, and namespaces when they are empty', () => {
    const content = [
      type('', 'namespaces', false),
      type('rbac.authorization.k8s.io', 'clusterroles', false),
      type('', 'pods'),
      type('', 'configmaps'),
      type('', 'persistentvolumeclaims'),
      type('apps', 'deployments'),
    ].map((entry) => ({ type: entry, count: 1 }))
    assert.deepEqual(names(planDeletion(content)), ['deployments', 'pods', 'configmaps', 'persistentvolumeclaims'])
    const empty = content.map((entry) => (entry.type.namespaced ? { ...entry, count: 0 } : entry))
    assert.deepEqual(names(planDeletion(empty)), ['namespaces'])
    assert.deepEqual(planDeletion([]), [])
  })

  it('takes volumes before namespaces, then definitions, and roles at the end', () => {
    const content = [
      type('rbac.authorization.k8s.io', 'clusterroles', false),
      type('apiextensions.k8s.io', 'customresourcedefinitions', false),
      type('storage.k8s.io', 'storageclasses', false),
      type('', 'persistentvolumes', false),
    ].map((entry) => ({ type: entry, count: 1 }))
    assert.deepEqual(names(planDeletion(content)), ['storageclasses', 'persistentvolumes'])
    assert.deepEqual(names(planDeletion(content.slice(0, 2))), ['customresourcedefinitions'])
    assert.deepEqual(names(planDeletion(content.slice(0, 1))), ['clusterroles'])
  })
})
