import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { services } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createApiServicesExtension,
  createCrdExtension,
  createDiscoveryExtension,
  createOpenApiExtension,
  createTokenSigner,
  openClusterCertificates,
  SERVER_USER,
} from '@centaurus/apiserver'
import { startTestServer, type TestResponse, type TestServer } from '@centaurus/apiserver/testing'
import { createManualClock, silentLogger, systemClock } from '@centaurus/base'
import { createMemoryStore, timedRevisions, type Store } from '@centaurus/store'
import { createMembership } from '../membership/membership.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { startTenants } from './start-tenants.ts'
import { createTenantsExtension } from './tenants-extension.ts'

type Ask = TestServer['request']

const JSON_TYPE = { 'content-type': 'application/json' }

/** Fills a tenant: with the same names in every one, so that they meet wherever anything is shared. */
async function furnish(ask: Ask, field: string): Promise<void> {
  const post = async (path: string, body: object): Promise<void> => {
    const response = await ask('POST', path, { body, headers: JSON_TYPE })
    assert.equal(response.status, 201, response.text)
  }
  const properties = { spec: { type: 'object', properties: { [field]: { type: 'string' } } } }
  await post('/api/v1/namespaces', { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'shop' } })
  await post('/api/v1/namespaces/shop/configmaps', {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    metadata: { name: 'c' },
    data: { field },
  })
  await post('/api/v1/namespaces/shop/services', {
    kind: 'Service',
    apiVersion: 'v1',
    metadata: { name: 'web' },
    spec: { ports: [{ port: 80 }] },
  })
  await post('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
    kind: 'ClusterRole',
    apiVersion: 'rbac.authorization.k8s.io/v1',
    metadata: { name: 'mine' },
    rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
  })
  await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    kind: 'CustomResourceDefinition',
    apiVersion: 'apiextensions.k8s.io/v1',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Cluster',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties } } },
      ],
    },
  })
}

/** What others' Service has, that an operator made. */
const CHOSEN_PORT = 30_080
const CHOSEN = { type: 'NodePort' as const, clusterIP: '10.96.0.200', ports: [{ port: 80, nodePort: CHOSEN_PORT }] }

/** Reads, writes and guesses, by which one could find out about others. */
const QUESTIONS: readonly (readonly [method: string, path: string, body?: object])[] = [
  ...[
    '/',
    '/version',
    '/healthz',
    '/readyz?verbose',
    '/metrics',
    '/api',
    '/apis',
    '/api/v1',
    '/apis/example.com/v1',
    '/apis/centaurus.io/v1',
    '/openapi/v2',
    '/openapi/v3',
    '/openapi/v3/apis/example.com/v1',
    '/openid/v1/jwks',
    '/.well-known/openid-configuration',
    '/partition/v1/membership',
    '/api/v1/namespaces',
    '/api/v1/namespaces?limit=1',
    '/api/v1/namespaces?watch=1&timeoutSeconds=1',
    '/api/v1/namespaces?resourceVersion=0',
    '/api/v1/configmaps',
    '/api/v1/services',
    '/api/v1/events',
    '/api/v1/nodes',
    '/api/v1/nodes/n1',
    '/api/v1/nodes/n1/proxy/metrics',
    '/api/v1/secrets',
    '/api/v1/persistentvolumes',
    '/apis/networking.k8s.io/v1/ipaddresses',
    '/apis/networking.k8s.io/v1/servicecidrs',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/centaurus:operators',
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    '/apis/apiregistration.k8s.io/v1/apiservices',
    '/apis/certificates.k8s.io/v1/certificatesigningrequests',
    '/apis/centaurus.io/v1/tenants',
    '/apis/centaurus.io/v1/tenants/globex',
    '/apis/centaurus.io/v1/partitions',
    '/apis/centaurus.io/v1/tenantusages',
    '/apis/example.com/v1/widgets',
    '/apis/storage.k8s.io/v1/storageclasses',
    '/apis/scheduling.k8s.io/v1/priorityclasses',
    '/apis/coordination.k8s.io/v1/leases',
    '/tenants/acme/api/v1/namespaces',
    '/tenants/globex',
    '/tenants/globex/',
    '/tenants/globex/version',
    '/tenants/globex/api/v1/namespaces/shop',
    '/tenants/all/api/v1/namespaces',
    '/tenants/system/api/v1/nodes',
    '/tenants/acme/tenants/globex/api/v1/pods',
    '/api/v1/tenants/globex',
    '/api/v1/tenants/globex/namespaces',
    '/apis/apps/v1/tenants/globex/deployments',
    '/apis/example.com/v1/tenants/globex/widgets',
    '/api/v1/namespaces/shop--globex/configmaps/c',
    '/api/v1/namespaces/default--globex',
    '/api/v1/namespaces/shop%2F..%2F..%2Fglobex/configmaps/c',
  ].map((path) => ['GET', path] as const),
  ['POST', '/api/v1/namespaces', { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'shop' } }],
  ['POST', '/api/v1/nodes', { kind: 'Node', apiVersion: 'v1', metadata: { name: 'n2' } }],
  [
    'POST',
    '/apis/centaurus.io/v1/tenants',
    { kind: 'Tenant', apiVersion: 'centaurus.io/v1', metadata: { name: 'globex' } },
  ],
  ...[CHOSEN, { clusterIP: CHOSEN.clusterIP }, { type: 'NodePort', ports: [{ port: 80, nodePort: CHOSEN_PORT }] }].map(
    (spec) =>
      [
        'POST',
        '/api/v1/namespaces/shop/services',
        { kind: 'Service', apiVersion: 'v1', metadata: { name: 'thief' }, spec: { ports: [{ port: 80 }], ...spec } },
      ] as const,
  ),
  ['DELETE', '/apis/centaurus.io/v1/tenants/globex'],
  ['DELETE', '/api/v1/namespaces/shop--globex'],
  ['DELETE', '/api/v1/namespaces/kube-system'],
  [
    'POST',
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      kind: 'SubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      spec: { user: 'admin', groups: ['system:masters'], resourceAttributes: { verb: 'create', resource: 'nodes' } },
    },
  ],
  [
    'POST',
    '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    { kind: 'SelfSubjectRulesReview', apiVersion: 'authorization.k8s.io/v1', spec: { namespace: 'shop' } },
  ],
]

/** An answer without what is different each time: identities, times, revisions, addresses that the server chose. */
function normalize({ status, headers, text }: TestResponse): object {
  const { 'audit-id': _audit, date: _date, ...rest } = headers
  const body = text
    .replaceAll(/"(uid|resourceVersion|creationTimestamp|lastTransitionTime|time)":"[^"]*"/g, '"$1":""')
    .replaceAll(/"continue":"[^"]*"/g, '"continue":""')
    .replaceAll(/10\.96\.\d+\.\d+/g, 'ADDRESS')
  return { status, headers: { ...rest, 'content-length': undefined, etag: rest['etag'] }, body }
}

async function startWorld(others: readonly string[], store?: Store): Promise<TestServer & { end(): Promise<void> }> {
  const certificates = await openClusterCertificates()
  const test = await startTestServer({
    certificates,
    store,
    partition: 'home',
    extensions: [
      createAccessExtension({ signer: createTokenSigner({ keyPem: KEYS.serviceAccountKeyPem }) }),
      createDiscoveryExtension(),
      createOpenApiExtension(),
      createRegistryExtension(),
      createCrdExtension(),
      createApiServicesExtension(),
      createTenantsExtension(),
    ],
  })
  const spec = { roles: ['Tenant' as const], endpoints: ['https://x'], home: true }
  const home = await test.client.create(partitions, { metadata: { name: 'home' }, spec })
  const ready = { type: 'Ready', status: 'True', reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }
  await test.client.updateStatus(partitions, { ...home, status: { conditions: [ready] } })
  const controller = startTenants({
    server: test.server,
    store: test.store,
    membership: createMembership(test.server.reader, 'home'),
    registryClient: test.client,
    clock: systemClock,
    logger: silentLogger,
  })
  for (const name of ['acme', ...others]) {
    await test.client.create(tenants, { metadata: { name } })
    while ((await test.client.get(tenants, { name })).status?.phase !== 'Active') {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await furnish(await adminOf(test, name), name === 'acme' ? 'colour' : 'tonnage')
  }
  if (others[0] !== undefined) {
    const chosen = { metadata: { name: 'chosen', namespace: 'shop' }, spec: CHOSEN }
    await test.server.client({ ...SERVER_USER, tenant: others[0] }).create(services, chosen)
  }
  return {
    ...test,
    async end() {
      await controller.close()
      await test.close()
    },
  }
}

const KEYS = await openClusterCertificates()

const adminOf = (test: TestServer, tenant: string): Promise<Ask> =>
  test.as({ commonName: 'admin', organizations: [`tenant:${tenant}`] })

/** What administrator and an ordinary user of `acme` are answered. */
async function askAll(test: TestServer): Promise<Record<string, object>> {
  const people = {
    admin: await adminOf(test, 'acme'),
    user: await test.as({ commonName: 'eve', organizations: ['tenant:acme'] }),
  }
  // the definition is served as soon as it is established
  while ((await people.admin('GET', '/apis/example.com/v1/widgets')).status !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const answers: Record<string, object> = {}
  for (const [who, ask] of Object.entries(people)) {
    for (const [method, path, body] of QUESTIONS) {
      const response = await ask(method, path, body === undefined ? {} : { body, headers: JSON_TYPE })
      answers[[who, method, path, JSON.stringify(body)].join(' ')] = normalize(response)
    }
  }
  return answers
}

/** The revisions in an answer, also in what is hidden in its token. */
function revisionsIn(text: string): number[] {
  const tokens = Array.from(text.matchAll(/"continue":"([^"]+)"/g), ([, token]) => Buffer.from(token!, 'base64url'))
  const found = `${text} ${tokens.join(' ')}`.matchAll(/"(?:resourceVersion|rv)":"?(\d+)/g)
  return Array.from(found, ([, revision]) => Number(revision))
}

/** How the administrator of `acme` could find out from numbers what others do in between. */
const COUNTING_QUESTIONS = [
  ...QUESTIONS.flatMap(([method, path]) => (method === 'GET' && !path.includes('watch') ? [path] : [])),
  '/api/v1/configmaps?limit=1',
  '/api/v1/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
]

/** Writes, lets `others` do what they do, reads everything and writes again. All revisions count from that of the first write. */
async function count(
  ask: Ask,
  { others, pass }: { readonly others: () => Promise<void>; readonly pass: (ms: number) => Promise<void> },
): Promise<{ readonly seen: readonly number[]; readonly next: number; readonly future: string }> {
  const write = async (): Promise<number> => {
    const body = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { generateName: 'mine-' } }
    const response = await ask('POST', '/api/v1/namespaces/shop/configmaps', { body, headers: JSON_TYPE })
    return Number(response.json().metadata.resourceVersion)
  }
  await pass(1_000)
  const first = await write()
  await others()
  const later = first + 20
  const waiting = ask('GET', `/api/v1/configmaps?resourceVersion=${later}`)
  const watching = ask(
    'GET',
    `/api/v1/services?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=${first}`,
  )
  await others()
  const answers = [(await watching).text]
  for (const path of COUNTING_QUESTIONS) answers.push((await ask('GET', path)).text)
  const seen = new Set(answers.flatMap(revisionsIn).filter((revision) => revision >= first))
  const future = (await waiting).text.replaceAll(String(later), 'LATER').replaceAll(String(first), 'FIRST')
  await pass(5_000)
  return { seen: Array.from(seen, (revision) => revision - first), next: (await write()) - first, future }
}

describe('a tenant', () => {
  it('counts nothing but its own writes and the time, whatever others write', async () => {
    const clock = createManualClock()
    const test = await startWorld(['globex'], createMemoryStore({ revisions: timedRevisions(clock) }))
    const [ask, busy] = [await adminOf(test, 'acme'), await adminOf(test, 'globex')]
    const pass = (ms: number): Promise<void> => clock.advance(ms)
    const nothing = async (): Promise<void> => {}
    const flood = async (): Promise<void> => {
      const body = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { generateName: 'c-' } }
      for (let i = 0; i < 30; i++) {
        await pass(5)
        const made = await busy('POST', '/api/v1/namespaces/shop/configmaps', { body, headers: JSON_TYPE })
        assert.equal(made.status, 201)
      }
    }
    const quiet = await count(ask, { others: nothing, pass })
    const rest = (ms: number): Promise<void> => pass(ms === 5_000 ? 5_000 - 2 * 30 * 5 : ms)
    const loud = await count(ask, { others: flood, pass: rest })
    await test.end()
    assert.deepEqual(quiet.seen, [0])
    assert.equal(quiet.next, 50_000)
    assert.match(quiet.future, /Too large resource version: LATER, current: FIRST/)
    assert.deepEqual(loud, quiet)
  })

  it('gets the same answers whether or not there are others, byte for byte', async () => {
    const alone = await startWorld([])
    const expected = await askAll(alone)
    await alone.end()
    const crowded = await startWorld(['globex', 'initech'])
    const answers = await askAll(crowded)
    await crowded.end()
    for (const [question, answer] of Object.entries(expected)) assert.deepEqual(answers[question], answer, question)
    const text = JSON.stringify(Object.values(answers).map((answer) => (answer as { body: string }).body))
    assert.doesNotMatch(text, /initech|tonnage/)
  })
})
