import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { TenantNetwork } from '@centaurus/api'
import { deployments, type Deployment } from '@centaurus/api/apps/v1'
import { tenants } from '@centaurus/api/centaurus/v1'
import { namespaces, pods, serviceaccounts, type Pod } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { adminOf, startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'
import { createNetworkExtension } from './network-extension.ts'

type Annotations = Record<string, string>

const CLASS = 'centaurus.io/network-class'
const PRIORITY = 'centaurus.io/network-priority'
const EGRESS = 'kubernetes.io/egress-bandwidth'

function podOf(annotations: Annotations, name = 'web'): Pod {
  return {
    metadata: { name, namespace: 'default', annotations },
    spec: { containers: [{ name: 'a', image: 'a' }] },
  }
}

describe('what pods and namespaces say of their packets', () => {
  let test: TestServer
  let acme: Client
  before(async () => {
    test = await startTenantServer({ extensions: [createNetworkExtension()], tenants: ['acme'] })
    acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
  })
  after(() => test.close())

  const grant = async (network: TenantNetwork): Promise<void> => {
    const tenant = await test.client.get(tenants, { name: 'acme' })
    await test.client.update(tenants, { ...tenant, spec: { ...tenant.spec, network } })
  }
  const tryPod = (annotations: Annotations, client = acme) => client.create(pods, podOf(annotations), { dryRun: true })
  /** As `kubectl annotate`; `null` takes one away. */
  const annotate = async (name: string, annotations: Record<string, string | null>) => {
    const admin = await test.as(adminOf('acme'))
    const body = { metadata: { annotations } }
    const headers = { 'content-type': 'application/merge-patch+json' }
    return admin('PATCH', `/api/v1/namespaces/default/pods/${name}`, { body, headers })
  }

  it('is refused when it means nothing, with what is allowed', async () => {
    await tryPod({ [CLASS]: 'best-effort', [PRIORITY]: 'Low', [EGRESS]: '10M', 'mizar.com/ingress-bandwidth': '5M' })
    for (const [annotations, why] of [
      [{ [CLASS]: 'gold' }, /network-class\]: Invalid value: "gold": must be premium, expedited or best-effort/],
      [
        { 'mizar.com/network-priority': 'Top' },
        /network-priority\]: Invalid value: "Top": must be high, medium or low/,
      ],
      [{ [EGRESS]: '10m' }, /egress-bandwidth\]: Invalid value: "10m": "m" means a thousandth: must be a quantity/],
      [{ 'mizar.com/egress-bandwidth': '1Gi' }, /must be a number of bytes a second from 125 to 125000G/],
      [
        { [EGRESS]: '10M', 'mizar.com/egress-bandwidth': '10M' },
        /mizar.com\/egress-bandwidth\]: .* says something else than kubernetes.io\/egress-bandwidth \("10M"\): leave one/,
      ],
    ] as const) {
      await assert.rejects(tryPod(annotations), why)
      await assert.rejects(tryPod(annotations, test.client), why, 'operators do not get away with it either')
      const namespace = { metadata: { name: 'shop', annotations } }
      await assert.rejects(acme.create(namespaces, namespace), why)
    }
    await assert.rejects(tryPod({ [CLASS]: 'gold', [PRIORITY]: 'top' }), /is invalid: \[.*gold.*top/)
  })

  it('may change at any time', async () => {
    await acme.create(pods, podOf({ [EGRESS]: '10M' }, 'live'))
    assert.equal((await annotate('live', { [EGRESS]: '20M', [PRIORITY]: 'low' })).status, 200)
    const wrong = await annotate('live', { [EGRESS]: 'fast' })
    assert.equal(wrong.status, 422)
    assert.match(wrong.text, /egress-bandwidth\]: Invalid value: \\"fast\\": must be a quantity of bits a second/)
    assert.equal((await annotate('live', { [EGRESS]: null })).status, 200)
    const { metadata } = await acme.get(pods, { namespace: 'default', name: 'live' })
    assert.deepEqual(metadata.annotations, { [PRIORITY]: 'low' })
  })

  it('gets a tenant nothing that operators did not grant, whatever way it is said', async () => {
    await grant({})
    const least =
      /class premium with priority medium is more than best-effort with medium, which tenant acme may have; ask/
    await assert.rejects(tryPod({ [CLASS]: 'premium' }), least)
    await assert.rejects(tryPod({ 'mizar.com/network-class': 'Premium' }), /is forbidden: .*Tenant\.spec\.network\.max/)
    await assert.rejects(tryPod({ [PRIORITY]: 'high' }), /class best-effort with priority high is more/)
    await assert.rejects(
      acme.create(namespaces, { metadata: { name: 'shop', annotations: { [CLASS]: 'premium' } } }),
      least,
    )
    await test.client.create(pods, podOf({ [CLASS]: 'premium', [PRIORITY]: 'high' }), { dryRun: true })
    await grant({ max: { class: 'expedited', egressBandwidth: '100M' } })
    await tryPod({ [CLASS]: 'expedited' })
    await tryPod({ [PRIORITY]: 'high', [EGRESS]: '100M', 'kubernetes.io/ingress-bandwidth': '1P' })
    await assert.rejects(tryPod({ [CLASS]: 'expedited', [PRIORITY]: 'high' }), /expedited with priority high is more/)
    await assert.rejects(
      tryPod({ [EGRESS]: '1G' }),
      /egress bandwidth 1G is more than 100M bits a second, which each pod/,
    )
    await acme.create(namespaces, { metadata: { name: 'shop', annotations: { [CLASS]: 'expedited' } } })
    await acme.create(serviceaccounts, { metadata: { name: 'default', namespace: 'shop' } })
    const inShop = {
      ...podOf({ [PRIORITY]: 'high' }),
      metadata: { name: 'web', namespace: 'shop', annotations: { [PRIORITY]: 'high' } },
    }
    await assert.rejects(acme.create(pods, inShop), /class expedited with priority high is more/)
  })

  it('gets it nothing by way of a status either', async () => {
    await grant({})
    const { metadata, ...made } = await acme.create(pods, podOf({}, 'sub'))
    const premium = { ...made, metadata: { ...metadata, annotations: { [CLASS]: 'premium' } } }
    await assert.rejects(acme.updateStatus(pods, premium), /class premium with priority medium is more/)
  })

  it('may stay as it was when it is not allowed any more, while other things change', async () => {
    await grant({ max: { class: 'premium', priority: 'high', egressBandwidth: '1G' } })
    await acme.create(pods, podOf({ [CLASS]: 'premium', [EGRESS]: '1G' }, 'old'))
    await grant({})
    assert.equal((await annotate('old', { note: 'tea' })).status, 200)
    assert.equal((await annotate('old', { [EGRESS]: '1M' })).status, 200)
    const priority = await annotate('old', { [PRIORITY]: 'high' })
    assert.equal(priority.status, 403)
    assert.match(priority.text, /premium with priority high is more than best-effort with medium/)
    assert.equal((await annotate('old', { [CLASS]: null })).status, 200)
    assert.equal((await annotate('old', { [CLASS]: 'premium' })).status, 403)
  })

  it('is warned of in a template, and where it does nothing', async () => {
    const admin = await test.as(adminOf('acme'))
    const labels = { app: 'web' }
    const template = {
      metadata: { labels, annotations: { [CLASS]: 'gold' } },
      spec: { hostNetwork: true, containers: [{ name: 'a', image: 'a' }] },
    }
    const deployment: Deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: { selector: { matchLabels: labels }, template },
    }
    const made = await admin('POST', '/apis/apps/v1/namespaces/default/deployments', { body: deployment })
    assert.equal(made.status, 201)
    const warnings = String(made.headers['warning'])
    assert.match(
      warnings,
      /spec.template.metadata.annotations\[centaurus.io\/network-class\]: Invalid value.*its pods will be refused/,
    )
    assert.match(warnings, /network-class\]: does nothing for pods in the network of their node/)
    assert.equal((await acme.list(deployments)).items.length, 1)
  })
})
