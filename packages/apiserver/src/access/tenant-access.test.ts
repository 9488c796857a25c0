import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { configmaps, serviceaccounts } from '@centaurus/api/core/v1'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import { tenants } from '@centaurus/api/centaurus/v1'
import { SERVER_USER } from '../server.ts'
import { adminOf, putTenant, startTenantServer } from '../testing/tenant-server.ts'
import type { TestResponse, TestServer } from '../testing/test-server.ts'

const OPERATOR = { commonName: 'root', organizations: ['system:masters'] }
const SELF = {
  body: { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' },
}
const SELF_REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

interface Who {
  status: { userInfo: { username: string; groups: string[] } }
}

describe('access by tenant', () => {
  let test: TestServer
  before(async () => {
    test = await startTenantServer({ partition: 'p0', tenants: ['acme', 'globex'] })
    await putTenant(test, { metadata: { name: 'far' }, status: { phase: 'Active', partition: 'p1' } })
    for (const tenant of ['acme', 'globex']) {
      const client = test.server.client({ ...SERVER_USER, tenant })
      await client.create(configmaps, { metadata: { name: 'which', namespace: 'default' }, data: { tenant } })
    }
  })
  after(() => test.close())

  const which = (response: TestResponse): unknown =>
    response.status === 200 ? response.json<{ data: { tenant: string } }>().data.tenant : response.status
  const WHICH = '/api/v1/namespaces/default/configmaps/which'

  it('serves each its own, with or without the tenant in the URL', async () => {
    for (const tenant of ['acme', 'globex']) {
      const ask = await test.as(adminOf(tenant))
      for (const path of [WHICH, `/tenants/${tenant}${WHICH}`, WHICH.replace('v1/', `v1/tenants/${tenant}/`)])
        assert.equal(which(await ask('GET', path)), tenant, path)
    }
    const operator = await test.as(OPERATOR)
    assert.equal(which(await operator('GET', `/tenants/globex${WHICH}`)), 'globex')
    assert.equal(which(await operator('GET', WHICH)), 404)
  })

  it('answers about others exactly as about what does not exist', async () => {
    const people = [adminOf('acme'), { commonName: 'eve', organizations: ['tenant:acme'] }]
    const shape = ({ status, headers, text }: TestResponse, name: string): unknown => {
      const { 'audit-id': _id, date: _date, ...rest } = headers
      return { status, rest, text: text.replaceAll(name, 'X') }
    }
    for (const identity of people) {
      const ask = await test.as(identity)
      for (const make of [
        (name: string) => `/tenants/${name}${WHICH}`,
        (name: string) => `/tenants/${name}/version`,
        (name: string) => `/api/v1/tenants/${name}/pods`,
        (name: string) => `/apis/apps/v1/tenants/${name}/deployments`,
      ]) {
        const expected = shape(await ask('GET', make('nosuch')), 'nosuch')
        for (const name of ['globex', 'far', 'system', 'all'])
          assert.deepEqual(shape(await ask('GET', make(name)), name), expected, make(name))
      }
    }
    const nobody = await test.request('GET', `/tenants/acme${WHICH}`)
    assert.match(nobody.json().message, /"system:anonymous" cannot get path "\/tenants\/acme\/api/)
  })

  it('does not serve who belongs to a tenant of another partition', async () => {
    const ask = await test.as(adminOf('far'))
    assert.equal((await ask('GET', '/api/v1/namespaces')).status, 404)
    assert.equal((await ask('GET', '/version')).status, 404)
  })

  it('believes a certificate that names one tenant and none of the cluster’s own groups', async () => {
    const ask = await test.as({ commonName: 'eve', organizations: ['tenant:acme', 'dev'] })
    const { userInfo } = (await ask('POST', SELF_REVIEW, SELF)).json<Who>().status
    assert.deepEqual(userInfo.groups, ['dev', 'system:authenticated'])
    for (const organizations of [
      ['tenant:acme', 'tenant:globex'],
      ['tenant:acme', 'system:nodes'],
      ['tenant:acme', 'system:partitions'],
      ['tenant:acme', 'system:gateways'],
      ['tenant:all'],
      ['tenant:'],
    ]) {
      const refused = await test.as({ commonName: 'eve', organizations })
      assert.equal((await refused('GET', '/version')).status, 401, String(organizations))
    }
  })

  it('takes system:masters of a tenant for its masters and no more', async () => {
    const ask = await test.as(adminOf('acme'))
    assert.equal((await ask('GET', '/api/v1/secrets')).status, 200)
    const nodes = await ask('POST', '/api/v1/nodes', {
      body: { kind: 'Node', apiVersion: 'v1', metadata: { name: 'n' } },
    })
    assert.equal(
      nodes.json().message,
      'nodes is forbidden: User "admin" cannot create resource "nodes" in API group "" at the cluster scope',
    )
    assert.deepEqual((await ask('GET', '/api/v1/nodes')).json().items, [])
    assert.deepEqual((await ask('GET', '/apis/centaurus.io/v1/tenants')).json().items, [])
    assert.equal((await ask('GET', '/metrics')).status, 403)
    assert.equal((await ask('GET', '/healthz')).status, 200)
  })

  it('judges users by the roles of their tenant, and operators by those of system', async () => {
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' }
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'eve' }]
    const acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
    await acme.create(clusterrolebindings, { metadata: { name: 'eve' }, roleRef, subjects })
    const eve = { commonName: 'eve', organizations: [] as string[] }
    const inAcme = await test.as({ ...eve, organizations: ['tenant:acme'] })
    const inGlobex = await test.as({ ...eve, organizations: ['tenant:globex'] })
    const inSystem = await test.as(eve)
    assert.equal((await inAcme('GET', WHICH)).status, 200)
    assert.equal((await inGlobex('GET', WHICH)).status, 403)
    assert.equal((await inSystem('GET', `/tenants/acme${WHICH}`)).status, 403)
    await test.client.create(clusterrolebindings, { metadata: { name: 'eve' }, roleRef, subjects })
    assert.equal((await inSystem('GET', `/tenants/acme${WHICH}`)).status, 200)
    assert.equal((await inGlobex('GET', WHICH)).status, 403)
  })

  it('aggregates roles in each tenant', async () => {
    const acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
    const rules = [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] }]
    const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' }
    const ask = await test.as({ commonName: 'eve', organizations: ['tenant:acme'] })
    await ask('GET', WHICH) // somebody was there: the tenant's roles are followed
    await acme.create(clusterroles, { metadata: { name: 'widgets', labels }, rules })
    const aggregated = async (): Promise<boolean> => {
      const { rules: found = [] } = await acme.get(clusterroles, { name: 'admin' })
      return found.some((rule) => rule.apiGroups?.includes('example.com'))
    }
    while (!(await aggregated())) await new Promise((resolve) => setImmediate(resolve))
    const elsewhere = await test.server.client({ ...SERVER_USER, tenant: 'globex' }).get(clusterroles, { name: 'view' })
    assert.ok(!(elsewhere.rules ?? []).some((rule) => rule.apiGroups?.includes('example.com')))
  })

  it('issues tokens for accounts of the tenant, which are good there alone', async () => {
    const acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
    await acme.create(serviceaccounts, { metadata: { name: 'robot', namespace: 'default' } })
    const admin = await test.as(adminOf('acme'))
    const issued = await admin('POST', '/api/v1/namespaces/default/serviceaccounts/robot/token', {
      body: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', spec: {} },
    })
    const { token } = issued.json<{ status: { token: string } }>().status
    const headers = { authorization: `Bearer ${token}` }
    const who = await test.request('POST', SELF_REVIEW, { ...SELF, headers })
    assert.equal(who.json<Who>().status.userInfo.username, 'system:serviceaccount:default:robot')
    assert.equal((await test.request('GET', `/tenants/globex${WHICH}`, { headers })).status, 403)
    const review = { body: { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', spec: { token } } }
    const reviewIn = async (ask: TestServer['request']): Promise<unknown> =>
      (await ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review)).json().status['authenticated'] ?? false
    assert.equal(await reviewIn(admin), true)
    assert.equal(await reviewIn(await test.as(adminOf('globex'))), false)
    assert.equal(await reviewIn(await test.as(OPERATOR)), false)
  })

  it('answers node agents about operators, whatever view they have', async () => {
    const node = await test.as({ commonName: 'system:node:n1', organizations: ['system:nodes'] })
    await test.client.create(serviceaccounts, { metadata: { name: 'probe', namespace: 'default' } })
    const operator = await test.as(OPERATOR)
    const issued = await operator('POST', '/api/v1/namespaces/default/serviceaccounts/probe/token', {
      body: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', spec: {} },
    })
    const { token } = issued.json<{ status: { token: string } }>().status
    const review = await node('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      body: { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', spec: { token } },
    })
    assert.equal(review.json().status['authenticated'], true)
    const access = await node('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      body: {
        kind: 'SubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        spec: {
          user: 'kube-apiserver-kubelet-client',
          groups: ['system:masters'],
          resourceAttributes: { verb: 'get', resource: 'nodes', subresource: 'log', name: 'n1' },
        },
      },
    })
    assert.equal(access.json().status['allowed'], true)
  })

  it('lets people act for others of their tenant, and operators for anybody in the URL’s', async () => {
    const as = async (ask: TestServer['request'], headers: Record<string, string>, path = SELF_REVIEW) =>
      ask('POST', path, { ...SELF, headers })
    const admin = await test.as(adminOf('acme'))
    const bob = await as(admin, { 'impersonate-user': 'bob', 'impersonate-group': 'dev' })
    assert.equal(bob.json<Who>().status.userInfo.username, 'bob')
    assert.equal((await as(admin, { 'impersonate-user': 'x', 'impersonate-group': 'system:nodes' })).status, 403)
    const operator = await test.as(OPERATOR)
    const headers = { 'impersonate-user': 'admin', 'impersonate-group': 'system:masters' }
    assert.equal(which(await operator('GET', `/tenants/acme${WHICH}`, { headers })), 'acme')
    assert.equal((await operator('GET', `/tenants/acme/metrics`, { headers })).status, 403)
    assert.equal((await operator('GET', '/metrics', { headers })).status, 200)
  })

  it('believes a gateway about whom it speaks for, and nobody else', async () => {
    const headers = { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters', 'x-remote-tenant': 'globex' }
    const gateway = await test.as({ commonName: 'system:gateway', organizations: ['system:gateways'] })
    assert.equal(which(await gateway('GET', WHICH, { headers })), 'globex')
    assert.equal((await gateway('GET', WHICH)).status, 403)
    const other = await test.as(adminOf('acme'))
    assert.equal(which(await other('GET', WHICH, { headers })), 'acme')
    assert.equal((await test.request('GET', WHICH, { headers })).status, 403)
    const nodes = { ...headers, 'x-remote-group': 'system:nodes' }
    assert.equal((await gateway('GET', WHICH, { headers: nodes })).status, 401)
  })

  it('forgets a tenant that is gone', async () => {
    await putTenant(test, { metadata: { name: 'brief' } })
    const ask = await test.as(adminOf('brief'))
    assert.equal((await ask('GET', '/api/v1/namespaces')).status, 200)
    await test.client.delete(tenants, { name: 'brief' })
    assert.equal((await ask('GET', '/api/v1/namespaces')).status, 404)
  })
})
