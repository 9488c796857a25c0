import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TestCluster } from './lib/cluster.ts'
import { waitFor, type Finished, type RunOptions } from './lib/processes.ts'

const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: c, image: "any:1" }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
`

const definition = (field: string): string => `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { plural: widgets, kind: Widget }
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, properties: { spec: { type: object, properties: { ${field}: { type: string } } } } } }
`

/** What a curious tenant would ask to find out about others. */
const QUESTIONS = [
  'get namespaces',
  'get all -A',
  'get nodes',
  'get clusterroles -o name',
  'get clusterrolebindings -o wide',
  'get storageclasses,priorityclasses -o name',
  'get crd',
  'get tenants,partitions',
  'get events -A --field-selector involvedObject.name=theirs',
  'get pods -n theirs',
  'get deployment theirs',
  'get namespace theirs',
  'get --raw /tenants/globex/api/v1/namespaces',
  'get --raw /tenants/nobody/api/v1/namespaces',
  'get --raw /api/v1/tenants/globex/pods',
  'get --raw /apis/apps/v1/tenants/globex/deployments',
  'get --raw /metrics',
  'get --raw /apis',
  'get --raw /',
  'api-resources -o name',
  'auth can-i --list',
  'auth can-i get pods --as=system:serviceaccount:theirs:default',
  'explain widget',
  'create namespace default',
  'delete namespace theirs',
]

describe('tenants', () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('tenants')
    await cluster.up('--nodes', 'simulated:2')
    await addTenant('acme')
  })
  after(() => cluster?.remove())

  async function addTenant(name: string, ...flags: string[]): Promise<void> {
    assert.match(await cluster.mustCentaurus(['tenant', 'create', name, ...flags]), /lives in partition home/)
    const kubeconfig = await cluster.mustCentaurus(['tenant', 'kubeconfig', name])
    await mkdir(join(cluster.home, 'tenants'), { recursive: true })
    await writeFile(configOf(name), kubeconfig)
  }

  const configOf = (tenant: string): string => join(cluster.home, 'tenants', `${tenant}.yaml`)
  const as = (tenant: string, args: string, options: RunOptions = {}): Promise<string> =>
    cluster.kubectl(`--kubeconfig ${configOf(tenant)} ${args}`, options)
  const tryAs = (tenant: string, args: string): Promise<Finished> =>
    cluster.tryKubectl(`--kubeconfig ${configOf(tenant)} ${args}`)

  /** Everything that a tenant sees, without what is different each time. */
  async function ask(tenant: string): Promise<Record<string, string>> {
    const answers: Record<string, string> = {}
    for (const question of QUESTIONS) {
      const { code, stdout, stderr } = await tryAs(tenant, question)
      answers[question] = `${code}\n${stdout}\n${stderr}`
        .replaceAll(/\b\d+(d|h|m|s)(\d+(m|s))?\b/g, 'AGE')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replaceAll(/"(resourceVersion|uid)":"[^"]*"/g, '"$1":""')
        .replaceAll(/[IEW]\d{4} [\d:.]+ +\d+/g, 'LOG')
        .replaceAll(/ +/g, ' ')
    }
    return answers
  }

  it('see the same whether or not there is another, with the same names', async () => {
    await as('acme', 'apply -f -', { input: DEPLOYMENT })
    await as('acme', 'rollout status deployment/web --timeout=60s')
    const alone = await ask('acme')
    await addTenant('globex')
    await as('globex', 'create namespace theirs')
    await as('globex', 'create deployment theirs --image=any:1')
    await as('globex', 'apply -f -', { input: DEPLOYMENT })
    await as('globex', 'apply -f -', { input: definition('theirs') })
    await as('globex', 'rollout status deployment/web --timeout=60s')
    await as('globex', 'rollout status deployment/theirs --timeout=60s')
    assert.deepEqual(await ask('acme'), alone)
    assert.doesNotMatch(JSON.stringify(alone), /globex(?!\/)/)
    assert.equal(
      alone['get --raw /tenants/globex/api/v1/namespaces'],
      alone['get --raw /tenants/nobody/api/v1/namespaces'],
    )
    assert.match(await as('acme', 'get deployment,service'), /deployment.apps\/web\s+2\/2/)
  })

  it('have pods on the same nodes, and addresses that nobody else has', async () => {
    const addresses = await Promise.all(
      ['acme', 'globex'].map((tenant) =>
        as(tenant, 'get service web kubernetes -o jsonpath={.items[*].spec.clusterIP}'),
      ),
    )
    assert.equal(new Set(addresses.flatMap((text) => text.split(' '))).size, 4)
    const all = JSON.parse(await cluster.kubectl('get --raw /tenants/all/api/v1/pods')) as {
      items: { metadata: { namespace: string; name: string }; spec: { nodeName?: string } }[]
    }
    const namespaces = new Set(all.items.map(({ metadata }) => metadata.namespace))
    for (const namespace of ['default--acme', 'default--globex']) assert.ok(namespaces.has(namespace), namespace)
    assert.match(await cluster.kubectl('get --raw /tenants/acme/api/v1/namespaces/default/pods'), /"name":"web-/)
  })

  it('define resources of their own, of the same name, and explain them', async () => {
    await as('acme', 'apply -f -', { input: definition('colour') })
    for (const [tenant, field] of [
      ['acme', 'colour'],
      ['globex', 'theirs'],
    ] as const) {
      await as(tenant, 'wait --for=condition=Established crd/widgets.example.com --timeout=10s')
      const input = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {${field}: x}}`
      assert.match(await as(tenant, 'apply -f -', { input }), /widget.example.com\/w created/)
      assert.match(await as(tenant, `explain widget.spec.${field}`), new RegExp(`${field} <string>`))
    }
    const wrong = '{apiVersion: example.com/v1, kind: Widget, metadata: {name: v}, spec: {theirs: x}}'
    await assert.rejects(as('acme', 'apply -f -', { input: wrong }), /unknown field "spec.theirs"/)
    assert.match((await cluster.tryKubectl('get widgets')).stderr, /doesn't have a resource type/)
  })

  it('use helm as if the cluster were theirs', async () => {
    const chart = join(cluster.home, 'chart')
    await cluster.helm(['create', chart])
    for (const tenant of ['acme', 'globex']) {
      const flags = ['--kubeconfig', configOf(tenant)]
      await cluster.helm(['install', 'shop', chart, ...flags, '--set', 'image.repository=any', '--wait'])
      assert.match(await cluster.helm(['list', ...flags]), /shop\s+default\s+1/)
      assert.match(await as(tenant, 'get pods -l app.kubernetes.io/instance=shop'), /Running/)
    }
    await cluster.helm(['uninstall', 'shop', '--kubeconfig', configOf('acme'), '--wait'])
    assert.match(await cluster.helm(['list', '--kubeconfig', configOf('globex')]), /shop/)
  })

  it('can neither become operators nor reach the nodes', async () => {
    for (const [args, why] of [
      ['create -f - --validate=false', /nodes is forbidden: User "admin" cannot create resource "nodes"/],
      ['get --raw /metrics', /forbidden: User "admin" cannot get path "\/metrics"/],
      ['get pods --as=x --as-group=system:nodes', /cannot impersonate resource "groups"/],
      ['certificate approve x', /not found|forbidden/],
    ] as const) {
      const input = '{"apiVersion":"v1","kind":"Node","metadata":{"name":"mine"}}'
      const { stderr } = await cluster.tryKubectl(`--kubeconfig ${configOf('acme')} ${args}`, { input })
      assert.match(stderr, why, args)
    }
  })

  it('stay within their quota', async () => {
    await addTenant('small', '--quota', 'pods=3,count/namespaces=5', '--admin', 'bob')
    assert.match(await as('small', 'auth whoami'), /bob/)
    await as('small', 'create deployment many --image=any:1 --replicas=5')
    const pods = async (): Promise<string[]> => (await as('small', 'get pods -o name')).trim().split('\n')
    await cluster.eventually('get tenant small -o jsonpath={.status.used.pods}', (used) => used === '3')
    assert.equal((await pods()).length, 3)
    assert.match(
      await as('small', 'get events -o jsonpath={.items[*].message}'),
      /is forbidden: exceeded quota: cluster, requested: pods=1, used: pods=3, limited: pods=3/,
    )
    assert.match(await cluster.mustCentaurus(['tenant', 'list']), /small\s+Active\s+home\s+bob\s+pods: 3\/3/)
  })

  it('say how their packets are treated, as far as operators grant, while pods run', async () => {
    await addTenant('quick')
    const annotate = (words: string): Promise<Finished> => tryAs('quick', `annotate --overwrite pod web ${words}`)
    await as('quick', 'run web --image=any:1 --annotations=kubernetes.io/egress-bandwidth=10M')
    await as('quick', 'wait pod/web --for=condition=Ready --timeout=60s')
    const accepted = 'kubernetes.io/egress-bandwidth=20M mizar.com/network-priority=Low'
    assert.match((await annotate(accepted)).stdout, /pod\/web annotated/)
    for (const [words, why] of [
      [
        'kubernetes.io/egress-bandwidth=10m',
        /"m" means a thousandth: must be a quantity of bits a second from 1k to 1P/,
      ],
      ['mizar.com/egress-bandwidth=20M', /says something else than kubernetes.io\/egress-bandwidth \("20M"\)/],
      ['centaurus.io/network-class=gold', /Invalid value: "gold": must be premium, expedited or best-effort/],
      [
        'centaurus.io/network-class=expedited',
        /expedited with priority low is more than best-effort with medium, which tenant quick may have; ask for less/,
      ],
    ] as const)
      assert.match((await annotate(words)).stderr, why)
    const granted = { spec: { network: { max: { class: 'expedited', egressBandwidth: '1G' } } } }
    await cluster.kubectl(['patch', 'tenant', 'quick', '--type=merge', '-p', JSON.stringify(granted)])
    assert.match(await cluster.kubectl('get tenant quick -o wide'), /MAX CLASS\s+MAX EGRESS\s+AGE\n.* expedited\s+1G\s/)
    const told = 'get vpc default -o jsonpath={.status.tenantNetwork.max.class}'
    await waitFor('the tenant to be told', async () => (await as('quick', told)) === 'expedited')
    assert.match((await annotate('centaurus.io/network-class=expedited')).stdout, /annotated/)
    const deployment = DEPLOYMENT.replace(
      'labels: { app: web }',
      'labels: { app: web }, annotations: { mizar.com/network-class: Gold }',
    )
    const { stderr } = await cluster.tryKubectl(`--kubeconfig ${configOf('quick')} apply -f -`, { input: deployment })
    assert.match(
      stderr,
      /Warning: spec.template.metadata.annotations\[mizar.com\/network-class\].*its pods will be refused/,
    )
  })

  it('live in other partitions, where their pods run on the same nodes', async () => {
    await cluster.mustCentaurus(['partition', 'add', 'tp1', '--roles', 'tenant'], { timeoutMs: 120_000 })
    const made = await cluster.mustCentaurus(['tenant', 'create', 'far', '--partition', 'tp1', '--quota', 'pods=2'])
    assert.match(made, /Tenant far lives in partition tp1/)
    await writeFile(configOf('far'), await cluster.mustCentaurus(['tenant', 'kubeconfig', 'far']))
    await as('far', 'apply -f -', { input: DEPLOYMENT })
    await as('far', 'rollout status deployment/web --timeout=60s')
    assert.match(await as('far', 'get pods -o wide'), /Running.*simulated-\d/)
    await cluster.eventually('get tenant far -o jsonpath={.status.used.pods}', (used) => used === '2')
    // An operator may ask home for it: the request is handed on to the partition that has the tenant.
    assert.match(await cluster.kubectl('get --raw /tenants/far/api/v1/pods'), /"name":"web-/)
    await cluster.mustCentaurus(['tenant', 'delete', 'far'], { timeoutMs: 120_000 })
    assert.doesNotMatch(await cluster.mustCentaurus(['tenant', 'list']), /far/)
  })

  it('are gone with all that they had, and can come again', async () => {
    assert.match(
      await cluster.mustCentaurus(['tenant', 'delete', 'globex'], { timeoutMs: 120_000 }),
      /Tenant globex and all that it had are gone/,
    )
    assert.match((await tryAs('globex', 'get pods')).stderr, /could not find the requested resource|NotFound/)
    const all = await cluster.kubectl('get --raw /tenants/all/api/v1/pods')
    assert.doesNotMatch(all, /--globex/)
    await addTenant('globex', '--partition', 'home') // the other partition has fewer
    assert.equal(await as('globex', 'get pods,crd -o name'), '')
    assert.match(await as('acme', 'get deployment web'), /2\/2/)
  })
})
