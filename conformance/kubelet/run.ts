/**
 * Upstream's kubelet and kube-proxy, unmodified, as a node of ours. By hand, not part of the tests: `node run.ts`; see ../README.md. Needs root, and Go
 * to build them the first time.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster } from '../lib/cluster.ts'
import { IMAGE, pod, shell } from '../lib/manifests.ts'
import { waitFor, type RunOptions } from '../lib/processes.ts'
import { buildUpstream } from './build.ts'
import { UpstreamNode } from './upstream-node.ts'

const FORWARDED_PORT = 18_080
const BRIEF = { terminationGracePeriodSeconds: 1 }
const SERVE = ['httpd', '-f', '-p', '8080', '-h', '/etc']

const WEB = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { ...BRIEF, containers: [{ name: 'web', image: IMAGE, command: SERVE }] },
    },
  },
}
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
}

const FURNISHED = pod(
  'furnished',
  {
    command: shell('trap "echo TERM; exit" TERM; echo started; while :; do sleep 0.2; done'),
    env: [
      { name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
      { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
      { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
    ],
    envFrom: [{ prefix: 'KEY_', secretRef: { name: 'keys' } }],
    resources: { limits: { cpu: '300m', memory: '40Mi' }, requests: { cpu: '100m', memory: '20Mi' } },
    readinessProbe: { exec: { command: ['test', '!', '-e', '/tmp/unready'] }, periodSeconds: 1 },
    livenessProbe: {
      exec: { command: ['test', '!', '-e', '/tmp/broken'] },
      periodSeconds: 1,
      failureThreshold: 1,
    },
    volumeMounts: [
      { name: 'all', mountPath: '/all' },
      { name: 'memory', mountPath: '/memory' },
    ],
  },
  {
    volumes: [
      {
        name: 'all',
        projected: {
          sources: [
            { configMap: { name: 'settings', items: [{ key: 'page', path: 'page' }] } },
            { secret: { name: 'keys' } },
            { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
          ],
        },
      },
      { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
    ],
  },
)

describe('an unmodified kubelet at a resource partition', () => {
  let cluster: TestCluster
  let node: UpstreamNode

  const file = (name: string): string => join(cluster.home, name)
  const acme = (args: string | readonly string[], options: RunOptions = {}): Promise<string> =>
    cluster.kubectl(['--kubeconfig', file('acme'), ...words(args)], options)
  const operator = (args: string): Promise<string> =>
    cluster.kubectl(`--kubeconfig ${file('partitions/rp1/kubeconfig')} ${args}`)
  const apply = (...items: object[]): Promise<string> =>
    acme('apply -f -', { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  const inside = (name: string, script: string): Promise<string> => acme(['exec', name, '--', 'sh', '-c', script])
  const eventually = (args: string, accept: RegExp): Promise<string> =>
    waitFor(
      `${args} to say ${accept}`,
      async () => {
        const text = await acme(args).catch(() => '')
        return accept.test(text) ? text : undefined
      },
      { timeoutMs: 90_000, describe: async () => `${await acme('get pods -o wide')}\n${node.logs()}` },
    )
  /** Every container that runs, and how often it began. */
  const containers = (): Promise<string> =>
    acme(
      'get pods -o jsonpath={range.items[*]}{.metadata.uid}{.status.containerStatuses[*].containerID}{.status.containerStatuses[*].restartCount}{.status.phase}{"\\n"}{end}',
    )

  before(async () => {
    const programs = await buildUpstream()
    cluster = await TestCluster.create('kubelet')
    await cluster.up('--nodes', 'none')
    await cluster.mustCentaurus(['partition', 'add', 'tp1', '--roles', 'tenant'])
    await cluster.mustCentaurus(['partition', 'add', 'rp1', '--roles', 'resource'])
    await cluster.mustCentaurus(['tenant', 'create', 'acme', '--partition', 'tp1'])
    await writeFile(file('acme'), await cluster.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
    node = await createNode(cluster, 'k1', programs)
  })
  after(async () => {
    await node?.destroy()
    await cluster?.remove()
  })

  it('joins by a bootstrap token, and serves by a certificate that an operator approves', async () => {
    const print = (what: string): Promise<string> => cluster.mustCentaurus(['node', what, '--partition', 'rp1'])
    node.startKubelet({ bootstrap: await print('bootstrap-kubeconfig') })
    node.startKubeProxy({ kubeProxy: await print('kube-proxy-kubeconfig') })
    await waitFor('the node', async () => /k1\s+Ready.*containerd:/.test(await operator('get nodes -o wide')), {
      describe: async () => node.logs(),
    })
    await approveServing(operator)
    const names = (): Promise<string> => operator('get -A csinodes,leases.coordination.k8s.io -o name')
    await waitFor('its CSINode and Lease', async () => /csinode\S*\/k1\n[^]*lease\S*\/k1\n/.test(await names()))
  })

  it('gives a tenant’s pod what it asks for', async () => {
    await apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { colour: 'blue', page: 'old' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { token: 's3cret' } },
      FURNISHED,
    )
    await acme('wait --for=condition=Ready pod/furnished --timeout=60s')
    assert.equal(
      await inside('furnished', 'echo "$COLOUR|$NAMESPACE|$NODE|$CPU|$KEY_token"'),
      'blue|default|k1|300|s3cret\n',
    )
    assert.equal(await inside('furnished', 'cat /all/page /all/token /all/namespace'), 'olds3cretdefault')
    assert.match(await inside('furnished', 'grep " /memory " /proc/mounts'), /^tmpfs .*size=8192k/)
    const account = '/var/run/secrets/kubernetes.io/serviceaccount'
    const [host, token, namespace] = (
      await inside('furnished', `echo $KUBERNETES_SERVICE_HOST; cat ${account}/token; echo; cat ${account}/namespace`)
    ).split('\n')
    assert.equal(namespace, 'default')
    await writeFile(file('trusted.crt'), await inside('furnished', `cat ${account}/ca.crt`))
    const list = ['--cacert', file('trusted.crt'), `https://${host}/api/v1/namespaces/default/pods`]
    const asked = await cluster.inNetwork(['curl', '-sS', '-H', `Authorization: Bearer ${token}`, ...list])
    assert.match(asked, /system:serviceaccount:default:default\\" cannot list/)
    const events = 'get events --field-selector involvedObject.name=furnished'
    for (const reason of ['Scheduled', 'Pulled', 'Created', 'Started']) await eventually(events, new RegExp(reason))
  })

  it('lets the tenant look into it', async () => {
    assert.equal(await acme('logs furnished'), 'started\n')
    assert.equal(await acme('exec -i furnished -- cat', { input: 'said\n' }), 'said\n')
    await writeFile(file('copied'), 'copied\n')
    await acme(`cp ${file('copied')} furnished:/tmp/copied`)
    await inside('furnished', 'httpd -p 8080 -h /tmp')
    const forwarded = cluster.startKubectl(
      `--kubeconfig ${file('acme')} port-forward pod/furnished ${FORWARDED_PORT}:8080`,
    )
    try {
      const fetch = () => cluster.inNetwork(['curl', '-s', `http://127.0.0.1:${FORWARDED_PORT}/copied`])
      await waitFor('the forwarded port', async () => (await fetch().catch(() => '')) === 'copied\n')
    } finally {
      forwarded.kill()
    }
    await apply(pod('talks', { command: shell('read line; echo "heard $line"; sleep 1000'), stdin: true }, BRIEF))
    await acme('wait --for=condition=Ready pod/talks --timeout=60s')
    const attached = cluster.startKubectl(`--kubeconfig ${file('acme')} attach -i talks`)
    let heard = ''
    attached.stdout?.setEncoding('utf8').on('data', (chunk: string) => (heard += chunk))
    attached.stdin?.write('hello\n')
    await waitFor('what the container says', async () => heard.includes('heard hello'))
    attached.kill()
    await acme('delete pod talks --wait --timeout=30s')
    await eventually('top pod furnished', /furnished\s+\d+m\s+\d+Mi/)
  })

  it('follows changes and probes', async () => {
    await acme(['patch', 'configmap', 'settings', '--type=merge', '-p', '{"data":{"page":"new"}}'])
    await eventually('exec furnished -- cat /all/page', /^new$/)
    await inside('furnished', 'touch /tmp/unready')
    await eventually('get pod furnished', /0\/1\s+Running/)
    await inside('furnished', 'rm /tmp/unready')
    await eventually('get pod furnished', /1\/1\s+Running/)
    await inside('furnished', 'touch /tmp/broken')
    await eventually('get pod furnished', /1\/1\s+Running\s+1 /)
    assert.equal(await acme('logs furnished --previous'), 'started\nTERM\n')
    await eventually('get events', /Unhealthy.*Liveness probe failed/)
    const resources = {
      containers: [{ name: 'main', resources: { limits: { cpu: '400m' }, requests: { cpu: '150m' } } }],
    }
    await acme(['patch', 'pod', 'furnished', '--subresource=resize', '-p', JSON.stringify({ spec: resources })])
    await eventually('get pod furnished -o jsonpath={.status.containerStatuses[0].resources}', /"400m".*"150m"/)
    await waitFor('its room to change', async () => /k1\s+1\s+150m/.test(await operator('get nodeallocations')), {
      describe: () => operator('get nodeallocations'),
    })
    await acme('delete pod furnished --wait --timeout=30s')
  })

  it('runs init containers, sidecars and jobs, and says what fails', async () => {
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }]
    const step = (name: string) => ({
      name,
      image: IMAGE,
      command: shell(`echo ${name} >> /shared/order`),
      volumeMounts,
    })
    const sidecar = {
      ...step('sidecar'),
      restartPolicy: 'Always' as const,
      command: shell('echo sidecar >> /shared/order; trap exit TERM; while :; do sleep 0.2; done'),
      startupProbe: { exec: { command: ['grep', 'sidecar', '/shared/order'] }, periodSeconds: 1 },
    }
    const stages = pod(
      'stages',
      { command: shell('cat /shared/order'), volumeMounts },
      { restartPolicy: 'Never', initContainers: [step('first'), sidecar], volumes: [{ name: 'shared', emptyDir: {} }] },
    )
    const once = { restartPolicy: 'Never', containers: [{ name: 'main', image: IMAGE, command: shell('echo done') }] }
    await apply(
      stages,
      { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'once' }, spec: { template: { spec: once } } },
      pod('crash', { command: shell('echo dying; exit 3') }, BRIEF),
      pod('missing', { image: '127.0.0.1:1/no/such:1' }, BRIEF),
    )
    await acme('wait --for=jsonpath={.status.phase}=Succeeded pod/stages --timeout=60s')
    assert.equal(await acme('logs stages -c main'), 'first\nsidecar\n')
    await acme('wait --for=condition=Complete job/once --timeout=60s')
    assert.equal(await acme('logs job/once'), 'done\n')
    await eventually('get pod missing', /ErrImagePull|ImagePullBackOff/)
    await eventually('get events', /BackOff.*pod\/crash.*pod crash_default\(/)
    await acme('delete pod stages crash missing --wait --timeout=30s')
    await acme('delete job once')
  })

  it('serves the tenant’s Services by kube-proxy', async () => {
    await apply(WEB, SERVICE, pod('asks', {}, BRIEF))
    await acme('rollout status deployment/web --timeout=60s')
    await acme('wait --for=condition=Ready pod/asks --timeout=60s')
    const address = await acme('get service web -o jsonpath={.spec.clusterIP}')
    await eventually(`exec asks -- timeout 5 wget -qO- http://${address}/hostname`, /^web-/)
  })

  it('shows the pods that it has from files', async () => {
    const manifest = join(node.manifests, 'static.json')
    await writeFile(manifest, JSON.stringify(pod('static', {}, BRIEF)))
    await waitFor('the mirror', async () => /1\/1\s+Running/.test(await operator('get pod static-k1').catch(() => '')))
    assert.match(await operator('exec static-k1 -- hostname'), /static-k1/)
    await rm(manifest)
    await waitFor('its end', async () => !(await operator('get pods -o name')).includes('static-k1'))
  })

  it('goes on when it and both partitions are killed', async () => {
    const before = await containers()
    await node.killKubelet()
    node.startKubelet()
    for (const partition of ['partitions/tp1', 'partitions/rp1']) {
      const { pid } = JSON.parse(readFileSync(file(`${partition}/run/control-plane.json`), 'utf8')) as { pid: number }
      process.kill(pid, 'SIGKILL')
    }
    await eventually('exec asks -- echo back', /back/)
    await acme('scale deployment web --replicas=3')
    await acme('rollout status deployment/web --timeout=60s')
    const now = await containers()
    for (const line of before.split('\n')) assert.ok(now.includes(line), `${line} is not among\n${now}`)
    assert.match(await operator('get node k1'), /k1\s+Ready/)
  })

  it('goes on while its tenant moves', async () => {
    const before = await containers()
    await cluster.mustCentaurus(['tenant', 'move', 'acme', '--to', 'home'])
    await writeFile(file('acme'), await cluster.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
    await eventually('exec asks -- echo moved', /moved/)
    assert.equal(await containers(), before)
    await acme('scale deployment web --replicas=1')
    await eventually('get pods -l app=web', /^[^\n]*\n[^\n]*1\/1[^\n]*\n$/)
  })

  it('gives its pods up to a taint, and to who drains it', async () => {
    await operator('taint node k1 gone=now:NoExecute')
    await eventually('get pods', /^[^\n]*\nweb-\S+\s+0\/1\s+Pending[^\n]*\n$/)
    await operator('taint node k1 gone-')
    await acme('rollout status deployment/web --timeout=60s')
    const server = await operator('config view -o jsonpath={.clusters[0].cluster.server}')
    assert.match(
      await operator(`--server ${server}/tenants/all drain k1 --timeout=30s`),
      /pod\/web-\S+ evicted\nnode\/k1 drained/,
    )
    await operator('uncordon k1')
    await acme('rollout status deployment/web --timeout=60s')
  })

  it('leaves nothing behind', async () => {
    await acme('delete deployment web --cascade=foreground')
    await waitFor('room to be given back', async () => /k1\s+0\s/.test(await operator('get nodeallocations')), {
      describe: () => operator('get nodeallocations'),
    })
    const copies = `--server ${await operator('config view -o jsonpath={.clusters[0].cluster.server}')}/tenants/all`
    await waitFor('the copies to go', async () => (await operator(`${copies} get pods -A -o name`)).trim() === '')
  })
})

describe('an unmodified kubelet in a cluster of one partition', () => {
  let cluster: TestCluster
  let node: UpstreamNode

  before(async () => {
    const programs = await buildUpstream()
    cluster = await TestCluster.create('kubelet-one')
    await cluster.up('--nodes', 'none')
    node = await createNode(cluster, 'k2', programs)
  })
  after(async () => {
    await node?.destroy()
    await cluster?.remove()
  })

  it('joins by a certificate for one name and runs pods', async () => {
    node.startKubelet({ kubelet: await cluster.mustCentaurus(['node', 'kubeconfig', 'k2']) })
    await cluster.eventually('get nodes', (text) => /k2\s+Ready/.test(text))
    await approveServing((args) => cluster.kubectl(args))
    await cluster.apply(pod('here', { command: shell('echo here; sleep 1000') }, BRIEF))
    await cluster.kubectl('wait --for=condition=Ready pod/here --timeout=60s')
    assert.equal(await cluster.kubectl('logs here'), 'here\n')
    assert.equal(await cluster.exec('here', 'hostname'), 'here\n')
    await cluster.kubectl('delete pod here --wait --timeout=30s')
  })
})

describe('an unmodified kubelet beside our pod network', () => {
  let cluster: TestCluster
  let node: UpstreamNode
  const serve = (name: string, labels: Record<string, string>) => {
    const { metadata, ...rest } = pod(name, { command: SERVE }, BRIEF) as { metadata: object }
    return { ...rest, metadata: { ...metadata, labels } }
  }

  before(async () => {
    const programs = await buildUpstream()
    cluster = await TestCluster.create('kubelet-network')
    await cluster.up('--nodes', 'none')
    node = await createNode(cluster, 'k3', programs, 'centaurus')
  })
  after(async () => {
    await node?.destroy()
    await cluster?.remove()
  })

  const reaches = (from: string, where: string): Promise<boolean> =>
    cluster.exec(from, `timeout 3 wget -qO- http://${where}/hostname`).then(
      () => true,
      () => false,
    )

  it('is Ready when the network is', async () => {
    const kubelet = await cluster.mustCentaurus(['node', 'kubeconfig', 'k3'])
    node.startKubelet({ kubelet })
    node.startNetwork({ kubelet, kubeProxy: await cluster.mustCentaurus(['node', 'kube-proxy-kubeconfig']) })
    const conditions = 'get node k3 -o jsonpath={.status.conditions[?(@.status=="False")].reason}'
    await waitFor('the node', async () => /k3\s+Ready/.test(await cluster.kubectl('get nodes')), {
      timeoutMs: 120_000,
      describe: async () => node.logs(),
    })
    await cluster.eventually(conditions, (text) => text.includes('NetworkReady'))
    await approveServing((args) => cluster.kubectl(args))
  })

  it('has pods that reach each other, Services and names as policies say', async () => {
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'web' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { role: 'friend' } } }] }],
      },
    }
    await cluster.apply(
      serve('web', { app: 'web' }),
      serve('friend', { role: 'friend' }),
      serve('stranger', {}),
      SERVICE,
    )
    await cluster.kubectl('wait --for=condition=Ready pod/web pod/friend pod/stranger --timeout=120s')
    for (const from of ['friend', 'stranger'])
      await waitFor(`${from} to reach web`, async () => reaches(from, 'web'), { describe: async () => node.logs() })
    await cluster.apply(policy)
    await cluster.eventually('get networkpolicystatus web', (text) => / 1\/1 /.test(text))
    assert.equal(await reaches('friend', 'web'), true)
    assert.equal(await reaches('stranger', 'web'), false)
    assert.match(await cluster.kubectl('get pod web -o jsonpath={.status.podIP}'), /^10\.244\./)
    await cluster.kubectl('delete pod web friend stranger --wait --timeout=60s')
  })

  it('leaves nothing of it on the machine', async () => {
    const seen = async (): Promise<string> =>
      (await cluster.inNetwork(['ip', 'link'])) + (await cluster.inNetwork(['nft', 'list', 'tables']))
    assert.match(await seen(), /centaurus/)
    await node.removeNetwork()
    assert.doesNotMatch(await seen(), /centaurus/)
  })
})

async function createNode(
  cluster: TestCluster,
  name: string,
  programs: Awaited<ReturnType<typeof buildUpstream>>,
  network: 'bridge' | 'centaurus' = 'bridge',
): Promise<UpstreamNode> {
  const { enter, address } = cluster.network!
  const ca = await readFile(join(cluster.home, 'pki/ca.crt'), 'utf8')
  return UpstreamNode.create({ name, folder: join(cluster.home, name), programs, enter, address, ca, network })
}

/** As an operator does, who has looked at whose it is. */
async function approveServing(kubectl: (args: string) => Promise<string>): Promise<void> {
  const pending = await waitFor('a request for a serving certificate', async () => {
    const list = await kubectl('get csr --no-headers')
    return /^(\S+).*kubelet-serving.*Pending/m.exec(list)?.[1]
  })
  await kubectl(`certificate approve ${pending}`)
  await kubectl(`wait --for=jsonpath={.status.certificate} csr/${pending} --timeout=30s`)
}

function words(args: string | readonly string[]): readonly string[] {
  return typeof args === 'string' ? args.split(' ') : args
}
