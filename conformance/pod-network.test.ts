import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import type { NetworkStatus } from '@centaurus/network'
import type { Explanation } from '@centaurus/network/explain'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { isAlive } from './lib/leftovers.ts'
import { IMAGE, pod } from './lib/manifests.ts'
import { waitFor, type Finished } from './lib/processes.ts'

const NAMESPACE = 'shop'
const CONNECT_SECONDS = 2

function withVariable(one: Pod, name: string, value: string): Pod {
  const containers = one.spec!.containers.map((container) => ({ ...container, env: [{ name, value }] }))
  return { ...one, spec: { ...one.spec!, containers } }
}

describe('the pod network of our own', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('network')
    await cluster.up('--network', 'centaurus')
    await cluster.kubectl(`create namespace ${NAMESPACE}`)
    const serve = {
      command: ['httpd', '-f', '-p', '8080', '-h', '/etc'],
      ports: [{ name: 'http', containerPort: 8080 }],
    }
    await cluster.apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { namespace: NAMESPACE, name: 'web' },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: {
              terminationGracePeriodSeconds: 1,
              containers: [
                {
                  name: 'main',
                  image: IMAGE,
                  ...serve,
                  readinessProbe: { httpGet: { path: '/hostname', port: 'http' }, periodSeconds: 1 },
                },
              ],
            },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: NAMESPACE, name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
      },
      inShop(pod('friend')),
      inShop(pod('stranger')),
    )
    await cluster.kubectl(`-n ${NAMESPACE} wait --for=condition=Ready pod/friend pod/stranger --timeout=60s`)
    await cluster.kubectl(`-n ${NAMESPACE} rollout status deployment/web --timeout=60s`)
  })
  after(() => cluster?.remove())

  const inShop = (one: Pod): Pod => ({ ...one, metadata: { ...one.metadata, namespace: NAMESPACE } })
  const fetchFrom = async (name: string, url: string): Promise<boolean> => {
    const script = `timeout ${CONNECT_SECONDS} wget -qO- ${url} >/dev/null && echo reached || echo lost`
    return (await cluster.exec(`-n ${NAMESPACE} ${name}`, script)).trim() === 'reached'
  }
  const webPods = async (): Promise<Pod[]> =>
    (await cluster.json<{ items: Pod[] }>(`-n ${NAMESPACE} get pods -l app=web`)).items
  const explain = (...args: string[]): Promise<Finished> =>
    cluster.centaurus(['network', 'explain', '-n', NAMESPACE, ...args, '-o', 'json'])
  const status = async (): Promise<NetworkStatus> =>
    JSON.parse((await cluster.centaurus(['network', 'status', '-o', 'json'])).stdout) as NetworkStatus

  it('connects the pods of a Deployment, by address, by Service and by name, and kubelet probes reach them', async () => {
    const [first, second] = await webPods()
    for (const each of [first!, second!])
      assert.equal(await fetchFrom('friend', `http://${each.status!.podIP}:8080/hostname`), true)
    const service = await cluster.kubectl(`-n ${NAMESPACE} get service web -o jsonpath={.spec.clusterIP}`)
    assert.equal(await fetchFrom('friend', `http://${service}/hostname`), true)
    assert.equal(await fetchFrom('friend', 'http://web/hostname'), true)
    const ready = first!.status!.conditions!.find(({ type }) => type === 'Ready')
    assert.equal(ready?.status, 'True')
  })

  it('reaches the API from a pod, and pods from their host', async () => {
    const ask = 'printf x | timeout 5 nc -w 3 kubernetes.default 443 >/dev/null && echo reached'
    assert.equal(await cluster.exec(`-n ${NAMESPACE} friend`, ask), 'reached\n')
    const [first] = await webPods()
    const page = await cluster.inNetwork(['curl', '-s', '-m', '5', `http://${first!.status!.podIP}:8080/hostname`])
    assert.equal(page.trim(), first!.metadata.name)
  })

  it('enforces a NetworkPolicy, which explain agrees with, and says what was dropped', async () => {
    assert.equal(await fetchFrom('stranger', 'http://web/hostname'), true)
    assert.equal((await explain('stranger', 'svc/web', '80')).code, 0)
    await cluster.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: NAMESPACE, name: 'web' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }], ports: [{ port: 'http' }] }],
      },
    })
    await waitFor('the policy to be in the kernel', async () =>
      (await status()).pods.filter(({ isolated }) => isolated.ingress).length === 2 ? true : undefined,
    )
    await waitFor('the friend to be known by the label that is asked for now', async () =>
      (await fetchFrom('friend', 'http://web/hostname')) ? true : undefined,
    )
    assert.equal(await fetchFrom('stranger', 'http://web/hostname'), false)
    const denied = await explain('stranger', 'svc/web', '80')
    assert.equal(denied.code, 3, denied.stderr)
    const { allowed, paths } = JSON.parse(denied.stdout) as Explanation
    assert.deepEqual([allowed, paths.length, paths[0]!.ingress.rule?.name], [false, 2, 'web'])
    assert.equal((await explain('friend', 'svc/web', '80')).code, 0)
    const drops = await cluster.mustCentaurus(['network', 'drops'])
    assert.match(
      drops,
      /PolicyIngress .*shop\/stranger .* -> shop\/web-\S+ .*by NetworkPolicy shop\/web, which isolates ingress/,
    )
    const [first] = await webPods()
    const probed = await cluster.inNetwork(['curl', '-s', '-m', '5', `http://${first!.status!.podIP}:8080/hostname`])
    assert.equal(probed.trim(), first!.metadata.name)
  })

  it('keeps tenants apart, also where their addresses are equal, and probes their pods', async () => {
    const lab = {
      apiVersion: 'centaurus.io/v1',
      kind: 'Vpc',
      metadata: { name: 'lab' },
      spec: { cidr: '10.20.0.0/16' },
    }
    const annotations = { 'centaurus.io/vpc': 'lab' }
    const labPod = (name: string): Pod => {
      const one = pod(name, {
        command: ['sh', '-c', 'mkdir -p /tmp/w && echo $WHOSE > /tmp/w/whose && httpd -f -p 8080 -h /tmp/w'],
        readinessProbe: { httpGet: { path: '/whose', port: 8080 }, periodSeconds: 1 },
      })
      return { ...one, metadata: { ...one.metadata, annotations } }
    }
    const addresses: string[][] = []
    for (const tenant of ['acme', 'beta']) {
      await cluster.mustCentaurus(['tenant', 'create', tenant])
      const file = join(cluster.home, `${tenant}.yaml`)
      await writeFile(file, await cluster.mustCentaurus(['tenant', 'kubeconfig', tenant]))
      const kubectl = (args: string, input?: object): Promise<string> =>
        cluster.kubectl(`--kubeconfig ${file} ${args}`, input === undefined ? {} : { input: JSON.stringify(input) })
      const objects = ['one', 'two'].map((name) => withVariable(labPod(name), 'WHOSE', tenant))
      await kubectl('apply -f -', { apiVersion: 'v1', kind: 'List', items: [lab, ...objects] })
      await kubectl('wait --for=condition=Ready pod/one pod/two --timeout=60s')
      const { items } = JSON.parse(await kubectl('get pods -o json')) as { items: Pod[] }
      const own = items.map(({ status: now }) => now!.podIP!)
      for (const address of own)
        assert.equal(await kubectl(`exec one -- timeout 2 wget -qO- http://${address}:8080/whose`), `${tenant}\n`)
      const [web] = await webPods()
      const lost = await cluster.tryKubectl(
        `--kubeconfig ${file} exec one -- timeout 2 wget -qO- http://${web!.status!.podIP}:8080/hostname`,
      )
      assert.notEqual(lost.code, 0)
      const told = await cluster.centaurus([
        'network',
        'explain',
        '--tenant',
        tenant,
        'one',
        web!.status!.podIP!,
        '8080',
      ])
      assert.match(told.stdout, /^DENIED .*\n[^]*No pod or Service of network lab has the address/)
      addresses.push(own.toSorted()) // which of the two came first is anybody's guess
    }
    assert.deepEqual(addresses[0], addresses[1])
  })

  it('goes on when its daemon is killed, which comes back by itself and knows its pods', async (test) => {
    const record = await readFile(join(cluster.home, 'run', 'network.json'), 'utf8')
    const { pid } = JSON.parse(record) as { pid: number }
    process.kill(pid, 'SIGKILL')
    const service = await cluster.kubectl(`-n ${NAMESPACE} get service web -o jsonpath={.spec.clusterIP}`)
    await waitFor('the daemon to be gone', async () => !isAlive(pid))
    // a question that is asked once waits until the daemon is back
    const began = performance.now()
    const ask = `nslookup -retry=1 -timeout=60 web.${NAMESPACE}.svc.cluster.local 10.96.0.10`
    const asked = cluster.exec(`-n ${NAMESPACE} friend`, ask).then((answer) => {
      test.diagnostic(`names were answered again after ${Math.round(performance.now() - began)} ms`)
      return answer
    })
    assert.equal(await fetchFrom('friend', `http://${service}/hostname`), true)
    assert.equal(await fetchFrom('stranger', `http://${service}/hostname`), false)
    await waitFor('the daemon to be back', async () => (await cluster.centaurus(['network', 'status'])).code === 0)
    assert.match(await asked, new RegExp(`Address.*${service}`))
    const { pods } = await status()
    assert.ok(['friend', 'stranger'].every((name) => pods.some((each) => each.name === name && each.policySet > 0)))
    assert.equal(await fetchFrom('stranger', 'http://web/hostname'), false)
  })

  it('says what it is', async () => {
    assert.match(await cluster.mustCentaurus(['network', 'status']), /State +ready/)
    assert.match(await cluster.mustCentaurus(['status']), /network +running/)
    const unavailable = await cluster.kubectl(
      'get nodes -o jsonpath={.items[0].status.conditions[?(@.type=="NetworkUnavailable")].status}',
    )
    assert.equal(unavailable, 'False')
  })

  it('is as it was after the cluster was down', async () => {
    await cluster.mustCentaurus(['down'], { timeoutMs: 120_000 })
    await cluster.up()
    await cluster.kubectl(`-n ${NAMESPACE} wait --for=condition=Ready pod/friend pod/stranger --timeout=60s`)
    await cluster.kubectl(`-n ${NAMESPACE} rollout status deployment/web --timeout=60s`)
    assert.equal(await fetchFrom('friend', 'http://web/hostname'), true)
    assert.equal(await fetchFrom('stranger', 'http://web/hostname'), false)
  })
})
