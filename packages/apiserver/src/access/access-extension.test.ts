import assert from 'node:assert/strict'
import { connect, type ClientHttp2Session } from 'node:http2'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { nodes, pods, serviceaccounts } from '@centaurus/api/core/v1'
import { clusterroles } from '@centaurus/api/rbac/v1'
import type { CertificateIdentity } from '../certificates/authority.ts'
import { generateKeyPem } from '../certificates/key-pair.ts'
import { startTestServer, type TestObject, type TestServer } from '../testing/test-server.ts'
import { createTokenSigner } from '../tokens/signing-key.ts'
import { createAccessExtension } from './access-extension.ts'

const REVIEWS = '/apis/authorization.k8s.io/v1'
const JANE: CertificateIdentity = { commonName: 'jane', organizations: ['dev', 'ops'] }
const NODE: CertificateIdentity = { commonName: 'system:node:n1', organizations: ['system:nodes'] }

interface Answer {
  readonly status: number
  readonly body: TestObject
}

describe('access', () => {
  let test: TestServer
  const sessions: ClientHttp2Session[] = []
  before(async () => {
    test = await startTestServer({
      extensions: [createAccessExtension({ signer: createTokenSigner({ keyPem: generateKeyPem() }) })],
    })
  })
  after(async () => {
    for (const session of sessions) session.destroy()
    await test.close()
  })

  /** A caller with a client certificate of its own. */
  async function as(
    identity: CertificateIdentity,
  ): Promise<(method: string, path: string, body?: object) => Promise<Answer>> {
    const { certificatePem, keyPem } = await test.certificates.client(identity.commonName, identity)
    const ca = test.certificates.authority.certificatePem
    const session = connect(`https://127.0.0.1:${test.port}`, { ca, cert: certificatePem, key: keyPem })
    sessions.push(session)
    return async (method, path, body) => {
      const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json' })
      if (body === undefined) stream.end()
      else stream.end(JSON.stringify(body))
      const status = await new Promise<number>((resolve) =>
        stream.once('response', (headers) => resolve(Number(headers[':status']))),
      )
      return { status, body: JSON.parse(await text(stream)) as TestObject }
    }
  }

  it('takes name and groups from a client certificate', async () => {
    const ask = await as(JANE)
    const { body } = await ask('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      kind: 'SelfSubjectReview',
      apiVersion: 'authentication.k8s.io/v1',
    })
    const { username, groups } = (body.status as { userInfo: { username: string; groups: string[] } }).userInfo
    assert.deepEqual([username, groups], ['jane', ['dev', 'ops', 'system:authenticated']])
  })

  it('lets strangers see that the server lives, and nothing else', async () => {
    assert.equal((await test.request('GET', '/livez')).status, 200)
    const refused = await test.request('GET', '/api/v1/namespaces')
    assert.equal(refused.status, 403)
    assert.equal(
      refused.json().message,
      'namespaces is forbidden: User "system:anonymous" cannot list resource "namespaces" in API group "" at the cluster scope',
    )
    assert.equal((await test.request('GET', '/livez', { headers: { authorization: 'Bearer nonsense' } })).status, 401)
  })

  it('answers subject access reviews', async () => {
    const admin = await as({ commonName: 'root', organizations: ['system:masters'] })
    const review = async (spec: object): Promise<TestObject['status']> => {
      const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
      return (await admin('POST', `${REVIEWS}/subjectaccessreviews`, body)).body.status
    }
    const attributes = { verb: 'get', resource: 'pods', namespace: 'default' }
    assert.equal((await review({ user: 'nobody', resourceAttributes: attributes }))['allowed'], false)
    assert.equal((await review({ groups: ['system:masters'], resourceAttributes: attributes }))['allowed'], true)
    const discovery = await review({
      user: 'x',
      groups: ['system:authenticated'],
      nonResourceAttributes: { path: '/apis', verb: 'get' },
    })
    assert.equal(
      discovery['reason'],
      'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"',
    )
    const bad = await admin('POST', `${REVIEWS}/subjectaccessreviews`, {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: 'x' },
    })
    assert.match(bad.body.message, /exactly one of nonResourceAttributes or resourceAttributes must be specified/)
  })

  it('lists the rules that the caller holds', async () => {
    const ask = await as(JANE)
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: 'default' },
    }
    const { status } = (await ask('POST', `${REVIEWS}/selfsubjectrulesreviews`, body)).body
    assert.equal(status['incomplete'], false)
    assert.ok(
      (status['nonResourceRules'] as { nonResourceURLs: string[] }[]).some((rule) =>
        rule.nonResourceURLs.includes('/apis'),
      ),
    )
  })

  it('reviews tokens', async () => {
    const account = await test.client.create(serviceaccounts, { metadata: { name: 'robot', namespace: 'default' } })
    const { status } = await test.client.createSubresource<object, { status: { token: string } }>(
      serviceaccounts,
      account.metadata,
      'token',
      {},
    )
    const admin = await as({ commonName: 'root', organizations: ['system:masters'] })
    const review = async (token: string): Promise<TestObject['status']> => {
      const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }
      return (await admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', body)).body.status
    }
    assert.equal((await review(status.token))['authenticated'], true)
    assert.match(String((await review('x'))['error']), /invalid bearer token/)
  })

  it('gathers aggregated roles when one of their parts changes', async () => {
    const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' }
    const rules = [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] }]
    await test.client.create(clusterroles, { metadata: { name: 'widgets-view', labels }, rules })
    const has = (name: string): boolean =>
      test.server.reader.get(clusterroles, { name })?.rules?.some((rule) => rule.resources?.includes('widgets')) ===
      true
    while (!has('view') || !has('edit') || !has('admin')) await new Promise((resolve) => setImmediate(resolve))
  })

  it('keeps a node to itself', async () => {
    const ask = await as(NODE)
    await test.client.create(nodes, { metadata: { name: 'n2' } })
    for (const [name, nodeName] of [
      ['mine', 'n1'],
      ['other', 'n2'],
    ] as const) {
      await test.client.create(pods, {
        metadata: { name, namespace: 'default' },
        spec: { nodeName, containers: [{ name: 'c', image: 'x' }] },
      })
    }
    const create = (name: string, labels?: object): Promise<Answer> =>
      ask('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })
    assert.equal(
      (await create('n3')).body.message,
      'nodes "n3" is forbidden: node "n1" is not allowed to modify node "n3"',
    )
    assert.match(
      (await create('n1', { 'node-restriction.kubernetes.io/x': 'y' })).body.message,
      /is not allowed to set the following labels/,
    )
    assert.equal((await create('n1', { 'kubernetes.io/hostname': 'n1' })).status, 201)
    const list = await ask('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1')
    assert.deepEqual(
      list.body.items.map((item) => item.metadata.name),
      ['mine'],
    )
    assert.equal((await ask('GET', '/api/v1/pods')).status, 403)
    const status = async (name: string): Promise<number> => {
      const pod = await test.client.get(pods, { namespace: 'default', name })
      return (
        await ask('PUT', `/api/v1/namespaces/default/pods/${name}/status`, {
          ...pod,
          apiVersion: 'v1',
          kind: 'Pod',
          status: { phase: 'Running' },
        })
      ).status
    }
    assert.deepEqual([await status('mine'), await status('other')], [200, 403])
    assert.equal((await ask('DELETE', '/api/v1/namespaces/default/pods/other')).status, 403)
  })

  it('gives a node tokens for its own pods alone', async () => {
    const ask = await as(NODE)
    const path = '/api/v1/namespaces/default/serviceaccounts/default/token'
    const request = async (name: string): Promise<Answer> => {
      const { uid } = (await test.client.get(pods, { namespace: 'default', name })).metadata
      const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name, uid }
      return ask('POST', path, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { boundObjectRef },
      })
    }
    assert.equal((await request('mine')).status, 201)
    assert.match(
      (await request('other')).body.message,
      /node requested token bound to a pod scheduled on a different node/,
    )
    const unbound = await ask('POST', path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })
    assert.match(unbound.body.message, /node requested token not bound to a pod/)
  })

  it('publishes the keys of its tokens to accounts', async () => {
    const admin = await as({ commonName: 'root', organizations: ['system:masters'] })
    const { keys } = (await admin('GET', '/openid/v1/jwks')).body as unknown as { keys: { alg: string }[] }
    assert.equal(keys[0]?.alg, 'ES256')
    const { issuer } = (await admin('GET', '/.well-known/openid-configuration')).body as unknown as { issuer: string }
    assert.equal(issuer, 'https://kubernetes.default.svc.cluster.local')
  })

  it('keeps what it has when it starts again on the same store', async () => {
    const { resourceVersion } = test.server.reader.get(clusterroles, { name: 'view' })!.metadata
    const again = await startTestServer({
      store: test.store,
      extensions: [createAccessExtension({ signer: createTokenSigner({ keyPem: generateKeyPem() }) })],
    })
    assert.equal(again.server.reader.get(clusterroles, { name: 'view' })?.metadata.resourceVersion, resourceVersion)
    await again.server.close()
  })
})
