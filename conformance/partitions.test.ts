import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { destroyHome, homePrefix } from './lib/leftovers.ts'
import { pod } from './lib/manifests.ts'
import { waitFor } from './lib/processes.ts'

interface Listed {
  readonly name: string
  readonly state: string
  readonly tenants?: number
  readonly nodes?: number
  readonly serviceCIDR?: string
  readonly endpoints: readonly string[]
}

const WEB = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 8,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image: 'web', resources: { requests: { cpu: '100m' } } }] },
    },
  },
}

describe('partitions, added to a cluster while it runs', () => {
  let cluster: TestCluster
  let folder: string
  /** Home of what would be another machine. */
  let elsewhere: string

  before(async () => {
    elsewhere = await mkdtemp(homePrefix('elsewhere'))
    folder = await mkdtemp(join(tmpdir(), 'centaurus-tenant-'))
    cluster = await TestCluster.create('partitions')
    await cluster.up('--nodes', 'simulated:2')
  })
  after(async () => {
    await destroyHome(elsewhere)
    await cluster?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  const partitionsOf = async (): Promise<readonly Listed[]> =>
    JSON.parse(await cluster.mustCentaurus(['partition', 'list', '--json'])) as Listed[]
  const find = async (name: string): Promise<Listed | undefined> =>
    (await partitionsOf()).find((partition) => partition.name === name)
  const refusal = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await cluster.centaurus(args)
    assert.equal(code, 1, `${args.join(' ')} should be refused`)
    return stderr
  }
  /** kubectl as the administrator of the tenant. */
  const acme = (args: string, options: { input?: string } = {}): Promise<string> =>
    cluster.kubectl(`--kubeconfig ${join(folder, 'acme')} ${args}`, options)
  const kubectlOf = (partition: string, args: string): Promise<string> =>
    cluster.kubectl(`--kubeconfig ${join(cluster.home, 'partitions', partition, 'kubeconfig')} ${args}`)

  it('join with an address, a service range and nodes of their own, and nothing else restarts', async () => {
    const before = JSON.parse(await cluster.mustCentaurus(['status', '--json'])) as { processes: unknown }
    await cluster.mustCentaurus(['partition', 'add', 'tp1', '--roles', 'tenant'])
    await cluster.mustCentaurus(['partition', 'add', 'rp1', '--roles', 'resource', '--nodes', 'simulated:3'])
    const list = await partitionsOf()
    assert.deepEqual(
      list.map(({ name, state }) => `${name} ${state}`),
      ['home Ready', 'rp1 Ready', 'tp1 Ready'],
    )
    assert.equal(new Set(list.map(({ serviceCIDR }) => serviceCIDR)).size, 3)
    await waitFor('home to hear of the nodes', async () => (await find('rp1'))?.nodes === 3)
    const status = await cluster.mustCentaurus(['status'])
    assert.match(status, /Partition rp1[^]*3 of 3 ready/)
    const after = JSON.parse(await cluster.mustCentaurus(['status', '--json'])) as { processes: { pid: number }[] }
    const pids = (seen: { processes: unknown }): unknown[] =>
      (seen.processes as { pid: number }[]).map((process) => process.pid)
    assert.deepEqual(pids(after), pids(before))
    const columns = await cluster.kubectl('get partitions')
    assert.match(columns, /tp1\s+\["Tenant"\]\s+True/)
  })

  it('let machines become nodes by a token, or by a certificate for one name', async () => {
    const file = (name: string): string => join(folder, name)
    const target = ['--partition', 'rp1']
    assert.match(await refusal('node', 'kubeconfig', 'machine'), /one of home, rp1/)
    assert.match(await refusal('node', 'kubeconfig', 'Machine!', ...target), /lower case letters/)
    await writeFile(file('token'), await cluster.mustCentaurus(['node', 'bootstrap-kubeconfig', ...target]))
    const subject = ['-subj', '/O=system:nodes/CN=system:node:machine']
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key')]
    const asked = await cluster.inNetwork(['openssl', 'req', ...newKey, ...subject])
    const request = (name: string) => ({
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      spec: {
        request: Buffer.from(asked).toString('base64'),
        signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
        usages: ['digital signature', 'client auth'],
      },
    })
    const certify = async (credentials: string, name: string): Promise<string> => {
      await cluster.kubectl(`${credentials} create -f -`, { input: JSON.stringify(request(name)) })
      const read = `${credentials} get csr ${name} -o jsonpath={.status.certificate}`
      return cluster.eventually(read, (certificate) => certificate !== '')
    }
    const withToken = `--kubeconfig ${file('token')}`
    await writeFile(file('certificate'), Buffer.from(await certify(withToken, 'first'), 'base64'))
    await writeFile(file('node'), await cluster.mustCentaurus(['node', 'kubeconfig', 'machine', ...target]))
    await certify(`--kubeconfig ${file('node')}`, 'renewed')
    const [server] = (await find('rp1'))!.endpoints
    const authority = `--server ${server} --certificate-authority ${join(cluster.home, 'pki/ca.crt')}`
    const issued = `${authority} --client-certificate ${file('certificate')} --client-key ${file('key')}`
    for (const credentials of [issued, `--kubeconfig ${file('node')}`]) {
      assert.match(await cluster.kubectl(`${credentials} auth whoami`), /system:node:machine/)
      const { stderr } = await cluster.tryKubectl(`${credentials} get node machine`)
      assert.match(stderr, /nodes "machine" not found/)
    }
    const { stderr } = await cluster.tryKubectl(`${withToken} get nodes`)
    assert.match(stderr, /User "system:bootstrap:\w{6}" cannot list resource "nodes"/)
  })

  it('run a tenant’s pods on all nodes of the cluster', async () => {
    await cluster.mustCentaurus(['tenant', 'create', 'acme', '--partition', 'tp1'])
    await writeFile(join(folder, 'acme'), await cluster.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
    await acme('apply -f -', { input: JSON.stringify(WEB) })
    await acme('rollout status deployment/web --timeout=60s')
    const hosts = await acme('get pods -o jsonpath={.items[*].spec.nodeName}')
    assert.deepEqual([...new Set(hosts.split(' ').map((host) => host.replace(/-\d+$/, '')))].toSorted(), [
      'rp1-simulated',
      'simulated',
    ])
    assert.match(await cluster.kubectl('get pods -A'), /^\s*$|No resources/, 'they are the tenant’s, and nobody else’s')
    assert.match(await kubectlOf('rp1', 'get nodeallocations'), /tp1/)
    for (const host of ['simulated-0', 'rp1-simulated-0']) {
      const pod = await acme(`get pods --field-selector spec.nodeName=${host} -o jsonpath={.items[0].metadata.name}`)
      assert.match(await acme(`logs ${pod}`), /This container is simulated/)
      assert.match(await acme(`exec ${pod} -- echo here`), /here/)
    }
  })

  it('have DaemonSets and Services of each tenant over all nodes, and nodes that can be emptied', async () => {
    const labels = { app: 'watches' }
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c' }] } }
    const watches = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'watches' },
      spec: { selector: { matchLabels: labels }, template },
    }
    const input = JSON.stringify(watches)
    await acme('apply -f -', { input })
    await cluster.kubectl('apply -f -', { input })
    await acme('expose deployment web --port=80')
    for (const run of [acme, cluster.kubectl.bind(cluster)] as const) {
      await run('rollout status daemonset/watches --timeout=60s')
      const hosts = await run('get pods -l app=watches -o jsonpath={.items[*].spec.nodeName}')
      assert.equal(new Set(hosts.split(' ')).size, 5, hosts)
    }
    const endpoints =
      'get endpointslices -l kubernetes.io/service-name=web -o jsonpath={.items[*].endpoints[*].nodeName}'
    await waitFor('the Service to lead to all pods', async () => (await acme(endpoints)).split(' ').length === 8)
    assert.match(await acme(endpoints), /(^| )simulated-\d.*rp1-simulated|rp1-simulated.* simulated-\d/)
    const server = await kubectlOf('rp1', 'config view --minify -o jsonpath={.clusters[0].cluster.server}')
    const operator = (args: string): Promise<string> => kubectlOf('rp1', `--server ${server}/tenants/all ${args}`)
    await operator('drain rp1-simulated-0 --ignore-daemonsets --force --timeout=60s')
    const left = 'get pods -l app=web --field-selector spec.nodeName=rp1-simulated-0 -o name'
    assert.equal(await acme(left), '')
    await acme('rollout status deployment/web --timeout=60s')
    await operator('taint node rp1-simulated-1 broken=:NoExecute')
    const evicted = async (run: typeof acme): Promise<boolean> =>
      (await run('get pods --field-selector spec.nodeName=rp1-simulated-1 -o name')) === ''
    await waitFor('the taint to evict', async () => (await evicted(acme)) && evicted(cluster.kubectl.bind(cluster)))
    await operator('taint node rp1-simulated-1 broken-')
    await operator('uncordon rp1-simulated-0')
    await cluster.kubectl('delete daemonset watches')
    await acme('delete daemonset watches')
  })

  it('are all back after down and up', async () => {
    await cluster.mustCentaurus(['down'])
    await cluster.up()
    await acme('wait --for=condition=Available deployment/web --timeout=60s')
    await waitFor('all partitions to be ready', async () =>
      (await partitionsOf()).every(({ state }) => state === 'Ready'),
    )
    assert.match(await cluster.mustCentaurus(['logs', 'tp1']), /Started control plane/)
  })

  it('join from another machine with a bundle, which is a secret', async () => {
    const bundle = join(folder, 'tp2.json')
    await cluster.mustCentaurus(['partition', 'add', 'tp2', '--roles', 'tenant', '--join-bundle', bundle])
    assert.equal((await stat(bundle)).mode & 0o777, 0o600)
    const other = { env: { CENTAURUS_HOME: elsewhere } }
    const joined = await cluster.centaurus(['up', '--join', bundle, '--port', '7443'], other)
    assert.match(joined.stdout, /Partition tp2 is up/, joined.stderr)
    await waitFor('the partition to be ready', async () => (await find('tp2'))?.state === 'Ready')
    const refused = await cluster.centaurus(['partition', 'add', 'tp3', '--roles', 'tenant'], other)
    assert.match(refused.stderr, /home is elsewhere/)
    assert.match(await cluster.mustCentaurus(['partition', 'remove', 'tp2']), /Stop it on its own machine/)
    assert.equal((await cluster.centaurus(['reset', '--yes'], other)).code, 0)
  })

  it('leave when they are empty, and not before', async () => {
    assert.match(await refusal('partition', 'drain', 'home'), /it is home/)
    const advice = await cluster.mustCentaurus(['partition', 'drain', 'tp1'])
    assert.match(advice, /1 tenants live there: acme[^]*tenant move acme/)
    assert.equal((await find('tp1'))?.state, 'Ready,Draining')
    assert.match(await refusal('partition', 'remove', 'tp1'), /not empty/)
    assert.match(await refusal('partition', 'remove', 'rp1'), /3 nodes are there: rp1-simulated-0/)
    assert.match(await refusal('partition', 'remove', 'nothing'), /There are: home, rp1, tp1/)
    await cluster.mustCentaurus(['tenant', 'delete', 'acme'])
    await cluster.mustCentaurus(['partition', 'remove', 'tp1'])
    assert.doesNotMatch(await cluster.kubectl('-n kube-system get leases -o name'), /partition-tp1/)
    // Another one of the same name is not taken for the old one.
    await cluster.mustCentaurus(['partition', 'add', 'tp1', '--roles', 'tenant'])
    await cluster.mustCentaurus(['tenant', 'create', 'beta', '--partition', 'tp1'])
    const beta = join(folder, 'beta')
    await writeFile(beta, await cluster.mustCentaurus(['tenant', 'kubeconfig', 'beta']))
    await cluster.kubectl(`--kubeconfig ${beta} apply -f -`, { input: JSON.stringify(WEB) })
    await cluster.kubectl(`--kubeconfig ${beta} rollout status deployment/web --timeout=60s`)
    assert.deepEqual(
      (await partitionsOf()).filter(({ state }) => state.includes('Fenced')),
      [],
    )
    await cluster.mustCentaurus(['tenant', 'delete', 'beta'])
    await cluster.mustCentaurus(['partition', 'remove', 'tp1'])
    await cluster.mustCentaurus(['partition', 'add', 'rp1', '--roles', 'resource', '--nodes', 'none'])
    await kubectlOf('rp1', 'delete nodes --all')
    await cluster.mustCentaurus(['partition', 'remove', 'rp1'])
    assert.deepEqual(
      (await partitionsOf()).map(({ name }) => name),
      ['home'],
    )
  })

  it('say what is wrong with what they are told', async () => {
    for (const [args, reason] of [
      [['add', 'A'], /must start with a letter/],
      [['add', 'home'], /it is the home partition/],
      [['add', 'x', '--roles', 'king'], /it must be tenant, resource or tenant,resource/],
      [['add', 'x', '--roles', 'tenant', '--nodes', 'simulated:1'], /it needs --roles resource/],
      [['add-server', 'home', '--port', '7001'], /its store is embedded/],
      [['readmit', 'x'], /There is no partition "x"/],
    ] as const) {
      assert.match(await refusal('partition', ...args), reason)
    }
  })
})

describe('pods of another partition’s tenant on a real node', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster
  let kubeconfig: string

  before(async () => {
    cluster = await TestCluster.create('tenantpods')
    kubeconfig = join(cluster.home, 'acme')
    await cluster.up()
    await cluster.mustCentaurus(['partition', 'add', 'tp1', '--roles', 'tenant'])
    await cluster.mustCentaurus(['tenant', 'create', 'acme', '--partition', 'tp1'])
    await writeFile(kubeconfig, await cluster.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
  })
  after(() => cluster?.remove())

  const acme = (args: string | readonly string[], options: { input?: string } = {}): Promise<string> => {
    const words = typeof args === 'string' ? args.split(' ') : args
    return cluster.kubectl(['--kubeconfig', kubeconfig, ...words], options)
  }
  const apply = (...items: object[]): Promise<string> =>
    acme('apply -f -', { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  const brief = { terminationGracePeriodSeconds: 1 }

  it('reach each other by the name and the address of their Service', async () => {
    const serve = { command: ['httpd', '-f', '-p', '8080', '-h', '/etc'] }
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'echo' },
      spec: { selector: { app: 'echo' }, ports: [{ port: 80, targetPort: 8080 }] },
    }
    await apply(pod('echo', serve, brief), pod('asks', {}, brief), service)
    await acme('wait --for=condition=Ready pod/echo pod/asks --timeout=60s')
    const address = await acme('get service echo -o jsonpath={.spec.clusterIP}')
    for (const host of ['echo', address]) {
      const ask = (): Promise<string> => acme(`exec asks -- timeout 5 wget -qO- http://${host}/hostname`)
      await waitFor(`an answer from ${host}`, async () => (await ask().catch(() => '')).trim() === 'echo')
    }
  })

  it('look names up as in a cluster of their own, and none of the operators', async () => {
    await cluster.kubectl('create service clusterip operated --tcp=80')
    const addressOf = (name: string): Promise<string> => acme(`get service ${name} -o jsonpath={.spec.clusterIP}`)
    const lookUp = (name: string): Promise<string> => acme(`exec asks -- nslookup ${name}.default.svc.cluster.local.`)
    for (const name of ['echo', 'kubernetes']) assert.ok((await lookUp(name)).includes(await addressOf(name)), name)
    await assert.rejects(lookUp('operated'), /NXDOMAIN|can't resolve/i)
  })

  it('have what they ask for, and answer their tenant', async () => {
    await apply(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { colour: 'blue' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { token: 's3cret' } },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'data' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
      },
      pod(
        'furnished',
        {
          command: ['sh', '-c', 'echo started; exec httpd -f -p 8080 -h /data'],
          env: [
            { name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
            { name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
          ],
          readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 },
          volumeMounts: [
            { name: 'keys', mountPath: '/keys' },
            { name: 'data', mountPath: '/data' },
          ],
        },
        {
          ...brief,
          volumes: [
            { name: 'keys', secret: { secretName: 'keys' } },
            { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
          ],
        },
      ),
    )
    await waitFor('the container', async () => /started/.test(await acme('logs furnished').catch(() => '')))
    const shell = (script: string): Promise<string> => acme(['exec', 'furnished', '--', 'sh', '-c', script])
    await shell('echo kept > /data/index.html')
    await acme('wait --for=condition=Ready pod/furnished --timeout=60s')
    const account = '/var/run/secrets/kubernetes.io/serviceaccount'
    assert.equal(
      await shell(`cat /keys/token ${account}/namespace; echo " $COLOUR $NAMESPACE"`),
      's3cretdefault blue default\n',
    )
    const [host = '', token] = (await shell(`echo $KUBERNETES_SERVICE_HOST; cat ${account}/token`)).split('\n')
    await acme('create clusterrolebinding reads --clusterrole=view --serviceaccount=default:default')
    const authority = join(cluster.home, 'acme-ca.crt')
    await writeFile(authority, await shell(`cat ${account}/ca.crt`))
    const address = await acme('get service kubernetes -o jsonpath={.spec.clusterIP}')
    const trusted = ['--cacert', authority, '--resolve', `${host}:443:${address}`]
    const list = `https://${host}/api/v1/namespaces/default/pods`
    const asked = await cluster.inNetwork(['curl', '-sS', ...trusted, '-H', `Authorization: Bearer ${token}`, list])
    assert.match(asked, /"name": ?"furnished"/)
    const forwarded = cluster.startKubectl(`--kubeconfig ${kubeconfig} port-forward pod/furnished 18080:8080`)
    try {
      const fetch = (): Promise<string> => cluster.inNetwork(['curl', '-s', 'http://127.0.0.1:18080/'])
      await waitFor('the forwarded port', async () => (await fetch().catch(() => '')) === 'kept\n')
    } finally {
      forwarded.kill()
    }
    const volume = await acme('get pvc data -o jsonpath={.spec.volumeName}')
    const path = await acme(`get pv ${volume} -o jsonpath={.spec.local.path}`)
    await acme('delete pod furnished --wait --timeout=30s')
    assert.ok(existsSync(join(path, 'index.html')), 'the data of the claim outlives the pod')
    await acme('delete pvc data')
    await waitFor('the folder to be gone', async () => !existsSync(path) && (await acme('get pv -o name')) === '')
  })
})
