import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  LOCAL_PROVISIONER,
  LOCAL_VOLUME_NODE_LABEL,
  PROVISIONED_BY,
  RESOURCE_PARTITION_ANNOTATION,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import type { ObjectAddress, StoredChange, StoredEntry } from '@centaurus/apiserver'
import { Closure } from './closure.ts'
import { PODS, referencesOf, TENANT_WIDE, TENANT_WIDE_OBJECTS, VOLUMES } from './needs.ts'

const RP = 'rp'

/** Objects by tenant, resource and key, that tell a closure of each change, as the watch cache does. */
class Objects {
  readonly all = new Map<string, Map<string, StoredEntry>>()
  #revision = 0

  get(tenant: string, resource: string, key: string): StoredEntry | undefined {
    return this.all.get(`${tenant}/${resource}`)?.get(key)
  }

  list(tenant: string, resource: string): Iterable<StoredEntry> {
    return [...(this.all.get(`${tenant}/${resource}`)?.values() ?? [])]
  }

  set({ tenant, resource, key }: ObjectAddress, object: object | undefined): StoredChange | undefined {
    const place = `${tenant}/${resource}`
    const entries = this.all.get(place) ?? new Map<string, StoredEntry>()
    this.all.set(place, entries)
    const previous = entries.get(key)
    if (object === undefined) {
      if (previous === undefined) return undefined
      entries.delete(key)
      return { tenant, type: 'DELETED', object: previous, previous }
    }
    const entry: StoredEntry = {
      key,
      revision: ++this.#revision,
      value: Buffer.from(JSON.stringify(object)),
      object: () => object as Stored<KubeObject>,
    }
    entries.set(key, entry)
    return { tenant, type: previous === undefined ? 'ADDED' : 'MODIFIED', object: entry, previous }
  }
}

/** Everything that the partition needs, found by looking at all there is. */
function findAll(objects: Objects, served: ReadonlySet<string>): Set<string> {
  const found = new Set<string>()
  const visit = (tenant: string, resource: string, key: string): void => {
    const name = `${tenant}/${resource}/${key}`
    const object = objects.get(tenant, resource, key)
    if (object === undefined || found.has(name)) return
    found.add(name)
    for (const reference of referencesOf(resource, object.object())) {
      const [group, kind, ...rest] = reference.split('/')
      visit(tenant, `${group}/${kind}`, rest.join('/'))
    }
  }
  for (const tenant of served) {
    for (const { key, object } of objects.list(tenant, VOLUMES)) {
      const { annotations = {} } = object().metadata
      if (annotations[PROVISIONED_BY] !== undefined && annotations[RESOURCE_PARTITION_ANNOTATION] === RP)
        visit(tenant, VOLUMES, key)
    }
    let pods = 0
    for (const { key, object } of objects.list(tenant, PODS)) {
      const { metadata, spec } = object() as KubeObject & { spec: { nodeName?: string } }
      if (spec.nodeName === undefined || metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION] !== RP) continue
      pods++
      visit(tenant, PODS, key)
    }
    if (pods === 0) continue
    for (const resource of TENANT_WIDE)
      for (const { key } of objects.list(tenant, resource)) visit(tenant, resource, key)
    for (const { resource, key } of TENANT_WIDE_OBJECTS) visit(tenant, resource, key)
  }
  return found
}

const small = fc.integer({ min: 0, max: 2 })
const tenant = fc.constantFrom('acme', 'beta')

interface Step {
  readonly address: ObjectAddress
  readonly object: object | undefined
}

function step(resource: string, namespaced: boolean, spec: fc.Arbitrary<object>): fc.Arbitrary<Step> {
  return fc.record({ tenant, name: small, isGone: fc.boolean(), spec }).map((drawn) => {
    const name = `x${drawn.name}`
    const key = namespaced ? `default/${name}` : name
    const metadata = { name, ...(namespaced ? { namespace: 'default' } : {}) }
    return {
      address: { tenant: drawn.tenant, resource, key },
      object: drawn.isGone
        ? undefined
        : { ...drawn.spec, metadata: { ...metadata, ...(drawn.spec as KubeObject).metadata } },
    }
  })
}

const podSpec = fc
  .record({
    secret: small,
    claim: small,
    configMap: small,
    account: small,
    node: fc.option(fc.constant('n')),
    rp: fc.constantFrom(RP, 'other'),
  })
  .map(({ secret, claim, configMap, account, node, rp }) => ({
    metadata: { annotations: { [RESOURCE_PARTITION_ANNOTATION]: rp } },
    spec: {
      ...(node === null ? {} : { nodeName: node }),
      serviceAccountName: `x${account}`,
      containers: [{ name: 'c', env: [{ name: 'A', valueFrom: { secretKeyRef: { name: `x${secret}`, key: 'k' } } }] }],
      volumes: [
        { name: 'v', persistentVolumeClaim: { claimName: `x${claim}` } },
        { name: 'w', configMap: { name: `x${configMap}` } },
      ],
    },
  }))
const claimSpec = fc.option(small).map((volume) => ({ spec: volume === null ? {} : { volumeName: `x${volume}` } }))
const folder = fc.constantFrom(RP, 'other').map((rp) => ({
  labels: { [LOCAL_VOLUME_NODE_LABEL]: 'n' },
  annotations: { [PROVISIONED_BY]: LOCAL_PROVISIONER, [RESOURCE_PARTITION_ANNOTATION]: rp },
}))
const volumeSpec = fc.record({ secret: small, folder: fc.option(folder) }).map(({ secret, folder: metadata }) => ({
  metadata: metadata ?? {},
  spec: { csi: { driver: 'd', volumeHandle: 'h', nodePublishSecretRef: { namespace: 'default', name: `x${secret}` } } },
}))
const nothing = fc.constant({})
const dnsSettings = fc.record({ tenant, isGone: fc.boolean() }).map(({ tenant: owner, isGone }): Step => {
  const metadata = { namespace: 'kube-system', name: 'centaurus-dns' }
  return {
    address: { tenant: owner, resource: 'core/configmaps', key: 'kube-system/centaurus-dns' },
    object: isGone ? undefined : { metadata },
  }
})

const steps = fc.array(
  fc.oneof(
    { arbitrary: step(PODS, true, podSpec), weight: 4 },
    step('core/secrets', true, nothing),
    step('core/configmaps', true, nothing),
    dnsSettings,
    step('core/serviceaccounts', true, nothing),
    step('core/persistentvolumeclaims', true, claimSpec),
    step('core/persistentvolumes', false, volumeSpec),
    step('core/services', true, nothing),
    step('core/namespaces', false, nothing),
    step('discovery.k8s.io/endpointslices', true, nothing),
  ),
  { maxLength: 60 },
)

describe('what a resource partition needs', () => {
  it('is what looking at everything finds, after each change and from whatever beginning', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(60), async (changes, begin) => {
        const objects = new Objects()
        const served = new Set(['acme', 'beta'])
        const told = new Set<string>()
        let closure: Closure | undefined
        for (const [i, { address, object }] of changes.entries()) {
          const change = objects.set(address, object)
          if (i === begin || closure === undefined) {
            told.clear()
            closure = new Closure(RP, objects, {
              listener: {
                put: ({ tenant: of, resource, key }) => told.add(`${of}/${resource}/${key}`),
                remove: ({ tenant: of, resource, key }) => told.delete(`${of}/${resource}/${key}`),
              },
              isServed: (of) => served.has(of),
            })
            await closure.load(served)
          } else if (change !== undefined) closure.change(address.resource, change)
          const expected = [...findAll(objects, served)].toSorted()
          assert.deepEqual([...told].toSorted(), expected)
          const current = Array.from(closure.current(), ({ address: at }) => `${at.tenant}/${at.resource}/${at.key}`)
          assert.deepEqual(current.toSorted(), expected)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('tells of an object after what it refers to, and takes it away before', () => {
    const objects = new Objects()
    const lines: string[] = []
    const closure = new Closure(RP, objects, {
      listener: {
        put: ({ resource, key }) => lines.push(`put ${resource}/${key}`),
        remove: ({ resource, key }) => lines.push(`remove ${resource}/${key}`),
      },
      isServed: () => true,
    })
    const set = (resource: string, key: string, object: object | undefined): void => {
      const change = objects.set({ tenant: 'acme', resource, key }, object)
      if (change !== undefined) closure.change(resource, change)
    }
    const pod = (secrets: readonly string[]): object => ({
      metadata: { name: 'p', namespace: 'default', annotations: { [RESOURCE_PARTITION_ANNOTATION]: RP } },
      spec: { nodeName: 'n', containers: [], imagePullSecrets: secrets.map((name) => ({ name })) },
    })
    const expect = (...expected: string[]): void => assert.deepEqual(lines.splice(0), expected)
    set('core/namespaces', 'default', { metadata: { name: 'default' } })
    set('core/secrets', 'default/a', { metadata: { name: 'a', namespace: 'default' } })
    expect()
    set(PODS, 'default/p', pod(['a', 'b']))
    expect('put core/namespaces/default', 'put core/secrets/default/a', 'put core/pods/default/p')
    set('core/secrets', 'default/b', { metadata: { name: 'b', namespace: 'default' } })
    expect('put core/secrets/default/b')
    set(PODS, 'default/p', pod(['b']))
    expect('put core/pods/default/p', 'remove core/secrets/default/a')
    set(PODS, 'default/p', undefined)
    expect('remove core/pods/default/p', 'remove core/secrets/default/b', 'remove core/namespaces/default')
    assert.deepEqual(closure.size, { objects: 0, pods: 0 })
  })

  it('costs a change what the changed object refers to, however many pods there are', () => {
    const objects = new Objects()
    let reads = 0
    const counted = {
      get: (...at: Parameters<Objects['get']>) => {
        reads++
        return objects.get(...at)
      },
      list: (...at: Parameters<Objects['list']>) => objects.list(...at),
    }
    const listener = { put() {}, remove() {} }
    const closure = new Closure(RP, counted, { listener, isServed: () => true })
    const put = (name: string, phase: string): number => {
      reads = 0
      const change = objects.set(
        { tenant: 'acme', resource: PODS, key: `default/${name}` },
        {
          metadata: { name, namespace: 'default', annotations: { [RESOURCE_PARTITION_ANNOTATION]: RP } },
          spec: { nodeName: 'n', containers: [], imagePullSecrets: [{ name: 's' }] },
          status: { phase },
        },
      )
      closure.change(PODS, change!)
      return reads
    }
    put('first', 'Pending')
    const early = put('first', 'Running')
    for (let i = 0; i < 5_000; i++) put(`p${i}`, 'Pending')
    assert.equal(put('first', 'Failed'), early)
  })
})
