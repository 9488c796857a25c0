import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, type TenantNetwork } from '@centaurus/api'
import { customresourcedefinitions } from '@centaurus/api/apiextensions/v1'
import { partitions, tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { configmaps, namespaces, services } from '@centaurus/api/core/v1'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import { createAccessExtension, createCrdExtension, createTokenSigner, SERVER_USER } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { openClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock } from '@centaurus/base'
import type { Client, RunningController } from '@centaurus/client'
import { createMembership } from '../membership/membership.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { startTenants } from './start-tenants.ts'
import { createTenantsExtension } from './tenants-extension.ts'

describe('the life of a tenant', () => {
  let test: TestServer
  let controller: RunningController

  before(async () => {
    const certificates = await openClusterCertificates()
    const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
    test = await startTestServer({
      certificates,
      partition: 'home',
      extensions: [
        createAccessExtension({ signer }),
        createRegistryExtension(),
        createCrdExtension(),
        createTenantsExtension(),
      ],
    })
    const spec = { roles: ['Tenant' as const], endpoints: ['https://x'], home: true }
    const home = await test.client.create(partitions, { metadata: { name: 'home' }, spec })
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: 'R',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    await test.client.updateStatus(partitions, { ...home, status: { conditions: [ready] } })
    controller = startTenants({
      server: test.server,
      store: test.store,
      membership: createMembership(test.server.reader, 'home'),
      registryClient: test.client,
      clock: systemClock,
      logger: silentLogger,
    })
  })
  after(async () => {
    await controller.close()
    await test.close()
  })

  const clientOf = (tenant: string): Client => test.server.client({ ...SERVER_USER, tenant })
  const until = async (check: () => Promise<boolean>): Promise<void> => {
    while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const find = async (name: string): Promise<Tenant | undefined> => {
    try {
      return await test.client.get(tenants, { name })
    } catch (error) {
      if (isStatus(error, 'NotFound')) return undefined
      throw error
    }
  }
  const start = async (name: string, spec: Tenant['spec'] = {}): Promise<void> => {
    await test.client.create(tenants, { metadata: { name }, spec })
    await until(async () => (await find(name))?.status?.phase === 'Active')
  }
  const end = async (name: string): Promise<void> => {
    await test.client.delete(tenants, { name })
    await until(async () => (await find(name)) === undefined)
  }
  const keysOf = async (name: string): Promise<string[]> =>
    (await test.store.range(`/registry/${name}/`)).entries.map(({ key }) => key)

  it('begins with namespaces, roles, an administrator and a Service', async () => {
    await start('acme', { admin: 'ada' })
    const acme = clientOf('acme')
    assert.deepEqual(
      (await acme.list(namespaces)).items.map(({ metadata }) => metadata.name),
      ['default', 'kube-public', 'kube-system'],
    )
    const [ip] = (await acme.get(services, { namespace: 'default', name: 'kubernetes' })).spec?.clusterIPs ?? []
    assert.notEqual(ip, (await test.client.get(services, { namespace: 'default', name: 'kubernetes' })).spec?.clusterIP)
    const ask = await test.as({ commonName: 'ada', organizations: ['tenant:acme'] })
    assert.equal((await ask('GET', '/api/v1/secrets')).status, 200)
    const other = await test.as({ commonName: 'admin', organizations: ['tenant:acme'] })
    assert.equal((await other('GET', '/api/v1/secrets')).status, 403)
    const { status } = (await find('acme'))!
    assert.equal(status?.partition, 'home')
    assert.ok((status?.epoch ?? 0) > 0)
  })

  it('follows what operators decide', async () => {
    await start('beta')
    const labels = { 'centaurus.io/offered': 'true' }
    await test.client.create(storageclasses, { metadata: { name: 'fast', labels }, provisioner: 'p' })
    const classes = async (): Promise<string[]> =>
      (await clientOf('beta').list(storageclasses)).items.map(({ metadata }) => metadata.name)
    await until(async () => (await classes()).includes('fast'))
    await test.client.delete(storageclasses, { name: 'fast' })
    await until(async () => !(await classes()).includes('fast'))
    const beta = await test.client.get(tenants, { name: 'beta' })
    await test.client.update(tenants, { ...beta, spec: { admin: 'bob', quota: { 'count/configmaps': '5' } } })
    const admin = async (): Promise<string | undefined> =>
      (await clientOf('beta').get(clusterrolebindings, { name: 'centaurus:admin' })).subjects?.[0]?.name
    await until(async () => (await admin()) === 'bob')
    await clientOf('beta').create(configmaps, { metadata: { namespace: 'default', name: 'c' } })
    await until(async () => (await find('beta'))?.status?.used?.['count/configmaps'] === '1')
  })

  it('has nothing of the network by default that it may not have', async () => {
    const create = (network: TenantNetwork) =>
      test.client.create(tenants, { metadata: { name: 'swift' }, spec: { network } }, { dryRun: true })
    await create({ class: 'expedited', egressBandwidth: '1G', max: { class: 'premium', egressBandwidth: '10G' } })
    await assert.rejects(
      create({ class: 'expedited' }),
      /spec.network.class: Invalid value: "expedited": pods would have expedited and medium, and `max` grants best-effort/,
    )
    await assert.rejects(create({ max: { ingressBandwidth: '10m' } }), /max.ingressBandwidth: .*"m" means a thousandth/)
    await assert.rejects(create({ class: 'gold' } as object), /spec.network.class: Unsupported value: "gold"/)
  })

  it('ends with all that it has, and begins clean again', async () => {
    await start('gone', { quota: { pods: '5' } })
    const before = (await find('gone'))!
    const gone = clientOf('gone')
    await gone.create(namespaces, { metadata: { name: 'shop' } })
    await gone.create(configmaps, { metadata: { namespace: 'shop', name: 'c' } })
    await gone.create(clusterroles, { metadata: { name: 'r' }, rules: [] })
    const schema = { openAPIV3Schema: { type: 'object' } }
    await gone.create(customresourcedefinitions, {
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', kind: 'Widget' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    })
    const widgets = { group: 'example.com', version: 'v1', resource: 'widgets', kind: 'Widget', namespaced: true }
    await until(async () => test.server.registries.of('gone').find('example.com', 'v1', 'widgets') !== undefined)
    await gone.create(widgets, { metadata: { namespace: 'shop', name: 'w' } })
    await gone.create(configmaps, { metadata: { namespace: 'shop', name: 'held', finalizers: ['example.com/wait'] } })
    await test.client.delete(tenants, { name: 'gone' })
    await until(async () => {
      const ready = (await find('gone'))?.status?.conditions?.find(({ type }) => type === 'Ready')
      return (
        ready?.message.startsWith('Some resources are remaining: clusterrolebindings') === true &&
        /configmaps/.test(ready.message)
      )
    })
    await assert.rejects(gone.create(namespaces, { metadata: { name: 'late' } }), (error) =>
      isStatus(error, 'Forbidden'),
    )
    const held = await gone.get(configmaps, { namespace: 'shop', name: 'held' })
    await gone.update(configmaps, { ...held, metadata: { ...held.metadata, finalizers: [] } })
    await until(async () => (await find('gone')) === undefined)
    assert.deepEqual(await keysOf('gone'), [])
    assert.equal((await test.store.get('/registry/system/centaurus.io/tenantusages/gone')).entry, undefined)
    await start('gone')
    assert.ok((await find('gone'))!.status!.epoch! > before.status!.epoch!)
    assert.equal((await clientOf('gone').list(configmaps)).items.length, 0)
    assert.equal(test.server.registries.of('gone').find('example.com', 'v1', 'widgets'), undefined)
    await end('gone')
  })

  it('keeps the registry sound', async () => {
    for (const name of ['system', 'all', 'a--b', 'UPPER']) {
      await assert.rejects(
        test.client.create(tenants, { metadata: { name } }),
        (error) => isStatus(error, 'Invalid'),
        name,
      )
    }
    await assert.rejects(
      test.client.delete(partitions, { name: 'home' }),
      (error) => isStatus(error, 'Forbidden') && /it holds 2 tenants \(acme, beta\)/.test((error as Error).message),
    )
  })
})
