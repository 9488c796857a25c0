import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { AppsV1Api, CoreV1Api, KubeConfig, makeInformer, Watch } from '@kubernetes/client-node'
import { BUNDLED_MINORS } from '../apps/centaurus/src/bundled-kubectl.ts'
import { TestCluster } from './lib/cluster.ts'
import { waitFor } from './lib/processes.ts'

describe('real clients', () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('clients')
    await cluster.up('--nodes', 'simulated:2', '--port', '16444')
  })
  after(() => cluster?.remove())

  for (const minor of BUNDLED_MINORS) {
    it(`kubectl 1.${minor} applies, changes, explains and deletes`, async () => {
      const kubectl = (args: string | readonly string[], input?: string): Promise<string> =>
        cluster.kubectl(args, { minor, ...(input === undefined ? {} : { input }) })
      const name = `web-${minor}`
      const manifest = (replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: c, image: "any:1", ports: [{ containerPort: 80 }] }] }
`
      assert.match(await kubectl('version'), /Server Version: v1\.37/)
      assert.match(await kubectl('apply -f -', manifest(1)), /created/)
      const diff = await cluster.tryKubectl('diff -f -', { minor, input: manifest(2) })
      assert.equal(diff.code, 1)
      assert.match(diff.stdout, /\+\s+replicas: 2/)
      assert.match(await kubectl('apply -f -', manifest(2)), /configured/)
      assert.match(await kubectl('apply -f -', manifest(2)), /unchanged/)
      assert.match(await kubectl('apply --server-side --force-conflicts -f -', manifest(3)), /serverside-applied/)
      await kubectl(`rollout status deployment/${name} --timeout=60s`)
      assert.match(await kubectl(`get deployment ${name}`), /3\/3/)
      assert.match(await kubectl(`get pods -l app=${name} -o wide`), /Running/)
      assert.match(await kubectl(`describe deployment ${name}`), /ScalingReplicaSet/)
      assert.match(await kubectl('explain deployment.spec.replicas'), /replicas <integer>/)
      assert.match(await kubectl('api-resources'), /deployments\s+deploy\s+apps\/v1\s+true\s+Deployment/)
      assert.match(await kubectl('auth can-i delete nodes'), /yes/)
      assert.match((await cluster.tryKubectl('auth can-i delete nodes --as=nobody', { minor })).stdout, /no/)
      assert.match(
        await kubectl(`patch deployment ${name} --type=json -p [{"op":"replace","path":"/spec/replicas","value":1}]`),
        /patched/,
      )
      assert.match(await kubectl(`label deployment ${name} tier=front`), /labeled/)
      assert.match(await kubectl(`delete deployment ${name} --wait --timeout=60s`), /deleted/)
    })
  }

  it('refuses a bad manifest with every reason', async () => {
    const bad = `
apiVersion: v1
kind: Pod
metadata: { name: Bad_Name }
spec: { containers: [{ name: c }, { name: c, image: x, ports: [{ containerPort: 99999 }] }], restartPolicy: Sometimes }
`
    const { code, stderr } = await cluster.tryKubectl('apply -f -', { input: bad })
    assert.equal(code, 1)
    for (const reason of [
      /metadata\.name: Invalid value: "Bad_Name"/,
      /spec\.containers\[0\]\.image: Required value/,
      /Duplicate value: "c"/,
      /must be between 1 and 65535/,
      /Unsupported value: "Sometimes"/,
    ]) {
      assert.match(stderr, reason)
    }
    const unknown = await cluster.tryKubectl('apply -f -', {
      input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\ndatta: { a: b }\n',
    })
    assert.match(unknown.stderr, /unknown field "datta"/)
  })

  it('serves custom resources with their columns, scale and validation', async () => {
    const definition = await readFile(join(import.meta.dirname, 'data/crontab-crd.yaml'), 'utf8')
    await cluster.kubectl('apply -f -', { input: definition })
    await cluster.kubectl('wait --for=condition=Established crd/crontabs.stable.example.com --timeout=10s')
    const object = (replicas: number): string => `
apiVersion: stable.example.com/v1
kind: CronTab
metadata: { name: tab }
spec: { cronSpec: "* * * * *", replicas: ${replicas} }
`
    await cluster.kubectl('apply -f -', { input: object(2) })
    assert.match(await cluster.kubectl('get crontabs'), /NAME\s+SPEC\s+REPLICAS\s+AGE\ntab\s+\* \* \* \* \*\s+2/)
    const refused = await cluster.tryKubectl('apply -f -', { input: object(20) })
    assert.match(refused.stderr, /spec\.replicas: Invalid value: 20: .*should be less than or equal to 10/)
    await cluster.kubectl('scale crontab/tab --replicas=3')
    assert.equal(await cluster.kubectl('get crontab tab -o jsonpath={.spec.replicas}'), '3')
    assert.match(await cluster.kubectl('explain crontab.spec.cronSpec'), /cronSpec <string>/)
    await cluster.kubectl('delete crd crontabs.stable.example.com --timeout=30s')
    assert.match((await cluster.tryKubectl('get crontabs')).stderr, /doesn't have a resource type/)
  })

  it('lets helm install, upgrade, roll back and uninstall', async () => {
    await cluster.helm(['install', 'hello', 'examples/chart', '--wait', '--timeout', '60s'])
    assert.match(await cluster.helm(['list']), /hello\s+default\s+1/)
    await cluster.helm(['upgrade', 'hello', 'examples/chart', '--set', 'replicas=3', '--wait', '--timeout', '60s'])
    assert.match(await cluster.kubectl('get deployment hello'), /3\/3/)
    await cluster.helm(['rollback', 'hello', '1', '--wait', '--timeout', '60s'])
    assert.match(await cluster.kubectl('get deployment hello'), /2\/2/)
    await cluster.helm(['uninstall', 'hello', '--wait', '--timeout', '60s'])
    assert.match((await cluster.tryKubectl('get deployment hello')).stderr, /NotFound/)
  })

  it('serves @kubernetes/client-node: writes, lists, watches and informers', async () => {
    const config = new KubeConfig()
    config.loadFromFile(cluster.kubeconfig)
    const core = config.makeApiClient(CoreV1Api)
    const apps = config.makeApiClient(AppsV1Api)
    const seen: string[] = []
    const informer = makeInformer(config, '/api/v1/namespaces/default/configmaps', () =>
      core.listNamespacedConfigMap({ namespace: 'default' }),
    )
    informer.on('add', (object) => seen.push(`add ${object.metadata?.name}`))
    informer.on('delete', (object) => seen.push(`delete ${object.metadata?.name}`))
    informer.on('error', () => {})
    await informer.start()
    await core.createNamespacedConfigMap({
      namespace: 'default',
      body: { metadata: { name: 'from-js' }, data: { a: '1' } },
    })
    await waitFor('the add', async () => seen.includes('add from-js'))
    await core.deleteNamespacedConfigMap({ namespace: 'default', name: 'from-js' })
    await waitFor('the delete', async () => seen.includes('delete from-js'))
    await informer.stop()
    const { items } = await apps.listDeploymentForAllNamespaces()
    assert.ok(Array.isArray(items))
    await assert.rejects(
      core.readNamespacedPod({ namespace: 'default', name: 'nope' }),
      (error: { code?: number }) => error.code === 404,
    )
    const events: string[] = []
    const watch = await new Watch(config).watch(
      '/api/v1/namespaces',
      {},
      (type) => events.push(type),
      () => {},
    )
    await waitFor('watch events', async () => events.includes('ADDED'))
    watch.abort()
  })
})
