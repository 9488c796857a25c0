import assert from 'node:assert/strict'
import { afterEach, before, beforeEach, describe, it } from 'node:test'
import {
  isStatus,
  LOCAL_PROVISIONER,
  LOCAL_VOLUME_FINALIZER,
  LOCAL_VOLUME_NODE_LABEL,
  PROVISIONED_BY,
  RESOURCE_PARTITION_ANNOTATION,
} from '@centaurus/api'
import type { PartitionRole } from '@centaurus/api/centaurus/v1'
import { configmaps, events, persistentvolumes, pods, secrets, serviceaccounts, services } from '@centaurus/api/core/v1'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import type { OpenLink } from '../membership/partition-link.ts'
import {
  addNode,
  putPartitions,
  putTenant,
  runPod,
  startPartition,
  until,
  type TestPartition,
} from './testing/world.ts'

interface Named {
  readonly namespace: string
  readonly name: string
}

const ROLES: Record<string, PartitionRole[]> = { tp: ['Tenant'], rp: ['Resource'] }

describe('the relay', () => {
  let certificates: ClusterCertificates
  let stores: { tp: Store; rp: Store; tp2?: Store; other?: Store }
  let tp: TestPartition
  let rp: TestPartition
  let open: Set<TestPartition>
  /** What went from `rp` to `tp`. */
  const counts = { streams: 0, puts: 0, deletes: 0, batches: 0, items: 0 }

  const countLinks =
    (openLink: OpenLink): OpenLink =>
    (partition) => {
      const link = openLink(partition)
      return {
        request(options) {
          if (options.path !== '/partition/v1/batch') return link.request(options)
          counts.batches++
          counts.items += (options.body as { items: unknown[] }).items.length
          return link.request(options)
        },
        stream(options) {
          counts.streams++
          const onLine = (line: Uint8Array): void => {
            const text = Buffer.from(line).toString('latin1')
            if (text.startsWith('{"type":"PUT"')) counts.puts++
            if (text.startsWith('{"type":"DELETE"')) counts.deletes++
            options.onLine(line)
          }
          return link.stream({ ...options, onLine })
        },
        close: () => link.close(),
      }
    }

  const start = async (name: 'tp' | 'rp' | 'tp2' | 'other'): Promise<TestPartition> => {
    const partition = await startPartition({
      name,
      store: stores[name]!,
      certificates,
      wrapLink: name === 'rp' ? countLinks : undefined,
    })
    open.add(partition)
    return partition
  }
  const stop = async (partition: TestPartition): Promise<void> => {
    open.delete(partition)
    await partition.close()
  }
  const introduce = (): Promise<void> => putPartitions([tp, rp], ROLES)

  before(async () => {
    certificates = await openClusterCertificates()
  })
  beforeEach(async () => {
    stores = { tp: createMemoryStore(), rp: createMemoryStore(), other: createMemoryStore() }
    open = new Set()
    Object.assign(counts, { streams: 0, puts: 0, deletes: 0, batches: 0, items: 0 })
    tp = await start('tp')
    rp = await start('rp')
    for (const node of ['n1', 'n2']) await addNode(rp, node)
    await introduce()
    for (const tenant of ['acme', 'beta']) await putTenant([tp, rp], tenant, 'tp')
  })
  afterEach(async () => {
    for (const partition of open) await partition.close()
    for (const store of Object.values(stores)) await store.close()
  })

  const namesOn = async (agent: Client, node: string): Promise<string[]> => {
    const { items } = await agent.list(pods, { fieldSelector: `spec.nodeName=${node}` })
    return items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  }
  const env = (name: string) => ({
    containers: [{ name: 'c', image: 'i', env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name, key: 'key' } } }] }],
  })
  const putSecret = (tenant: string, name: string, key: string): Promise<unknown> =>
    tp.of(tenant).create(secrets, { metadata: { namespace: 'default', name }, stringData: { key } })
  const readSecret = async (agent: Client, namespace: string, name: string): Promise<string> =>
    Buffer.from((await agent.get(secrets, { namespace, name })).data?.['key'] ?? '', 'base64').toString()

  it('gives nodes the pods of every tenant and what they use, and no more', async () => {
    for (const tenant of ['acme', 'beta']) {
      await putSecret(tenant, 'key', tenant)
      await putSecret(tenant, 'other', 'not for nodes')
      await runPod(tp.of(tenant), { name: 'web', node: 'n1', partition: 'rp', spec: env('key') })
    }
    const agent = await rp.agent('n1')
    await until('both pods are there', async () => (await namesOn(agent, 'n1')).length === 2)
    assert.deepEqual(await namesOn(agent, 'n1'), ['default--acme/web', 'default--beta/web'])
    assert.equal(await readSecret(agent, 'default--acme', 'key'), 'acme')
    assert.equal(await readSecret(agent, 'default--beta', 'key'), 'beta')
    const { annotations } = (await agent.get(pods, { namespace: 'default--acme', name: 'web' })).metadata
    assert.deepEqual(annotations, {
      'centaurus.io/namespace': 'default',
      'centaurus.io/resource-partition': 'rp',
      'centaurus.io/tenant': 'acme',
    })
    await assert.rejects(readSecret(agent, 'default--acme', 'other'), /no relationship found/)
    assert.deepEqual(
      Array.from(rp.server.server.stored.list('acme', 'core/secrets'), ({ key }) => key),
      ['default/key'],
    )
    await tp.of('acme').create(services, {
      metadata: { namespace: 'default', name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    })
    await until('the service is there', async () =>
      (await agent.list(services)).items.some(
        ({ metadata }) => metadata.namespace === 'default--acme' && metadata.name === 'web',
      ),
    )
    assert.equal(counts.streams, 1)
  })

  it('follows changes and takes away what no pod uses any more', async () => {
    await putSecret('acme', 'a', '1')
    await putSecret('acme', 'b', '1')
    await runPod(tp.of('acme'), { name: 'one', node: 'n1', partition: 'rp', spec: env('a') })
    await runPod(tp.of('acme'), { name: 'two', node: 'n2', partition: 'rp', spec: env('a') })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    const secret = await tp.of('acme').get(secrets, { namespace: 'default', name: 'a' })
    await tp.of('acme').update(secrets, { ...secret, stringData: { key: '2' } })
    await until('the secret changed', async () => (await readSecret(agent, 'default--acme', 'a')) === '2')
    const keys = (): string[] => Array.from(rp.server.server.stored.list('acme', 'core/secrets'), ({ key }) => key)
    await tp.of('acme').delete(pods, { namespace: 'default', name: 'one' }, { gracePeriodSeconds: 0 })
    await until('the pod is gone', async () => (await namesOn(agent, 'n1')).length === 0)
    assert.deepEqual(keys(), ['default/a'])
    await tp.of('acme').delete(pods, { namespace: 'default', name: 'two' }, { gracePeriodSeconds: 0 })
    await until('nothing is left', () => keys().length === 0)
  })

  it('lets a node remove the folder of a volume that nobody uses any more', async () => {
    const annotations = { [PROVISIONED_BY]: LOCAL_PROVISIONER, [RESOURCE_PARTITION_ANNOTATION]: 'rp' }
    const labels = { [LOCAL_VOLUME_NODE_LABEL]: 'n1' }
    const metadata = { name: 'pvc-1', labels, annotations, finalizers: [LOCAL_VOLUME_FINALIZER] }
    const spec = {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '1Gi' },
      local: { path: '/volumes/pvc-1' },
      persistentVolumeReclaimPolicy: 'Delete',
      nodeAffinity: {
        required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'h', operator: 'In', values: ['n1'] }] }] },
      },
    }
    for (const [tenant, more] of [
      ['acme', {}],
      ['beta', { [RESOURCE_PARTITION_ANNOTATION]: 'elsewhere' }],
    ] as const) {
      const volume = { metadata: { ...metadata, annotations: { ...annotations, ...more } }, spec }
      await tp.of(tenant).create(persistentvolumes, volume)
      const made = await tp.of(tenant).get(persistentvolumes, { name: 'pvc-1' })
      await tp.of(tenant).updateStatus(persistentvolumes, { ...made, status: { phase: 'Released' } })
    }
    const agent = await rp.agent('n1')
    const own = { labelSelector: `${LOCAL_VOLUME_NODE_LABEL}=n1` }
    await until('the node to know', async () => {
      const { items } = await agent.list(persistentvolumes, own)
      return items[0]?.status?.phase === 'Released' && items[0].metadata.name === 'pvc-1--acme' && items.length === 1
    })
    await agent.delete(persistentvolumes, { name: 'pvc-1--acme' })
    const [seen] = (await agent.list(persistentvolumes, own)).items
    assert.deepEqual(seen?.metadata.finalizers, [LOCAL_VOLUME_FINALIZER, 'kubernetes.io/pv-protection'])
    const finalizers = ['kubernetes.io/pv-protection']
    await agent.update(persistentvolumes, { ...seen, metadata: { ...seen.metadata, finalizers } })
    const left = async (tenant: string) => (await tp.of(tenant).get(persistentvolumes, { name: 'pvc-1' })).metadata
    assert.deepEqual((await left('acme')).finalizers, finalizers)
    assert.equal((await left('beta')).deletionTimestamp, undefined)
    await tp
      .of('acme')
      .patch(persistentvolumes, { name: 'pvc-1' }, { type: 'merge', body: { metadata: { finalizers: [] } } })
    await until('its copy to go', async () => (await agent.list(persistentvolumes, own)).items.length === 0)
  })

  it('hands on what nodes write, which then see it', async () => {
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp' })
    const agent = await rp.agent('n1')
    const name = { namespace: 'default--acme', name: 'web' }
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    const before = await agent.get(pods, name)
    const patched = await agent.patch(
      pods,
      name,
      { type: 'strategic', body: { metadata: { uid: before.metadata.uid }, status: { phase: 'Running' } } },
      { subresource: 'status' },
    )
    assert.equal(patched.metadata.namespace, 'default--acme')
    const seen = await agent.get(pods, name)
    assert.equal(seen.status?.phase, 'Running')
    assert.equal(seen.metadata.resourceVersion, patched.metadata.resourceVersion)
    const original = await tp.of('acme').get(pods, { namespace: 'default', name: 'web' })
    assert.equal(original.status?.phase, 'Running')
    assert.equal(Object.keys(original.metadata.annotations ?? {}).join(), 'centaurus.io/resource-partition')
    await agent.create(events, {
      metadata: { namespace: 'default--acme', name: 'started' },
      involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default--acme', name: 'web' },
      reason: 'Started',
    })
    const event = await tp.of('acme').get(events, { namespace: 'default', name: 'started' })
    assert.equal(event.involvedObject.namespace, 'default')
    const answer = await agent.createSubresource<object, { status: { token: string } }>(
      serviceaccounts,
      { namespace: 'default--acme', name: 'default' },
      'token',
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'web', uid: before.metadata.uid } },
      },
    )
    const claims = JSON.parse(Buffer.from(answer.status.token.split('.')[1]!, 'base64url').toString()) as object
    assert.equal((claims as Record<string, unknown>)['centaurus.io/tenant'], 'acme')
    await agent.delete(pods, name, { gracePeriodSeconds: 0, preconditions: { uid: before.metadata.uid } })
    await assert.rejects(tp.of('acme').get(pods, { namespace: 'default', name: 'web' }), (error) =>
      isStatus(error, 'NotFound'),
    )
    assert.deepEqual(await namesOn(agent, 'n1'), [])
  })

  it('hands events of the operators’ pods on to where these are looked after, and keeps those of nodes', async () => {
    await runPod(tp.client, { name: 'exporter', node: 'n1', partition: 'rp' })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    const [pod, node] = ['exporter.17a', 'n1.17a'].map((name) => ({ namespace: 'default', name })) as [Named, Named]
    const about = (kind: string, name: string) => ({ apiVersion: 'v1', kind, name, namespace: 'default' })
    await agent.create(events, { metadata: pod, involvedObject: about('Pod', 'exporter'), reason: 'Pulled', count: 1 })
    await agent.create(events, { metadata: node, involvedObject: about('Node', 'n1'), reason: 'NodeReady' })
    await agent.patch(events, pod, { type: 'strategic', body: { count: 2 } })
    const namesAt = async ({ client }: TestPartition): Promise<unknown> =>
      (await client.list(events)).items.map(({ metadata, count }) => [metadata.name, count])
    assert.deepEqual(await namesAt(tp), [[pod.name, 2]])
    assert.deepEqual(await namesAt(rp), [[node.name, undefined]])
    await stop(tp)
    await assert.rejects(agent.patch(events, pod, { type: 'strategic', body: { count: 3 } }), (error) =>
      isStatus(error, 'ServiceUnavailable'),
    )
  })

  it('lets nodes write to their own pods alone', async () => {
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp' })
    await runPod(tp.of('acme'), { name: 'away', node: 'n1', partition: 'elsewhere' })
    const other = await rp.agent('n2')
    const own = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(own, 'n1')).length === 1)
    const write = (agent: Client, name: string): Promise<unknown> =>
      agent.patch(
        pods,
        { namespace: 'default--acme', name },
        { type: 'merge', body: { status: { phase: 'Failed' } } },
        { subresource: 'status' },
      )
    await assert.rejects(write(other, 'web'), /can only update status for pods with spec.nodeName set to itself/)
    await assert.rejects(write(own, 'away'), (error) => isStatus(error, 'NotFound'))
    const tell = (pod: string): Promise<unknown> =>
      own.create(events, {
        metadata: { namespace: 'default--acme', name: `about-${pod}` },
        involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'default--acme', name: pod },
      })
    await tell('web')
    await tell('gone')
    await assert.rejects(tell('away'), (error) => isStatus(error, 'NotFound'))
  })

  it('keeps everything while the tenants are away, over a restart, and writes again only what changed', async () => {
    await putSecret('acme', 'key', '1')
    await runPod(tp.of('acme'), { name: 'stays', node: 'n1', partition: 'rp', spec: env('key') })
    await runPod(tp.of('acme'), { name: 'goes', node: 'n1', partition: 'rp' })
    const first = await rp.agent('n1')
    await until('the pods are there', async () => (await namesOn(first, 'n1')).length === 2)
    await until('it is synced', () => rp.relay.isSynced('tp'))
    await stop(tp)
    const status = { type: 'merge' as const, body: { status: { phase: 'Running' } } }
    const name = { namespace: 'default--acme', name: 'stays' }
    await assert.rejects(
      first.patch(pods, name, status, { subresource: 'status', signal: AbortSignal.timeout(20_000) }),
      (error) => isStatus(error, 'ServiceUnavailable'),
    )
    await stop(rp)
    rp = await start('rp')
    const agent = await rp.agent('n1')
    assert.deepEqual(await namesOn(agent, 'n1'), ['default--acme/goes', 'default--acme/stays'])
    assert.equal(await readSecret(agent, 'default--acme', 'key'), '1')
    const revisionOf = (resource: string, key: string): number | undefined =>
      rp.server.server.stored.get('acme', resource, key)?.revision
    const before = [revisionOf('core/pods', 'default/stays'), revisionOf('core/secrets', 'default/key')]
    assert.equal(rp.relay.isSynced('tp'), false)
    counts.puts = 0
    tp = await start('tp')
    await tp.of('acme').delete(pods, { namespace: 'default', name: 'goes' }, { gracePeriodSeconds: 0 })
    await introduce()
    await until('it is synced', () => rp.relay.isSynced('tp'))
    await until('what went is gone', async () => (await namesOn(agent, 'n1')).length === 1)
    assert.deepEqual([revisionOf('core/pods', 'default/stays'), revisionOf('core/secrets', 'default/key')], before)
    assert.equal(counts.puts, 0, 'what is here already is not sent again')
    await agent.patch(pods, name, status, { subresource: 'status' })
    assert.equal((await agent.get(pods, name)).status?.phase, 'Running')
  })

  it('believes nothing of a store that is not what it was', async () => {
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp' })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    await until('it is synced', () => rp.relay.isSynced('tp'))
    await stop(tp)
    await stores.tp.close()
    stores.tp = createMemoryStore()
    tp = await start('tp')
    await introduce()
    await until('it is fenced', () => rp.peers.whyFenced('tp') !== undefined)
    assert.deepEqual(await namesOn(agent, 'n1'), ['default--acme/web'])
    assert.equal(rp.relay.isSynced('tp'), false)
    await rp.peers.readmit('tp')
    await until('it is synced', () => rp.relay.isSynced('tp'))
    assert.deepEqual(await namesOn(agent, 'n1'), ['default--acme/web'], 'it does not say that it serves the tenant')
    await putTenant([tp], 'acme', 'tp')
    await until('the pod is gone', async () => (await namesOn(agent, 'n1')).length === 0)
  })

  it('keeps the pods of a tenant that moves, whoever hears of it first, and follows its new partition', async () => {
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp' })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    stores.other = createMemoryStore()
    const other = await start('other')
    const seen: string[] = []
    const stopListening = rp.server.server.stored.onChange('core/pods', ({ type }) => void seen.push(type))
    try {
      // the new partition has what the old one had, and says so before the registry here does
      const prefix = '/registry/acme/'
      const { entries } = await stores.tp.range(prefix)
      const changes = entries.map(({ key, value }) => ({ type: 'put' as const, key, value }))
      await stores.other.commit({ changes: changes.slice(0, 100) })
      await putPartitions([tp, rp, other], { ...ROLES, other: ['Tenant'] })
      await putTenant([other], 'acme', 'tp')
      await putTenant([other], 'acme', 'other')
      await until('it is synced', () => rp.relay.isSynced('other') && rp.relay.holdsAll('acme'))
      await putTenant([tp], 'acme', 'other')
      await stores.tp.commit({ changes: [{ type: 'delete', key: `${prefix}core/pods/default/web` }] })
      await putTenant([rp], 'acme', 'other')
      await other
        .of('acme')
        .patch(
          pods,
          { namespace: 'default', name: 'web' },
          { type: 'merge', body: { metadata: { labels: { by: 'other' } } } },
        )
      await until('the pod is the new one’s', async () => {
        const pod = await agent.get(pods, { namespace: 'default--acme', name: 'web' })
        return pod.metadata.labels?.['by'] === 'other'
      })
      assert.equal(seen.includes('DELETED') || seen.includes('ADDED'), false, seen.join())
      await other.of('acme').delete(pods, { namespace: 'default', name: 'web' }, { gracePeriodSeconds: 0 })
      await until('the pod is gone', async () => (await namesOn(agent, 'n1')).length === 0)
    } finally {
      stopListening()
      await stop(other)
    }
  })

  it('overwrites nothing that is its own', async () => {
    const name = { namespace: 'default', name: 'shared' }
    await rp.client.create(configmaps, { metadata: name, data: { from: 'rp' } })
    await tp.client.create(configmaps, { metadata: name, data: { from: 'tp' } })
    await runPod(tp.client, {
      name: 'web',
      node: 'n1',
      partition: 'rp',
      spec: { containers: [{ name: 'c', image: 'i', envFrom: [{ configMapRef: { name: 'shared' } }] }] },
    })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    assert.deepEqual((await rp.client.get(configmaps, name)).data, { from: 'rp' })
    await agent.patch(
      pods,
      { namespace: 'default', name: 'web' },
      { type: 'merge', body: { status: { phase: 'Running' } } },
      { subresource: 'status' },
    )
    assert.equal((await tp.client.get(pods, { namespace: 'default', name: 'web' })).status?.phase, 'Running')
  })

  it('keeps the pods of a tenant that moves running, and follows it', async () => {
    await putSecret('acme', 'key', '1')
    await runPod(tp.of('acme'), { name: 'web', node: 'n1', partition: 'rp', spec: env('key') })
    const agent = await rp.agent('n1')
    await until('the pod is there', async () => (await namesOn(agent, 'n1')).length === 1)
    const gone: string[] = []
    for (const resource of ['core/pods', 'core/secrets']) {
      rp.server.server.stored.onChange(resource, ({ type, object }) => {
        if (type === 'DELETED') gone.push(object.key)
      })
    }
    stores.tp2 = createMemoryStore()
    const tp2 = await start('tp2')
    await putPartitions([tp, rp, tp2], { ...ROLES, tp2: ['Tenant'] })
    const { entries } = await stores.tp.range('/registry/acme/')
    for (const { key, value } of entries) await stores.tp2.commit({ changes: [{ type: 'put', key, value }] })
    await putTenant([rp, tp, tp2], 'acme', 'tp2')
    const originOfPod = (): string | undefined =>
      rp.server.server.stored.get('acme', 'core/pods', 'default/web')?.object().metadata.annotations?.[
        'centaurus.io/origin'
      ]
    await until('the new partition has taken over', () => originOfPod() === 'tp2')
    await until('it is synced', () => rp.relay.isSynced('tp2'))
    await agent.patch(
      pods,
      { namespace: 'default--acme', name: 'web' },
      { type: 'merge', body: { status: { phase: 'Running' } } },
      { subresource: 'status' },
    )
    const moved = await tp2.of('acme').get(pods, { namespace: 'default', name: 'web' })
    assert.equal(moved.status?.phase, 'Running')
    for (const { key } of entries) await stores.tp.commit({ changes: [{ type: 'delete', key }] })
    await stop(tp)
    tp = await start('tp')
    await putPartitions([tp, rp, tp2], { ...ROLES, tp2: ['Tenant'] })
    await until('it is synced', () => rp.relay.isSynced('tp'))
    assert.deepEqual(await namesOn(agent, 'n1'), ['default--acme/web'])
    assert.equal(await readSecret(agent, 'default--acme', 'key'), '1')
    assert.deepEqual(gone, [])
    await tp2.of('acme').delete(pods, { namespace: 'default', name: 'web' }, { gracePeriodSeconds: 0 })
    await until('the pod is gone', async () => (await namesOn(agent, 'n1')).length === 0)
  })

  it('sends each object once, and many writes of nodes in few requests', async () => {
    const count = 60
    await Promise.all(
      Array.from({ length: count }, (_, i) =>
        runPod(tp.of('acme'), { name: `p${i}`, node: 'n1', partition: 'rp', spec: env('key') }),
      ),
    )
    const agent = await rp.agent('n1')
    await until('all pods are there', async () => (await namesOn(agent, 'n1')).length === count)
    const wide = ['core/namespaces', 'core/services', 'discovery.k8s.io/endpointslices'].flatMap((resource) =>
      Array.from(tp.server.server.stored.list('acme', resource)),
    ).length
    const referred = 2 // the service account and the certificate of the cluster, which all pods share
    assert.ok(counts.puts <= count + wide + referred, `${counts.puts} lines for ${count} pods`)
    await Promise.all(
      Array.from({ length: count }, (_, i) =>
        agent.patch(
          pods,
          { namespace: 'default--acme', name: `p${i}` },
          { type: 'merge', body: { status: { phase: 'Running' } } },
          { subresource: 'status' },
        ),
      ),
    )
    assert.equal(counts.items, count)
    assert.ok(counts.batches <= count / 3, `${counts.batches} requests for ${count} writes`)
    assert.equal(counts.streams, 1)
  })
})
