import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { deployments } from '@centaurus/api/apps/v1'
import { customresourcedefinitions } from '@centaurus/api/apiextensions/v1'
import { jobs } from '@centaurus/api/batch/v1'
import { nodeallocations, tenants } from '@centaurus/api/centaurus/v1'
import { configmaps, pods, secrets, serviceaccounts, services, type Pod } from '@centaurus/api/core/v1'
import { clusterrolebindings } from '@centaurus/api/rbac/v1'
import { isStatus, type KubeObject, type ResourceType } from '@centaurus/api'
import { runKubectl } from '@centaurus/apiserver/testing/kubectl'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { boundOf, Churner, deploy, identities, NAMESPACE, podsOf, untilRunning, Writer } from './testing/workloads.ts'
import { checkFollower, followByInformer, followByKubectl, followByWatch, type Follower } from './testing/watchers.ts'
import { TestCluster } from './testing/test-cluster.ts'
import { eventually, NODES_EACH } from './testing/test-partition.ts'

const REPLICAS = 6

interface Widget extends KubeObject {
  spec?: { size: number }
}
const widgets: ResourceType<Widget> = {
  group: 'example.com',
  version: 'v1',
  resource: 'widgets',
  kind: 'Widget',
  namespaced: true,
}

describe('a tenant that moves while its pods run', () => {
  let cluster: TestCluster
  /** What the API servers of partitions with nodes have told of the tenant's pods on their nodes that went. */
  const gone: string[] = []

  let folder: string
  let gateway: string | undefined

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'centaurus-moves-'))
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant', 'Resource'])
    await cluster.add('tp1', ['Tenant'])
    await cluster.add('rp1', ['Resource'])
    await cluster.untilReady()
    await cluster.createTenant('acme', 'home')
    for (const name of ['home', 'rp1']) {
      cluster.part(name).plane.server.stored.onChange('core/pods', ({ tenant, type, object }) => {
        if (tenant !== 'acme' || type !== 'DELETED') return
        const { spec } = object.object() as Pod
        if (spec?.nodeName?.startsWith(`${name}-`) === true) gone.push(`${name} ${object.key}`)
      })
    }
  })
  after(async () => {
    await cluster.close()
    await rm(folder, { recursive: true })
  })

  const everything = async (client: Client): Promise<Record<string, readonly string[]>> => {
    const types = [configmaps, secrets, services, jobs, deployments, serviceaccounts, widgets]
    const lists = await Promise.all(
      types.map(async (type) => {
        const { items } = await client.list<KubeObject>(type as ResourceType<KubeObject>, { namespace: NAMESPACE })
        const names = items.map(({ metadata }) => `${metadata.name} ${metadata.uid}`)
        return [type.resource, names.filter((name) => !/^(?:written|churned)-/.test(name)).toSorted()] as const
      }),
    )
    return Object.fromEntries(lists)
  }

  it('has workloads of all sorts, on the nodes of both', async () => {
    const client = await cluster.admin('acme', 'home')
    await deploy(client, 'web', REPLICAS, { nodes: 2 * NODES_EACH })
    await client.create(secrets, { metadata: { name: 'key', namespace: NAMESPACE }, stringData: { key: 'value' } })
    await client.create(services, {
      metadata: { name: 'web', namespace: NAMESPACE },
      spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80 }] },
    })
    await client.create(jobs, {
      metadata: { name: 'once', namespace: NAMESPACE },
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } },
    })
    await client.create(customresourcedefinitions, {
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
        scope: 'Namespaced',
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    })
    await eventually('widgets', async () => {
      const name = { name: 'w', namespace: NAMESPACE }
      return (await client.create(widgets, { metadata: name, spec: { size: 1 } })).metadata.name === 'w'
    })
    await untilRunning(client, 'web', REPLICAS)
    const hosts = new Set((await podsOf(client, 'web')).map(({ spec }) => spec?.nodeName?.split('-')[0]))
    assert.deepEqual([...hosts].toSorted(), ['home', 'rp1'])
  })

  /** Who follows what happens in the tenant: where it was, where it goes, and from outside. */
  async function follow({ to, at }: { readonly to: string; readonly at: string }): Promise<Follower[]> {
    gateway ??= await cluster.gateway()
    const addresses = { 'old address': urlOf(at), 'new address': urlOf(to), gateway }
    const followers: Follower[] = []
    for (const [what, url] of Object.entries(addresses)) {
      const client = await cluster.adminAt('acme', url)
      followers.push(await followByWatch(what, client), await followByInformer(what, client))
      const kubeconfig = join(folder, `${to} ${what}`)
      await writeFile(kubeconfig, await cluster.kubeconfig('acme', url))
      followers.push(await followByKubectl(what, kubeconfig))
    }
    return followers
  }
  const urlOf = (partition: string): string => cluster.part(partition).plane.url

  /** Moves it while somebody writes and somebody watches, both at the address of `at`. */
  async function moveUnderLoad(
    t: TestContext,
    { to, at }: { readonly to: string; readonly at: string },
  ): Promise<void> {
    const client = await cluster.admin('acme', at)
    const informers = createInformerFactory(client, { clock: systemClock, random: systemRandom, logger: silentLogger })
    const pending = informers.informer(pods)
    await informers.whenSynced()
    const followers = await follow({ to, at })
    const writer = new Writer(client)
    const churner = new Churner(client)
    try {
      await eventually('writes', async () => writer.acknowledged.length > 30)
      const before = identities(await podsOf(client, 'web'))
      const content = await everything(client)
      gone.length = 0
      await cluster.move('acme', to)
      await cluster.untilMoved('acme', to)
      const count = writer.acknowledged.length
      await eventually('writes at the new place', async () => writer.acknowledged.length > count + 30)
      await Promise.all([writer.stop(), churner.stop()])
      assert.deepEqual(identities(await podsOf(client, 'web')), before)
      assert.deepEqual(await everything(client), content)
      assert.deepEqual(gone, [], 'no node saw a pod go')
      const { items } = await cluster.within('acme', to).list(configmaps, { namespace: NAMESPACE })
      const written = items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('written-'))
      assert.deepEqual(written.toSorted(), writer.acknowledged.toSorted(), 'every write that was acknowledged, once')
      const own = cluster.within('acme', to)
      await Promise.all(followers.map((follower) => checkFollower(follower, own)))
      assert.equal(pending.list(NAMESPACE).length, (await client.list(pods, { namespace: NAMESPACE })).items.length)
      await eventually('claims like bound pods', async () => {
        const bound = boundOf((await client.list(pods, { namespace: NAMESPACE })).items)
        return bound.join() === (await cluster.claimsOf('acme')).join()
      })
      t.diagnostic(`longest time without a write: ${Math.round(writer.gapMs)} ms`)
    } finally {
      await Promise.all([writer.stop(), churner.stop()])
      await Promise.all([informers.close(), ...followers.map((follower) => follower.close())])
      for (const name of writer.acknowledged) await client.delete(configmaps, { namespace: NAMESPACE, name })
    }
  }

  it('goes to a partition without nodes', (t) => moveUnderLoad(t, { to: 'tp1', at: 'home' }))

  it('scales and ends pods there', async () => {
    const client = await cluster.admin('acme', 'tp1')
    const name = { name: 'web', namespace: NAMESPACE }
    await client.patch(deployments, name, { type: 'merge', body: { spec: { replicas: REPLICAS + 2 } } })
    await untilRunning(client, 'web', REPLICAS + 2)
    await client.patch(deployments, name, { type: 'merge', body: { spec: { replicas: REPLICAS } } })
    await untilRunning(client, 'web', REPLICAS)
    const service = await client.get(services, name)
    await client.patch(services, name, { type: 'merge', body: { metadata: { labels: { changed: 'yes' } } } })
    assert.equal((await client.get(services, name)).spec?.clusterIP, service.spec?.clusterIP)
  })

  it('lets those in who know its old address, with a token too', async () => {
    const client = await cluster.admin('acme', 'tp1')
    await client.create(clusterrolebindings, {
      metadata: { name: 'default-admin' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: NAMESPACE }],
    })
    const account = { name: 'default', namespace: NAMESPACE }
    const request = { spec: { audiences: [] } }
    const { status } = await client.createSubresource<unknown, { status: { token: string } }>(
      serviceaccounts,
      account,
      'token',
      request,
    )
    const pod = cluster.bearer(status.token, 'home')
    assert.equal((await podsOf(pod, 'web')).length, REPLICAS)
    await pod.create(configmaps, { metadata: { name: 'from-a-pod', namespace: NAMESPACE } })
    assert.equal(
      (await client.get(configmaps, { name: 'from-a-pod', namespace: NAMESPACE })).metadata.name,
      'from-a-pod',
    )
    await assert.rejects(cluster.bearer(`${status.token}x`, 'home').list(pods, { namespace: NAMESPACE }), (error) =>
      isStatus(error, 'Unauthorized'),
    )
  })

  it('lets commands in at its old address, by WebSocket and by SPDY', async () => {
    const [pod] = await podsOf(cluster.within('acme', 'tp1'), 'web')
    const kubeconfig = join(folder, 'exec')
    await writeFile(kubeconfig, await cluster.kubeconfig('acme', urlOf('home')))
    for (const websockets of ['true', 'false']) {
      const args = ['exec', '-i', pod!.metadata.name, '--', 'cat']
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: websockets }
      const { stdout, stderr } = await runKubectl(args, { kubeconfig, minor: 35, env, input: 'said\n' })
      assert.equal(stdout, 'said\n', stderr)
    }
    const refused = await runKubectl(['exec', 'nobody', '--', 'true'], { kubeconfig, minor: 35 })
    assert.match(refused.stderr, /pods "nobody" not found/)
  })

  it('comes back', (t) => moveUnderLoad(t, { to: 'home', at: 'tp1' }))

  it('is deleted whole', async () => {
    await cluster.home.plane.client.delete(tenants, { name: 'acme' })
    await eventually('the tenant to be gone', async () => {
      const { items } = await cluster.home.plane.client.list(tenants)
      return items.length === 0
    })
    assert.deepEqual(await cluster.claimsOf('acme'), [])
    await eventually('its copies to be gone', async () => (await cluster.onNodesOf('rp1', 'acme')).length === 0)
    const { items } = await cluster.home.plane.client.list(nodeallocations)
    assert.ok(items.every(({ status }) => status.claims.length === 0))
  })
})
