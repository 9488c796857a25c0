import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, type StatusError } from '@centaurus/api'
import {
  limitranges,
  namespaces,
  nodes,
  pods,
  resourcequotas,
  serviceaccounts,
  services,
  type Pod,
  type Service,
} from '@centaurus/api/core/v1'
import { ipaddresses } from '@centaurus/api/networking/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import type { Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

function podIn(namespace: string, name: string, requests: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace },
    spec: { containers: [{ name: 'main', image: 'example', resources: { requests } }] },
  }
}

function serviceIn(namespace: string, name: string, spec: Service['spec'] = {}): Service {
  return { metadata: { name, namespace }, spec: { ports: [{ port: 80 }], selector: { app: name }, ...spec } }
}

describe('admission', () => {
  let test: TestServer
  let client: Client
  before(async () => {
    test = await startTestServer({ admission: { advertiseAddress: '192.0.2.1', serviceRange: '10.96.0.0/24' } })
    client = test.client
  })
  after(() => test.close())

  async function newNamespace(name: string): Promise<void> {
    await client.create(namespaces, { metadata: { name } })
    await client.create(serviceaccounts, { metadata: { name: 'default', namespace: name } })
  }

  it('gives a Pod its account, token volume, tolerations and priority', async () => {
    const pod = await client.create(pods, podIn('default', 'plain'))
    assert.equal(pod.spec?.serviceAccountName, 'default')
    const volume = pod.spec?.volumes?.[0]
    assert.match(volume?.name ?? '', /^kube-api-access-[a-z0-9]{5}$/)
    assert.equal(volume?.projected?.sources?.length, 3)
    assert.equal(pod.spec?.containers[0]?.volumeMounts?.[0]?.mountPath, '/var/run/secrets/kubernetes.io/serviceaccount')
    assert.deepEqual(
      pod.spec?.tolerations?.map((toleration) => toleration.key),
      ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'],
    )
    assert.equal(pod.spec?.priority, 0)
  })

  it('refuses a Pod whose account does not exist', async () => {
    const pod = podIn('default', 'stranger')
    pod.spec!.serviceAccountName = 'nobody'
    await assert.rejects(client.create(pods, pod), (error: StatusError) => {
      assert.equal(
        error.message,
        'pods "stranger" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found',
      )
      return true
    })
  })

  it('turns a priority class into a number', async () => {
    const critical = podIn('default', 'critical')
    critical.spec!.priorityClassName = 'system-node-critical'
    assert.equal((await client.create(pods, critical)).spec?.priority, 2_000_001_000)
    const unknown = podIn('default', 'unknown')
    unknown.spec!.priorityClassName = 'none'
    await assert.rejects(client.create(pods, unknown), /no PriorityClass with name none was found/)
    assert.equal((await client.list(priorityclasses)).items.length, 2)
  })

  it('taints a new node', async () => {
    const node = await client.create(nodes, { metadata: { name: 'fresh' } })
    assert.deepEqual(node.spec?.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }])
  })

  it('lets nothing be created in a Namespace that is missing or going', async () => {
    await assert.rejects(client.create(pods, podIn('missing', 'a')), (error) => isStatus(error, 'NotFound'))
    await newNamespace('going')
    await client.delete(namespaces, { name: 'going' })
    await assert.rejects(client.create(pods, podIn('going', 'a')), (error: StatusError) => {
      assert.match(error.message, /unable to create new content in namespace going because it is being terminated/)
      assert.equal(error.details?.causes?.[0]?.reason, 'NamespaceTerminating')
      return true
    })
    await assert.rejects(client.delete(namespaces, { name: 'default' }), /this namespace may not be deleted/)
  })

  it('allocates addresses and node ports once, and gives them back', async () => {
    const count = 40
    const created = await Promise.all(
      Array.from({ length: count }, (_, i) =>
        client.create(services, serviceIn('default', `s${i}`, { type: 'NodePort' })),
      ),
    )
    const addresses = new Set(created.map((service) => service.spec?.clusterIP))
    const ports = new Set(created.map((service) => service.spec?.ports?.[0]?.nodePort))
    assert.equal(addresses.size, count)
    assert.equal(ports.size, count)
    const [first] = created
    const taken = first!.spec!.clusterIP!
    await assert.rejects(
      client.create(services, serviceIn('default', 'thief', { clusterIP: taken })),
      /provided IP is already allocated/,
    )
    const owner = await client.get(ipaddresses, { name: taken })
    assert.equal(owner.spec?.parentRef?.name, first!.metadata.name)
    await client.delete(services, { namespace: 'default', name: first!.metadata.name })
    const again = await client.create(services, serviceIn('default', 'heir', { clusterIP: taken }))
    assert.equal(again.spec?.clusterIP, taken)
    const unported = await client.update(services, { ...again, spec: { ...again.spec, type: 'NodePort' } })
    const port = unported.spec?.ports?.[0]?.nodePort
    assert.ok(port! >= 30_000 && port! <= 32_767)
  })

  it('serves the kubernetes Service at the first address', async () => {
    const kubernetes = await client.get(services, { namespace: 'default', name: 'kubernetes' })
    assert.equal(kubernetes.spec?.clusterIP, '10.96.0.1')
    assert.deepEqual(kubernetes.spec?.ipFamilies, ['IPv4'])
  })

  it('fills in and enforces limit ranges', async () => {
    await newNamespace('limited')
    await client.create(limitranges, {
      metadata: { name: 'limits', namespace: 'limited' },
      spec: {
        limits: [{ type: 'Container', defaultRequest: { cpu: '100m' }, default: { cpu: '1' }, max: { cpu: '2' } }],
      },
    })
    const pod = await client.create(pods, podIn('limited', 'a'))
    assert.deepEqual(pod.spec?.containers[0]?.resources, { limits: { cpu: '1' }, requests: { cpu: '100m' } })
    const greedy = podIn('limited', 'b')
    greedy.spec!.containers[0]!.resources = { limits: { cpu: '3' } }
    await assert.rejects(client.create(pods, greedy), /maximum cpu usage per Container is 2, but limit is 3/)
  })

  it('holds a quota whatever is created at once, and gives back what is deleted', async () => {
    await newNamespace('quoted')
    await client.create(resourcequotas, {
      metadata: { name: 'quota', namespace: 'quoted' },
      spec: { hard: { pods: '5', 'requests.cpu': '1', 'count/secrets': '1' } },
    })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => client.create(pods, podIn('quoted', `p${i}`, { cpu: '100m' }))),
    )
    const created = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    assert.equal(created.length, 5)
    const used = async (): Promise<Record<string, string> | undefined> =>
      (await client.get(resourcequotas, { namespace: 'quoted', name: 'quota' })).status?.used
    assert.deepEqual(await used(), { 'count/secrets': '0', pods: '5', 'requests.cpu': '500m' })
    await assert.rejects(
      client.create(pods, podIn('quoted', 'more', { cpu: '1' })),
      /exceeded quota: quota, requested: pods=1,requests.cpu=1, used: pods=5,requests.cpu=500m, limited: pods=5,requests.cpu=1/,
    )
    await client.delete(pods, { namespace: 'quoted', name: created[0]!.value.metadata.name })
    assert.deepEqual(await used(), { 'count/secrets': '0', pods: '4', 'requests.cpu': '400m' })
    await assert.rejects(client.create(pods, podIn('quoted', 'silent')), /must specify requests.cpu for: main/)
  })
})

describe('a restarted server', () => {
  it('knows which addresses are taken', async () => {
    const store = createMemoryStore()
    const first = await startTestServer({ store: withoutClose(store) })
    const service = await first.client.create(services, serviceIn('default', 'one'))
    await first.close()
    const second = await startTestServer({ store })
    const taken = service.spec!.clusterIP!
    await assert.rejects(
      second.client.create(services, serviceIn('default', 'two', { clusterIP: taken })),
      /provided IP is already allocated/,
    )
    await second.close()
  })
})

/** The store without its `close`, so that it outlives a server. */
function withoutClose(store: Store): Store {
  return {
    currentRevision: () => store.currentRevision(),
    get: (key, options) => store.get(key, options),
    range: (prefix, options) => store.range(prefix, options),
    commit: (transaction) => store.commit(transaction),
    watch: (prefix, options) => store.watch(prefix, options),
    compact: (revision) => store.compact(revision),
    close: async () => {},
  }
}
