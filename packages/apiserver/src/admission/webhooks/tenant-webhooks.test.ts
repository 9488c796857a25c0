import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ALL_TENANTS } from '@centaurus/api'
import {
  mutatingwebhookconfigurations,
  validatingwebhookconfigurations,
  type ValidatingWebhook,
} from '@centaurus/api/admissionregistration/v1'
import { tenants } from '@centaurus/api/centaurus/v1'
import { configmaps, persistentvolumes, pods, secrets, services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { leases } from '@centaurus/api/coordination/v1'
import type { Client } from '@centaurus/client'
import { NODES_VIEW } from '../../views/view-names.ts'
import { adminOf, startTenantServer } from '../../testing/tenant-server.ts'
import type { TestServer } from '../../testing/test-server.ts'
import { jsonPatch, startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'

describe('webhooks of tenants', () => {
  let test: TestServer
  let hook: WebhookServer
  before(async () => {
    test = await startTenantServer({
      tenants: ['acme', 'globex', 'closed'],
      admission: { tenantWebhookNetworks: ['127.0.0.0/8'] },
    })
    hook = await startWebhookServer(test.certificates, { names: ['hook.default.svc'] })
  })
  after(async () => {
    await test.close()
    await hook.close()
  })

  const user = (name: string, tenant: string, groups: string[] = []): Client =>
    test.server.client({ name, uid: '', groups, extra: {}, tenant })
  const webhook = (path: string, own: Partial<ValidatingWebhook> = {}): ValidatingWebhook => ({
    name: 'hook.example.com',
    clientConfig: { url: `https://127.0.0.1:${hook.port}${path}`, caBundle: hook.caBundle },
    rules: [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps', 'pods/status'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    ...own,
  })
  const validate = (tenant: string, ...webhooks: ValidatingWebhook[]) =>
    user('admin', tenant).create(validatingwebhookconfigurations, { metadata: { name: 'hooks' }, webhooks })

  it('see what is written in their tenant, whoever writes it, under its own names', async () => {
    await validate('acme', webhook('/acme'))
    const admin = await test.as(adminOf('acme'))
    assert.equal((await admin('POST', MAPS, { body: { metadata: { name: 'by-admin' } } })).status, 201)
    const operator = await test.as({ commonName: 'operator', organizations: ['system:masters'] })
    const operators = `/tenants/acme${MAPS}`
    assert.equal((await operator('POST', operators, { body: { metadata: { name: 'by-operator' } } })).status, 201)
    const controller = user('system:kube-controller-manager', ALL_TENANTS)
    await controller.create(configmaps, { metadata: { name: 'by-controller', namespace: 'default--acme' } })
    const pod = { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    await user('dev', 'acme').create(pods, pod)
    const node = user('system:node:n', NODES_VIEW, ['system:nodes'])
    const status = { metadata: { name: 'p', namespace: 'default--acme' }, status: { phase: 'Running' } }
    await node.updateStatus(pods, status)
    const seen = hook.asked('/acme').map(({ userInfo, name, namespace, object, subResource }) => {
      const { metadata } = object as { metadata: { namespace: string; annotations?: object } }
      return [userInfo.username, name, namespace, metadata.namespace, metadata.annotations, subResource]
    })
    assert.deepEqual(seen, [
      ['admin', 'by-admin', 'default', 'default', undefined, undefined],
      ['operator', 'by-operator', 'default', 'default', undefined, undefined],
      ['system:kube-controller-manager', 'by-controller', 'default', 'default', undefined, undefined],
      ['system:node:n', 'p', 'default', 'default', undefined, 'status'],
    ])
  })

  it('see nothing of other tenants, nor those of the operators of them', async () => {
    hook.answer('/system', () => ({ allowed: false }))
    await validate('system', webhook('/system'))
    const before = hook.asked('/acme').length
    await user('dev', 'globex').create(configmaps, { metadata: { name: 'a', namespace: 'default' } })
    assert.deepEqual([hook.asked('/acme').length - before, hook.asked('/system').length], [0, 0])
    const own = user('dev', 'system').create(configmaps, { metadata: { name: 'a', namespace: 'default' } })
    await assert.rejects(own, /denied the request/)
    await user('admin', 'system').delete(validatingwebhookconfigurations, { name: 'hooks' })
  })

  it('are found behind the tenant’s own Service', async () => {
    const client = user('admin', 'globex')
    const service = { name: 'hook', namespace: 'default', path: '/globex', port: 8443 }
    await validate('globex', webhook('', { clientConfig: { service, caBundle: hook.caBundle } }))
    const write = (name: string): Promise<unknown> =>
      client.create(configmaps, { metadata: { name, namespace: 'default' } })
    const failed = 'failed calling webhook "hook.example.com": '
    await assert.rejects(write('no-service'), new RegExp(`${failed}service "hook" not found`))
    const metadata = { name: 'hook', namespace: 'default' }
    await client.create(services, { metadata, spec: { ports: [{ name: 'web', port: 443 }] } })
    await assert.rejects(write('no-port'), /no service port 8443 found for service "hook"/)
    const ports = { spec: { ports: [{ name: 'web', port: 8443 }] } }
    await client.patch(services, metadata, { type: 'merge', body: ports })
    await assert.rejects(write('no-endpoint'), /no endpoints available for service "hook"/)
    const slice = {
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'hook' } },
      addressType: 'IPv4',
      ports: [{ name: 'web', port: hook.port }],
      endpoints: [
        { addresses: ['127.0.0.1'], conditions: { ready: true } },
        { addresses: ['127.0.0.2'], conditions: { ready: false } },
      ],
    }
    // the API takes no loopback addresses
    const key = '/registry/globex/discovery.k8s.io/endpointslices/default/hook'
    await test.store.commit({ changes: [{ type: 'put', key, value: Buffer.from(JSON.stringify(slice)) }] })
    await client.get(endpointslices, metadata)
    await write('found')
    assert.deepEqual(
      hook.asked('/globex').map(({ name }) => name),
      ['found'],
    )
  })

  it('lead to public addresses only, unless the operator opens others', async () => {
    const guarded = await startTenantServer({ tenants: ['acme'] })
    try {
      const client = guarded.server.client({ name: 'dev', uid: '', groups: [], extra: {}, tenant: 'acme' })
      const refused = async (clientConfig: ValidatingWebhook['clientConfig']): Promise<void> => {
        const hooks = { metadata: { name: 'hooks' }, webhooks: [webhook('/guarded', { clientConfig })] }
        await client.create(validatingwebhookconfigurations, hooks)
        const write = client.create(configmaps, { metadata: { name: 'a', namespace: 'default' } })
        await assert.rejects(write, /is not allowed|no endpoints available/)
        await client.delete(validatingwebhookconfigurations, { name: 'hooks' })
      }
      const { caBundle } = hook
      for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '169.254.169.254', '10.0.0.1']) {
        await refused({ url: `https://${host}:${hook.port}/guarded`, caBundle })
      }
      // an endpoint could name any host: only the tenant's pods count
      const metadata = { name: 'hook', namespace: 'default' }
      await client.create(services, { metadata, spec: { ports: [{ port: 443 }] } })
      await client.create(endpointslices, {
        metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'hook' } },
        addressType: 'IPv4',
        ports: [{ name: '', port: hook.port }],
        endpoints: [{ addresses: ['192.0.2.1'] }],
      })
      await refused({ service: { ...metadata, path: '/guarded' }, caBundle })
      assert.equal(hook.asked('/guarded').length, 0)
    } finally {
      await guarded.close()
    }
  })

  it('do not keep their tenant from ending', async () => {
    hook.answer('/closed', () => ({ allowed: false }))
    const all = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }]
    const operator = user('operator', 'closed')
    await operator.create(configmaps, { metadata: { name: 'a', namespace: 'default' } })
    await validate('closed', webhook('/closed', { rules: all }))
    const remove = (): Promise<unknown> => operator.delete(configmaps, { namespace: 'default', name: 'a' })
    await assert.rejects(remove(), /denied the request/)
    const tenant = await test.client.get(tenants, { name: 'closed' })
    await test.client.updateStatus(tenants, { ...tenant, status: { ...tenant.status, phase: 'Terminating' } })
    await remove()
  })

  it('do not hold up what serves all tenants', async () => {
    hook.answer('/tarpit', () => 'silence')
    const rules = [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['secrets'] }]
    const hooks = [webhook('/tarpit', { rules, timeoutSeconds: 30 })]
    await user('admin', 'acme').create(validatingwebhookconfigurations, {
      metadata: { name: 'tarpit' },
      webhooks: hooks,
    })
    const controller = user('system:kube-controller-manager', ALL_TENANTS)
    const create = (name: string): Promise<unknown> =>
      controller.create(secrets, { metadata: { name, namespace: 'default--acme' } })
    // each waits three seconds, not thirty, and together they use the tenant's credit up
    const waiting = Array.from({ length: 5 }, (_, i) => create(`s${i}`))
    for (const each of waiting) await assert.rejects(each, /context deadline exceeded/)
    await assert.rejects(
      create('s5'),
      /failed calling webhook "hook.example.com": webhooks of this cluster take too long/,
    )
    await controller.create(secrets, { metadata: { name: 's', namespace: 'default--globex' } })
  })

  it('change nothing that only operators may say, in whoever’s write', async () => {
    const client = user('admin', 'globex')
    const change: Record<string, object[]> = {}
    hook.answer('/change', ({ resource, subResource = '' }) => {
      const operations = change[`${resource.resource}/${subResource}`]
      return operations === undefined ? { allowed: true } : jsonPatch(...operations)
    })
    const rules = [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['*/*'] }]
    const hooks = { metadata: { name: 'change' }, webhooks: [webhook('/change', { rules })] }
    await client.create(mutatingwebhookconfigurations, hooks)
    const controller = user('system:kube-controller-manager', ALL_TENANTS)
    const metadata = { name: 'x', namespace: 'default--globex' }
    change['services/'] = [{ op: 'add', path: '/spec/externalIPs', value: ['198.51.100.1'] }]
    const service = { metadata, spec: { ports: [{ port: 80 }] } }
    await assert.rejects(controller.create(services, service), /Use of external IPs is denied/)
    change['services/'] = [{ op: 'add', path: '/spec/clusterIP', value: '10.96.0.99' }]
    await assert.rejects(controller.create(services, service), /spec\.clusterIP may not be chosen/)
    const volume = {
      metadata: { name: 'v--globex' },
      spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], nfs: { server: 'a', path: '/' } },
    }
    change['persistentvolumes/'] = [
      { op: 'remove', path: '/spec/nfs' },
      { op: 'add', path: '/spec/hostPath', value: { path: '/' } },
    ]
    await assert.rejects(controller.create(persistentvolumes, volume), /hostPath and local volumes may not be used/)
    await controller.create(pods, { metadata, spec: { containers: [{ name: 'c', image: 'i' }] } })
    change['pods/binding'] = [{ op: 'replace', path: '/target/name', value: 'mine' }]
    change['pods/status'] = [{ op: 'add', path: '/status/podIPs', value: [{ ip: '10.0.0.1' }] }]
    await controller.createSubresource(pods, metadata, 'binding', { metadata, target: { name: 'n' } })
    const node = user('system:node:n', NODES_VIEW, ['system:nodes'])
    await node.updateStatus(pods, { metadata, status: { phase: 'Running' } })
    const { spec, status } = await client.get(pods, { namespace: 'default', name: 'x' })
    assert.deepEqual([spec?.nodeName, status?.podIPs], ['n', undefined])
    await client.delete(mutatingwebhookconfigurations, { name: 'change' })
  })

  it('see renewals of leases too, which are short without them', async () => {
    const client = user('admin', 'acme')
    const lease = { metadata: { name: 'l', namespace: 'default' }, spec: { renewTime: '2026-01-01T00:00:00.000000Z' } }
    const made = await client.create(leases, lease, { fieldManager: 'dev' })
    const rules = [{ operations: ['UPDATE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['leases'] }]
    const hooks = { metadata: { name: 'leases' }, webhooks: [webhook('/leases', { rules })] }
    await client.create(validatingwebhookconfigurations, hooks)
    const admin = await test.as(adminOf('acme'))
    const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l'
    const renewed = { ...made, spec: { renewTime: '2026-01-01T00:00:01.000000Z' } }
    assert.equal((await admin('PUT', path, { body: renewed, headers: { 'user-agent': 'dev' } })).status, 200)
    assert.equal(hook.asked('/leases').length, 1)
  })
})
