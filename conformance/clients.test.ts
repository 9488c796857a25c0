import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BUNDLED_MINORS } from '../apps/centaurus/src/bundled-kubectl.ts'
import { TestCluster } from './lib/cluster.ts'

/** Major versions of helm, and the bundled minor version of Kubernetes that brings each. */
const HELMS = [
  { version: 3, minor: 31 },
  { version: 4, minor: 35 },
] as const

describe('real clients', { concurrency: 2 }, () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('clients')
    await cluster.up('--nodes', 'simulated:2')
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
    assert.match((await cluster.tryKubectl('get crontabs')).stderr, /NotFound|doesn't have a resource type/)
  })

  it('obeys webhooks and policies', async () => {
    const program = [process.execPath, join(import.meta.dirname, 'data/webhook.ts')]
    const [command, ...args] = [...(cluster.network?.enter ?? []), ...program]
    const hook = spawn(command!, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = (await once(hook.stdout, 'data')) as [Buffer]
      const { port, caBundle } = JSON.parse(line.toString('utf8')) as { port: number; caBundle: string }
      const apply = (...objects: object[]): Promise<string> =>
        cluster.kubectl('apply -f -', { input: objects.map((object) => JSON.stringify(object)).join('\n---\n') })
      await apply(...webhookObjects({ port, caBundle, address: cluster.network?.address }), ...POLICY)
      const map = (data: object): object => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'watched', labels: { watched: 'yes' } },
        data,
      })
      const made = await cluster.tryKubectl('apply -f -', { input: JSON.stringify(map({ a: 'b' })) })
      assert.deepEqual([made.code, made.stdout], [0, 'configmap/watched created\n'])
      assert.match(made.stderr, /Warning: somebody is watching/)
      assert.equal(await cluster.kubectl('get configmap watched -o jsonpath={.data.seen}'), 'yes')
      const refused = await cluster.tryKubectl('apply -f -', { input: JSON.stringify(map({ bad: 'this' })) })
      assert.equal(refused.code, 1)
      assert.match(refused.stderr, /admission webhook "validate\.example\.com" denied the request: this is bad/)
      const small = await cluster.tryKubectl('create deployment watched --image=i --replicas=9')
      assert.equal(small.code, 1)
      assert.match(small.stderr, /ValidatingAdmissionPolicy 'small' with binding 'small' denied request: 9 is too many/)
      await cluster.kubectl('delete configmap watched')
      await cluster.kubectl('delete validatingadmissionpolicybindings,validatingadmissionpolicies small')
      await cluster.kubectl('delete validatingwebhookconfigurations,mutatingwebhookconfigurations watch')
    } finally {
      hook.kill()
    }
  })

  for (const { version, minor } of HELMS) {
    it(`lets helm ${version} install, upgrade, roll back and uninstall`, async () => {
      const helm = (...args: string[]): Promise<string> => cluster.helm(args, minor)
      const name = `hello-${version}`
      const waits = ['--wait', '--timeout', '60s']
      assert.match(await helm('version', '--short'), new RegExp(`^v${version}\\.`))
      await helm('install', name, 'examples/chart', ...waits)
      assert.match(await helm('list'), new RegExp(`${name}\\s+default\\s+1\\s.*deployed`))
      await helm('upgrade', name, 'examples/chart', '--set', 'replicas=3', ...waits)
      // helm asks the ReplicaSet whether enough pods are ready: the Deployment's status may follow, and three are enough for two.
      const settle = async (replicas: number): Promise<void> => {
        for (const field of ['replicas', 'readyReplicas']) {
          await cluster.kubectl(`wait deployment/${name} --for=jsonpath={.status.${field}}=${replicas} --timeout=60s`)
        }
      }
      await settle(3)
      assert.match(await cluster.kubectl(`get deployment ${name}`), /3\/3/)
      await helm('rollback', name, '1', ...waits)
      await settle(2)
      assert.match(await cluster.kubectl(`get deployment ${name}`), /2\/2/)
      assert.match(await helm('history', name), /3\s.*Rollback to 1/)
      assert.match(await helm('get', 'manifest', name), /kind: Deployment/)
      await helm('uninstall', name, ...waits)
      assert.match((await cluster.tryKubectl(`get deployment ${name}`)).stderr, /NotFound/)
    })
  }

  it('serves @kubernetes/client-node: writes, lists, watches and informers', async () => {
    const program = join(import.meta.dirname, 'data/client-node.ts')
    assert.equal(await cluster.inNetwork([process.execPath, program, cluster.kubeconfig]), 'all is well\n')
  })
})

/** Webhooks about ConfigMaps that are labelled for it: by URL, and where the test has a network of its own, behind a Service. */
function webhookObjects(hook: { port: number; caBundle: string; address: string | undefined }): object[] {
  const { port, caBundle, address } = hook
  const service = { namespace: 'default', name: 'hook', path: '/validate' }
  const webhook = (path: string, clientConfig: object): object => ({
    name: `${path}.example.com`,
    clientConfig: { ...clientConfig, caBundle },
    rules: [{ operations: ['CREATE', 'UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
    objectSelector: { matchLabels: { watched: 'yes' } },
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  })
  const configuration = (kind: string, path: string, clientConfig: object): object => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name: 'watch' },
    webhooks: [webhook(path, clientConfig)],
  })
  const byUrl = (path: string): object => ({ url: `https://127.0.0.1:${port}/${path}` })
  return [
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hook' }, spec: { ports: [{ port: 443 }] } },
    ...(address === undefined ? [] : [endpointsOf(address, port)]),
    configuration('MutatingWebhookConfiguration', 'mutate', byUrl('mutate')),
    configuration(
      'ValidatingWebhookConfiguration',
      'validate',
      address === undefined ? byUrl('validate') : { service },
    ),
  ]
}

function endpointsOf(address: string, port: number): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'hook', labels: { 'kubernetes.io/service-name': 'hook' } },
    addressType: 'IPv4',
    ports: [{ name: '', port }],
    endpoints: [{ addresses: [address] }],
  }
}

const POLICY = [
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: 'small' },
    spec: {
      matchConstraints: {
        resourceRules: [
          {
            operations: ['CREATE'],
            apiGroups: ['apps'],
            apiVersions: ['v1'],
            resources: ['deployments'],
            resourceNames: ['watched'],
          },
        ],
      },
      validations: [
        {
          expression: 'object.spec.replicas <= 5',
          messageExpression: "string(object.spec.replicas) + ' is too many'",
          reason: 'Forbidden',
        },
      ],
    },
  },
  {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: 'small' },
    spec: { policyName: 'small', validationActions: ['Deny'] },
  },
]
