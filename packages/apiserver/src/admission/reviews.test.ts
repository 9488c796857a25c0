import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import {
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  validatingwebhookconfigurations,
  type ValidatingWebhook,
} from '@centaurus/api/admissionregistration/v1'
import { configmaps, type ConfigMap } from '@centaurus/api/core/v1'
import { createManualClock, createSeededRandom, silentLogger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createTarget, type WriteRequest } from '../resource/target.ts'
import { startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { TENANT_WEBHOOKS_MAX } from './hook-limits.ts'
import { Reviews } from './reviews.ts'

const RULES = [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }]

describe('what a tenant’s webhooks and policies may take from others', () => {
  let test: TestServer
  before(async () => {
    test = await startTenantServer({ tenants: ['acme', 'globex'] })
  })
  after(() => test.close())
  const userOf = (tenant: string): Client =>
    test.server.client({ name: 'dev', uid: '', groups: ['system:masters'], extra: {}, tenant })

  async function putPolicy(client: Client, name: string, expression: string): Promise<void> {
    const spec = { matchConstraints: { resourceRules: RULES }, validations: [{ expression }] }
    await client.create(validatingadmissionpolicies, { metadata: { name }, spec })
    await client.create(validatingadmissionpolicybindings, {
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    })
  }

  it('is time of the thread that serves all, of which some comes back', async () => {
    await putPolicy(userOf('globex'), 'slow', 'authorizer.path("/x").check("get").allowed()')
    const clock = createManualClock()
    const { server } = test
    // asking takes two seconds
    const authorizer = {
      authorize: () => {
        clock.advance(2000)
        return { allowed: true, reason: '' }
      },
    }
    const cache = server.stored as WatchCache
    const { reader, registries, tenants } = server
    const random = createSeededRandom(1)
    const reviews = new Reviews({ reader, cache, registries, tenants, authorizer, clock, random, logger: silentLogger })
    const object: ConfigMap & { metadata: object } = { metadata: { name: 'a', namespace: 'default' } }
    const request = {
      target: createTarget(cache, registries.of('globex').find('', 'v1', 'configmaps')!, 'globex'),
      user: { name: 'dev', uid: '', groups: [], extra: {}, tenant: 'globex' },
      namespace: 'default',
      dryRun: false,
      fieldManager: '',
      warn: () => {},
    } as unknown as WriteRequest
    const write = async (): Promise<void> => {
      const init = { request, operation: 'CREATE', subresource: '', name: 'a', object, old: undefined } as const
      await reviews.open(request, () => init)!.validate()
    }
    try {
      for (let i = 0; i < 3; i++) await write()
      await assert.rejects(write(), (error) => isStatus(error, 'TooManyRequests'))
      clock.advance(10_000)
      await write()
    } finally {
      reviews.close()
    }
  })

  it('is no more than what one policy may cost, however many there are', async () => {
    const client = userOf('acme')
    const walk = 'object.data.all(a, object.data.all(b, a != b + "x"))'
    for (let i = 0; i < 4; i++) await putPolicy(client, `walk-${i}`, walk)
    const data = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, '']))
    const create = (name: string, count: number): Promise<unknown> =>
      client.create(configmaps, { metadata: { name, namespace: 'default' }, data: data(count) })
    await create('small', 40)
    await assert.rejects(create('large', 70), /running out of cost budget/)
    for (let i = 1; i < 4; i++) await client.delete(validatingadmissionpolicies, { name: `walk-${i}` })
    await create('large', 70)
  })

  it('is so many webhooks', async () => {
    const webhooks = Array.from({ length: TENANT_WEBHOOKS_MAX }, (_, i): ValidatingWebhook => ({
      name: `w${i}.example.com`,
      clientConfig: { url: 'https://192.0.2.1' },
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    }))
    const create = (client: Client, name: string, some: ValidatingWebhook[]): Promise<unknown> =>
      client.create(validatingwebhookconfigurations, { metadata: { name }, webhooks: some })
    await create(userOf('acme'), 'many', webhooks)
    await assert.rejects(create(userOf('acme'), 'more', webhooks.slice(0, 1)), /there may be at most 256 webhooks/)
    await create(userOf('system'), 'many', webhooks)
    await create(userOf('system'), 'more', webhooks)
  })
})
