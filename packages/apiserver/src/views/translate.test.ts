import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { deepClone, deepFreeze, refuseTenantName, type KubeObject } from '@centaurus/api'
import { NAMESPACES } from './references.ts'
import { NameDirectory } from './name-directory.ts'
import { fromQualified, toQualified } from './translate.ts'

const label = fc.oneof(
  fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/),
  fc.stringMatching(/^[a-z0-9][-a-z0-9]{55,61}[a-z0-9]$/),
)
const tenantName = fc
  .stringMatching(/^[a-z]([-a-z0-9]{0,20}[a-z0-9])?$/)
  .filter((name) => refuseTenantName(name) === undefined)

/** A directory in which the tenant has every namespace and every object that the test names. */
function directoryOf(tenant: string, names: readonly string[]): NameDirectory {
  return new NameDirectory({
    tenants: () => [tenant],
    hasTenant: (name) => name === tenant,
    namesOf: () => names,
  })
}

interface Names {
  readonly namespace: string
  readonly other: string
  readonly name: string
}

const SAMPLES: Readonly<Record<string, (names: Names) => object>> = {
  'core/events': ({ namespace, name }) => ({
    metadata: { namespace, name },
    involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace, name },
    related: { kind: 'PersistentVolume', apiVersion: 'v1', name },
  }),
  'core/persistentvolumes': ({ other, name }) => ({
    metadata: { name, annotations: { own: 'yes' } },
    spec: { claimRef: { namespace: other, name }, storageClassName: name },
  }),
  'core/persistentvolumeclaims': ({ namespace, name }) => ({
    metadata: { namespace, name },
    spec: { volumeName: name, storageClassName: name },
  }),
  'rbac.authorization.k8s.io/rolebindings': ({ namespace, other, name }) => ({
    metadata: { namespace, name },
    subjects: [
      { kind: 'ServiceAccount', namespace: other, name },
      { kind: 'User', name },
    ],
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
  }),
  'discovery.k8s.io/endpointslices': ({ namespace, name }) => ({
    metadata: { namespace, name },
    endpoints: [{ addresses: ['10.0.0.1'] }, { targetRef: { kind: 'Pod', namespace, name } }],
  }),
  'core/pods': ({ namespace, other, name }) => ({
    metadata: {
      namespace,
      name,
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Node', name, uid: '1' },
        { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name, uid: '2' },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid: '3' },
      ],
    },
    spec: {
      runtimeClassName: name,
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: 'a', namespaces: [other], namespaceSelector: { matchLabels: { a: other } } },
          ],
        },
      },
    },
  }),
  [NAMESPACES]: ({ name }) => ({ metadata: { name } }),
}

describe('translation between a tenant and the view', () => {
  for (const [resource, sample] of Object.entries(SAMPLES)) {
    it(`comes back to the same ${resource}, and changes nothing that it is given`, () => {
      fc.assert(
        fc.property(tenantName, label, label, label, (tenant, namespace, other, name) => {
          const directory = directoryOf(tenant, [...new Set([namespace, other, name])])
          const names = directory.names(tenant)
          const object = deepFreeze({ kind: 'Any', ...sample({ namespace, other, name }) } as unknown as KubeObject)
          const shown = deepFreeze(toQualified(resource, object, names))
          assert.equal(shown.metadata.annotations?.['centaurus.io/tenant'], tenant)
          assert.deepEqual(fromQualified(resource, shown, names), object)
        }),
      )
    })
  }

  it('renames what leaves the namespace and nothing else', () => {
    const names = directoryOf('acme', []).names('acme')
    const pod = SAMPLES['core/pods']!({ namespace: 'default', other: 'prod', name: 'web' }) as KubeObject
    const shown = toQualified('core/pods', pod, names)
    assert.deepEqual(shown.metadata, {
      ...pod.metadata,
      namespace: 'default--acme',
      annotations: { 'centaurus.io/tenant': 'acme', 'centaurus.io/namespace': 'default' },
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Node', name: 'web', uid: '1' },
        { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: 'web--acme', uid: '2' },
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: '3' },
      ],
    })
    assert.deepEqual((shown as KubeObject & { spec: unknown }).spec, {
      runtimeClassName: 'web--acme',
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            {
              topologyKey: 'a',
              namespaces: ['prod--acme'],
              namespaceSelector: {
                matchLabels: { a: 'prod' },
                matchExpressions: [{ key: 'centaurus.io/tenant', operator: 'In', values: ['acme'] }],
              },
            },
          ],
        },
      },
    })
  })

  it('leaves names of others as they are on the way in', () => {
    const names = directoryOf('acme', []).names('acme')
    const claim = { metadata: { namespace: 'default--acme', name: 'data' }, spec: { storageClassName: 'fast' } }
    const taken = fromQualified('core/persistentvolumeclaims', deepClone(claim) as unknown as KubeObject, names)
    assert.deepEqual(taken, { metadata: { namespace: 'default', name: 'data' }, spec: { storageClassName: 'fast' } })
  })
})

describe('the directory of names', () => {
  const long = 'a'.repeat(63)

  it('knows whose a name is, and refuses what no tenant here has', () => {
    const directory = directoryOf('acme', ['default', long])
    assert.deepEqual(directory.resolve(NAMESPACES, 'default'), { name: 'default', tenant: 'system' })
    assert.deepEqual(directory.resolve(NAMESPACES, 'default--acme'), { name: 'default', tenant: 'acme' })
    assert.equal(directory.resolve(NAMESPACES, 'default--other'), undefined)
    assert.equal(directory.resolve(NAMESPACES, 'default--system'), undefined)
    assert.deepEqual(directory.resolve('core/nodes', 'a--b'), { name: 'a--b', tenant: 'system' })
  })

  it('finds shortened names among those that are there', () => {
    const directory = directoryOf('acme', ['default', long])
    const shortened = directory.names('acme').qualify(NAMESPACES, long)
    assert.equal(shortened.length <= 63, true)
    assert.deepEqual(directory.resolve(NAMESPACES, shortened), { name: long, tenant: 'acme' })
    assert.equal(directoryOf('acme', []).resolve(NAMESPACES, shortened), undefined)
  })

  it('take the tenant’s name out of what controllers tell, and nothing else', () => {
    const names = directoryOf('acme', []).names('acme')
    const told = (message: string): unknown => {
      const event = { metadata: { namespace: 'default--acme', name: 'e' }, message } as KubeObject
      return (fromQualified('core/events', event, names) as { message?: unknown }).message
    }
    assert.equal(told('Assigned default--acme/web to node-1'), 'Assigned default/web to node-1')
    assert.equal(told('claim "default--acme/data" got pvc-1--acme.'), 'claim "default/data" got pvc-1.')
    for (const text of ['default--acme-2/web', 'run with --acme=1', 'x--acmes']) assert.equal(told(text), text)
  })

  it('name a pod alike in its names and in what its node says of it', () => {
    const names = directoryOf('acme', []).names('acme')
    const podIn = (namespace: string): KubeObject => {
      const message = `back-off 10s restarting failed container=main pod=web_${namespace}(u-1)`
      const waiting = { state: { waiting: { reason: 'CrashLoopBackOff', message } } }
      const terminated = { state: { terminated: { exitCode: 1, message: 'pod=web_default(u-2)' } } }
      return {
        metadata: { namespace, name: 'web', uid: 'u-1' },
        status: { containerStatuses: [waiting, terminated] },
      } as KubeObject
    }
    const statusOf = (pod: KubeObject): unknown => (pod as { status?: unknown }).status
    const shown = toQualified('core/pods', podIn('default'), names)
    assert.deepEqual(statusOf(shown), statusOf(podIn('default--acme')))
    assert.deepEqual(fromQualified('core/pods', shown, names), podIn('default'))
  })
})
