/** Uses a cluster through the official JavaScript client; prints `all is well`, or ends with an error. Run in the cluster's network. */
import assert from 'node:assert/strict'
import {
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  Watch,
} from '@kubernetes/client-node'
import { waitFor } from '../lib/processes.ts'

const namespace = 'default'
const config = new KubeConfig()
config.loadFromFile(process.argv[2]!)
const core = config.makeApiClient(CoreV1Api)
const apps = config.makeApiClient(AppsV1Api)

await informs()
await watches()
await writes()
process.stdout.write('all is well\n')

async function informs(): Promise<void> {
  const seen: string[] = []
  const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
    core.listNamespacedConfigMap({ namespace }),
  )
  informer.on('add', (object) => seen.push(`add ${object.metadata?.name}`))
  informer.on('update', (object) => seen.push(`update ${object.metadata?.name} ${object.data?.['a']}`))
  informer.on('delete', (object) => seen.push(`delete ${object.metadata?.name}`))
  informer.on('error', () => {}) // stopping aborts the request
  await informer.start()
  const name = 'from-js'
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name }, data: { a: '1' } } })
  await waitFor('the add', async () => seen.includes(`add ${name}`))
  await core.patchNamespacedConfigMap(
    { namespace, name, body: { data: { a: '2' } } },
    setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
  )
  await waitFor('the update', async () => seen.includes(`update ${name} 2`))
  await core.deleteNamespacedConfigMap({ namespace, name })
  await waitFor('the delete', async () => seen.includes(`delete ${name}`))
  await informer.stop()
}

async function watches(): Promise<void> {
  const types: string[] = []
  const watch = await new Watch(config).watch(
    '/api/v1/namespaces',
    {},
    (type) => types.push(type),
    () => {},
  )
  await waitFor('watch events', async () => types.includes('ADDED'))
  watch.abort()
}

async function writes(): Promise<void> {
  const name = 'js'
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'any:1' }] } }
  await apps.createNamespacedDeployment({
    namespace,
    body: { metadata: { name }, spec: { replicas: 2, selector: { matchLabels: labels }, template } },
  })
  await waitFor('the replicas', async () => {
    const { status } = await apps.readNamespacedDeployment({ namespace, name })
    return status?.readyReplicas === 2
  })
  const { items } = await core.listNamespacedPod({ namespace, labelSelector: 'app=js' })
  assert.equal(items.length, 2)
  await assert.rejects(
    core.readNamespacedPod({ namespace, name: 'nope' }),
    (error: { code?: number }) => error.code === 404,
  )
  await apps.deleteNamespacedDeployment({ namespace, name })
}
