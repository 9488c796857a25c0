import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { configmaps, namespaces, pods, serviceaccounts, services, type Service } from '@centaurus/api/core/v1'
import { ipaddresses } from '@centaurus/api/networking/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import { SERVER_USER } from '../server.ts'
import { adminOf, putTenant, startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'

const pod = (name: string, spec: object = {}): object => ({
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
})
const PODS = '/api/v1/namespaces/default/pods'

describe('admission by tenant', () => {
  let test: TestServer
  before(async () => {
    test = await startTenantServer({ tenants: ['acme', 'globex'] })
  })
  after(() => test.close())

  const clientOf = (tenant: string) => test.server.client({ ...SERVER_USER, tenant })
  const setTenant = async (name: string, change: (tenant: Tenant) => Tenant): Promise<void> => {
    const tenant = await test.client.get(tenants, { name })
    const changed = await test.client.update(tenants, change(tenant))
    await test.client.updateStatus(tenants, { ...changed, status: change(tenant).status })
  }

  it('gives services of all tenants addresses and ports of one network', async () => {
    const service = (name: string, spec: object): Service => ({
      metadata: { name, namespace: 'default' },
      spec: { type: 'NodePort', ports: [{ port: 80 }], ...spec },
    })
    const made = await clientOf('acme').create(services, service('web', {}))
    const { clusterIP, ports } = made.spec!
    const own = await clientOf('acme').list(ipaddresses)
    assert.deepEqual(own.items.find(({ metadata }) => metadata.name === clusterIP)?.spec?.parentRef, {
      group: '',
      resource: 'services',
      namespace: 'default',
      name: 'web',
    })
    const taken = service('same', { clusterIP, ports: [{ port: 80, nodePort: ports![0]!.nodePort }] })
    for (const tenant of ['globex', 'system']) {
      await assert.rejects(
        clientOf(tenant).create(services, taken),
        (error) => isStatus(error, 'Invalid') && /provided IP is already allocated.*provided port/s.test(error.message),
      )
    }
    await clientOf('acme').delete(services, { namespace: 'default', name: 'web' })
    assert.equal((await clientOf('globex').create(services, taken)).spec!.clusterIP, clusterIP)
    assert.ok(!(await clientOf('acme').list(ipaddresses)).items.some(({ metadata }) => metadata.name === clusterIP))
  })

  it('lets operators choose addresses and ports, and those who are in the tenant keep them', async () => {
    const [admin, operator] = [await test.as(adminOf('acme')), await test.as(adminOf('system'))]
    const path = '/api/v1/namespaces/default/services'
    const body = (spec: object): object => ({ kind: 'Service', apiVersion: 'v1', metadata: { name: 'chosen' }, spec })
    const ports = [{ port: 80, nodePort: 30_099 }]
    const [byAddress, byPort] = [
      { clusterIP: '10.96.0.99', ports: [{ port: 80 }] },
      { type: 'NodePort', ports },
    ]
    for (const [spec, why] of [
      [byAddress, /spec\.clusterIP may not be chosen: leave it out/],
      [byPort, /node ports may not be chosen: leave them out/],
    ] as const) {
      const refused = await admin('POST', path, { body: body(spec) })
      assert.equal(refused.status, 403)
      assert.match(refused.json().message, why)
    }
    const spec = { ...byAddress, ...byPort }
    const made = await operator('POST', `/tenants/acme${path}`, { body: body(spec) })
    assert.equal(made.status, 201, made.text)
    const kept = await admin('PUT', `${path}/chosen`, {
      body: body({ ...spec, ports: [...ports, { name: 'b', port: 81 }] }),
    })
    assert.equal(kept.status, 422, 'a port without a name')
    const named = [
      { ...ports[0], name: 'a' },
      { name: 'b', port: 81 },
    ]
    const changed = await admin('PUT', `${path}/chosen`, { body: body({ ...spec, ports: named }) })
    assert.equal(changed.status, 200, changed.text)
    assert.equal((changed.json().spec['ports'] as { nodePort: number }[])[0]!.nodePort, 30_099)
    const moved = await admin('PUT', `${path}/chosen`, {
      body: body({ ...spec, ports: [{ port: 80, nodePort: 30_098 }] }),
    })
    assert.equal(moved.status, 403)
  })

  it('holds a tenant to its quota over all namespaces, however many ask at once', async () => {
    await putTenant(test, { metadata: { name: 'small' }, spec: { quota: { pods: '3', 'count/configmaps': '2' } } })
    const small = clientOf('small')
    await small.create(namespaces, { metadata: { name: 'other' } })
    await small.create(serviceaccounts, { metadata: { name: 'default', namespace: 'other' } })
    const ask = await test.as(adminOf('small'))
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        ask('POST', `/api/v1/namespaces/${i % 2 === 0 ? 'default' : 'other'}/pods`, {
          body: pod(`p${i}`),
        }),
      ),
    )
    const refused = answers.filter(({ status }) => status === 403)
    assert.equal(answers.filter(({ status }) => status === 201).length, 3)
    for (const answer of refused) {
      assert.match(
        answer.json().message,
        /^pods "p\d" is forbidden: exceeded quota: cluster, requested: pods=1, used: pods=3, limited: pods=3$/,
      )
    }
    assert.deepEqual(test.server.tenantUsage('small'), { pods: '3', 'count/configmaps': '0' })
    const [first] = (await small.list(pods)).items
    await small.delete(pods, { namespace: first!.metadata.namespace, name: first!.metadata.name })
    assert.equal((await ask('POST', PODS, { body: pod('again') })).status, 201)
  })

  it('gives out all of a quota, and no more, to a crowd', async () => {
    await putTenant(test, { metadata: { name: 'crowd' }, spec: { quota: { 'count/configmaps': '100' } } })
    const crowd = clientOf('crowd')
    const results = await Promise.allSettled(
      Array.from({ length: 130 }, (_, i) =>
        crowd.create(configmaps, { metadata: { name: `c${i}`, namespace: 'default' } }),
      ),
    )
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    assert.equal(refused.length, 30)
    for (const error of refused) assert.ok(isStatus(error, 'Forbidden'), String(error))
    assert.equal((await crowd.list(configmaps)).items.length, 100)
  })

  it('counts what is there when a quota changes', async () => {
    const acme = clientOf('acme')
    for (const name of ['a', 'b']) await acme.create(configmaps, { metadata: { name, namespace: 'default' } })
    await setTenant('acme', (tenant) => ({ ...tenant, spec: { quota: { 'count/configmaps': '3' } } }))
    await acme.create(configmaps, { metadata: { name: 'c', namespace: 'default' } })
    assert.deepEqual(test.server.tenantUsage('acme'), { 'count/configmaps': '3' })
    await assert.rejects(acme.create(configmaps, { metadata: { name: 'd', namespace: 'default' } }), (error) =>
      isStatus(error, 'Forbidden'),
    )
    await setTenant('acme', (tenant) => ({ ...tenant, spec: {} }))
    await acme.create(configmaps, { metadata: { name: 'd', namespace: 'default' } })
    await setTenant('acme', (tenant) => ({ ...tenant, spec: { quota: { 'count/configmaps': '5' } } }))
    await acme.delete(configmaps, { namespace: 'default', name: 'd' })
    assert.deepEqual(test.server.tenantUsage('acme'), { 'count/configmaps': '3' })
  })

  it('leaves to operators where pods run and which come first', async () => {
    const ask = await test.as(adminOf('globex'))
    assert.match(
      (await ask('POST', PODS, { body: pod('a', { nodeName: 'n1' }) })).json().message,
      /pods "a" is forbidden: spec.nodeName may not be set/,
    )
    const spec = { hostNetwork: true, containers: [{ name: 'c', image: 'i' }] }
    await assert.rejects(
      clientOf('globex').create(pods, { metadata: { name: 'host', namespace: 'default' }, spec }),
      /violates PodSecurity "baseline:latest": host namespaces \(hostNetwork=true\)/,
    )
    const volume = {
      kind: 'PersistentVolume',
      apiVersion: 'v1',
      metadata: { name: 'root' },
      spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/' } },
    }
    assert.match(
      (await ask('POST', '/api/v1/persistentvolumes', { body: volume })).json().message,
      /hostPath and local volumes may not be used/,
    )
    assert.equal((await ask('PATCH', `${PODS}/b/status`, { body: {} })).status, 403)
    const grab = {
      kind: 'Service',
      apiVersion: 'v1',
      metadata: { name: 'grab' },
      spec: { ports: [{ port: 443 }], externalIPs: ['10.96.0.1'] },
    }
    const path = '/api/v1/namespaces/default/services'
    assert.match((await ask('POST', path, { body: grab })).json().message, /Use of external IPs is denied/)
    assert.equal((await ask('PATCH', `${path}/kubernetes/status`, { body: {} })).status, 403)
    const critical = pod('b', { priorityClassName: 'system-node-critical' })
    assert.equal(
      (await ask('POST', PODS, { body: critical })).json().message,
      'pods "b" is forbidden: pods with system-node-critical priorityClass is not permitted in default namespace',
    )
    const quota = { 'system-node-critical.priorityclass.scheduling.k8s.io/pods': '1' }
    await setTenant('globex', (tenant) => ({ ...tenant, spec: { quota } }))
    assert.equal((await ask('POST', PODS, { body: critical })).status, 201)
    const second = { ...critical, metadata: { name: 'c' } }
    assert.match((await ask('POST', PODS, { body: second })).json().message, /exceeded quota/)
    assert.equal((await ask('POST', `${PODS}/b/binding`, { body: { target: { name: 'n1' } } })).status, 403)
  })

  it('lets pods reach their node where operators trust the tenant', async () => {
    await putTenant(test, { metadata: { name: 'trusted', annotations: { 'centaurus.io/pod-security': 'privileged' } } })
    const ask = await test.as(adminOf('trusted'))
    assert.equal((await ask('POST', PODS, { body: pod('a', { hostNetwork: true }) })).status, 201)
  })

  it('keeps offered classes as the operators made them', async () => {
    const globex = clientOf('globex')
    const labels = { 'centaurus.io/offered': 'true' }
    await globex.create(storageclasses, { metadata: { name: 'fast', labels }, provisioner: 'x' })
    const ask = await test.as(adminOf('globex'))
    const path = '/apis/storage.k8s.io/v1/storageclasses'
    assert.equal((await ask('GET', `${path}/fast`)).status, 200)
    for (const refused of [
      await ask('DELETE', `${path}/fast`),
      await ask('POST', path, {
        body: {
          kind: 'StorageClass',
          apiVersion: 'storage.k8s.io/v1',
          metadata: { name: 'x', labels },
          provisioner: 'y',
        },
      }),
    ])
      assert.match(refused.json().message, /is forbidden: this class is provided by the cluster/)
  })

  it('writes nothing of a tenant that is being moved, or is served elsewhere', async () => {
    await putTenant(test, { metadata: { name: 'nomad' } })
    const nomad = clientOf('nomad')
    const ask = await test.as(adminOf('nomad'))
    const make = (name: string) => nomad.create(configmaps, { metadata: { name, namespace: 'default' } })
    await make('before')
    await setTenant('nomad', (tenant) => ({ ...tenant, status: { ...tenant.status, phase: 'Moving' as const } }))
    await assert.rejects(make('while'), (error) => isStatus(error, 'ServiceUnavailable'))
    const refused = await ask('DELETE', '/api/v1/namespaces/default/configmaps/before')
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1'])
    assert.equal((await ask('GET', '/api/v1/namespaces/default/configmaps/before')).status, 200)
    await setTenant('nomad', (tenant) => ({ ...tenant, status: { ...tenant.status, phase: 'Active' as const } }))
    await make('after')
  })

  it('lets no write slip in behind the begin of a move, even from a server that has not heard of it', async () => {
    await putTenant(test, { metadata: { name: 'slow' } })
    const before = test.server.tenants.fence('slow')
    await setTenant('slow', (tenant) => ({ ...tenant, status: { ...tenant.status, phase: 'Moving' as const } }))
    const late = await test.store.commit({
      compare: [...before],
      changes: [{ type: 'put', key: '/registry/slow/core/configmaps/default/late', value: Buffer.from('{}') }],
    })
    assert.equal(late.committed, false)
  })
})
