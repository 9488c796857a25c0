import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import {
  mutatingwebhookconfigurations,
  validatingwebhookconfigurations,
  type MutatingWebhook,
} from '@centaurus/api/admissionregistration/v1'
import { deployments } from '@centaurus/api/apps/v1'
import { configmaps, pods } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import type { UserInfo } from '../../request/request-info.ts'
import { startTestServer, type TestServer } from '../../testing/test-server.ts'
import { jsonPatch, startWebhookServer, type WebhookAnswer, type WebhookServer } from '../../testing/webhook-server.ts'

const ALICE: UserInfo = { name: 'alice', uid: '7', groups: ['devs'], extra: { a: ['b'] }, tenant: 'system' }
const MAPS = '/api/v1/namespaces/default/configmaps'

type Rule = Partial<NonNullable<MutatingWebhook['rules']>[number]>

describe('webhooks', () => {
  let test: TestServer
  let hook: WebhookServer
  let alice: Client
  before(async () => {
    test = await startTestServer()
    hook = await startWebhookServer(test.certificates, { names: ['hook.default.svc'] })
    alice = test.server.client(ALICE)
  })
  after(async () => {
    await test.close()
    await hook.close()
  })

  /** A webhook for one ConfigMap by its label, so that tests do not see each other's. */
  function webhook(path: string, own: Partial<MutatingWebhook> & { readonly rule?: Rule } = {}): MutatingWebhook {
    const { rule, ...rest } = own
    return {
      name: `${path.replaceAll('/', '')}.example.com`,
      clientConfig: { url: `https://localhost:${hook.port}${path}`, caBundle: hook.caBundle },
      rules: [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], ...rule }],
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      ...rest,
    }
  }
  const onlyFor = (label: string) => ({ objectSelector: { matchLabels: { for: label } } })
  const map = (name: string, label: string, data: Record<string, string> = {}) => ({
    metadata: { name, namespace: 'default', labels: { for: label } },
    data,
  })
  const validate = (name: string, ...webhooks: MutatingWebhook[]) =>
    test.client.create(validatingwebhookconfigurations, { metadata: { name }, webhooks })
  const mutate = (name: string, ...webhooks: MutatingWebhook[]) =>
    test.client.create(mutatingwebhookconfigurations, { metadata: { name }, webhooks })

  it('tells a validating webhook everything about a create, an update and a delete', async () => {
    await validate('tell', webhook('/tell', onlyFor('tell')))
    await alice.create(configmaps, map('tell', 'tell', { a: '1' }), { fieldManager: 'm' })
    await alice.patch(configmaps, { namespace: 'default', name: 'tell' }, { type: 'merge', body: { data: { a: '2' } } })
    await alice.delete(configmaps, { namespace: 'default', name: 'tell' }, { propagationPolicy: 'Background' })
    const [created, updated, deleted] = hook.asked('/tell')
    const { uid, object, ...rest } = created!
    assert.match(uid, /^[0-9a-f-]{36}$/)
    assert.deepEqual(rest, {
      kind: { group: '', version: 'v1', kind: 'ConfigMap' },
      resource: { group: '', version: 'v1', resource: 'configmaps' },
      requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
      requestResource: { group: '', version: 'v1', resource: 'configmaps' },
      name: 'tell',
      namespace: 'default',
      operation: 'CREATE',
      userInfo: { username: 'alice', uid: '7', groups: ['devs'], extra: { a: ['b'] } },
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'm' },
    })
    assert.deepEqual([object!['kind'], object!['apiVersion'], object!['data']], ['ConfigMap', 'v1', { a: '1' }])
    const data = (some: Record<string, unknown> | undefined | null): unknown => some?.['data']
    assert.deepEqual(
      [updated!.operation, data(updated!.object), data(updated!.oldObject), updated!.options?.['kind']],
      ['UPDATE', { a: '2' }, { a: '1' }, 'UpdateOptions'],
    )
    assert.deepEqual([deleted!.operation, deleted!.object, data(deleted!.oldObject)], ['DELETE', null, { a: '2' }])
    assert.deepEqual(deleted!.options, {
      kind: 'DeleteOptions',
      apiVersion: 'meta.k8s.io/v1',
      propagationPolicy: 'Background',
    })
  })

  it('refuses with the webhook’s code, reason and message', async () => {
    await validate('refuse', webhook('/refuse', onlyFor('refuse')))
    const create = async () => {
      const response = await test.request('POST', MAPS, { body: map('refuse', 'refuse') })
      const { status, reason, message, code, details } = response.json<Record<string, unknown>>()
      return [response.status, { status, reason, message, code, details }]
    }
    const expected = (code: number, reason: string | undefined, why: string) => [
      code,
      {
        status: 'Failure',
        reason,
        message: `admission webhook "refuse.example.com" denied the request${why}`,
        code,
        details: undefined,
      },
    ]
    hook.answer('/refuse', () => ({ allowed: false, status: { code: 404, reason: 'NotFound', message: 'not here' } }))
    assert.deepEqual(await create(), expected(404, 'NotFound', ': not here'))
    hook.answer('/refuse', () => ({ allowed: false, status: { reason: 'Because' } }))
    assert.deepEqual(await create(), expected(400, 'Because', ': Because'))
    hook.answer('/refuse', () => ({ allowed: false }))
    assert.deepEqual(await create(), expected(400, undefined, ' without explanation'))
    // a webhook's 404 does not make an apply create what it may not change
    hook.answer('/refuse', ({ operation }) => ({ allowed: operation === 'CREATE', status: { code: 404 } }))
    await test.client.create(configmaps, map('kept', 'refuse', { a: '1' }))
    const apply = { apiVersion: 'v1', kind: 'ConfigMap', ...map('kept', 'refuse', { a: '2' }) }
    const name = { namespace: 'default', name: 'kept' }
    const applied = alice.patch(configmaps, name, { type: 'apply', body: apply }, { fieldManager: 'x', force: true })
    await assert.rejects(applied, /denied the request without explanation/)
    await assert.rejects(alice.delete(configmaps, name), /denied the request without explanation/)
    assert.deepEqual((await test.client.get(configmaps, name)).data, { a: '1' })
  })

  it('warns in the answer', async () => {
    await validate('warn', webhook('/warn', onlyFor('warn')))
    hook.answer('/warn', () => ({ allowed: true, warnings: ['mind "this"', 'and thät', 'and thät'] }))
    const { headers } = await test.request('POST', MAPS, { body: map('warn', 'warn') })
    const warning = Buffer.from(String(headers['warning']), 'latin1').toString('utf8')
    assert.equal(warning, String.raw`299 - "mind \"this\"", 299 - "and thät"`)
  })

  it('lets mutating webhooks change an object one after the other, and those that want it look again', async () => {
    const order: string[] = []
    const appending =
      (name: string, done = Infinity) =>
      ({ object }: { object?: Record<string, unknown> | undefined }): WebhookAnswer => {
        order.push(name)
        const { seen = '' } = (object!['data'] ?? {}) as Record<string, string>
        if (order.filter((entry) => entry === name).length > done) return { allowed: true }
        return jsonPatch({ op: 'add', path: '/data/seen', value: `${seen}${name}` })
      }
    hook.answer('/m1', appending('1'))
    hook.answer('/m2', appending('2'))
    hook.answer('/m3', appending('3'))
    await mutate('b', webhook('/m2', { ...onlyFor('mutate'), reinvocationPolicy: 'IfNeeded' }))
    await mutate('a', webhook('/m1', { ...onlyFor('mutate') }))
    await mutate('c', webhook('/m3', { ...onlyFor('mutate') }))
    const made = await alice.create(configmaps, map('mutate', 'mutate', { seen: '' }))
    assert.deepEqual([made.data, order], [{ seen: '1232' }, ['1', '2', '3', '2']])
  })

  it('keeps what only the server decides, and has what webhooks make defaulted and validated', async () => {
    const patches: object[] = []
    hook.answer('/server', ({ object, operation }) => {
      if (operation !== 'CREATE') return { allowed: true }
      const { uid, name, creationTimestamp } = object!['metadata'] as Record<string, unknown>
      assert.deepEqual([uid, name, creationTimestamp], [undefined, undefined, undefined])
      return jsonPatch(...patches)
    })
    const rule = { apiGroups: ['apps'], resources: ['deployments'] }
    await mutate('server', webhook('/server', { rule }))
    const labels = { app: 'a' }
    const deployment = {
      metadata: { generateName: 'gen-', namespace: 'default' },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [] } } },
    }
    patches.push(
      { op: 'add', path: '/spec/template/spec/containers', value: [{ name: 'c', image: 'i' }] },
      { op: 'add', path: '/metadata/uid', value: 'x' },
      { op: 'add', path: '/metadata/annotations', value: { a: 'b' } },
      { op: 'add', path: '/status', value: { replicas: 7 } },
      { op: 'add', path: '/spec/nonsense', value: 1 },
    )
    const made = await alice.create(deployments, deployment)
    assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/)
    assert.match(made.metadata.name, /^gen-[a-z0-9]{5}$/)
    assert.deepEqual(made.metadata.annotations, { a: 'b' })
    assert.equal(made.spec?.template.spec?.containers[0]?.imagePullPolicy, 'Always')
    assert.deepEqual([made.status, 'nonsense' in made.spec!], [{}, false])
    patches.push({ op: 'add', path: '/spec/replicas', value: -1 })
    await assert.rejects(alice.create(deployments, deployment), /spec\.replicas: Invalid value: -1/)
    patches.splice(0, patches.length, { op: 'add', path: '/metadata/namespace', value: 'other' })
    await assert.rejects(alice.create(deployments, deployment), /namespace of the provided object does not match/)
    patches.splice(0, patches.length, { op: 'remove', path: '/none/of/this' })
    await assert.rejects(alice.create(deployments, deployment), (error) => isStatus(error, 'InternalError'))
    await test.client.delete(mutatingwebhookconfigurations, { name: 'server' })
  })

  it('mutates Pods after the built-in steps, which look at the result again', async () => {
    const rule = { operations: ['CREATE'], resources: ['pods'] }
    await mutate('sidecar', webhook('/sidecar', { rule, ...onlyFor('sidecar') }))
    hook.answer('/sidecar', ({ object }) => {
      const spec = object!['spec'] as { containers: object[]; serviceAccountName: string }
      assert.equal(spec.serviceAccountName, 'default')
      return jsonPatch({ op: 'add', path: '/spec/containers/-', value: { name: 'proxy', image: 'p' } })
    })
    const made = await alice.create(pods, {
      metadata: { name: 'p', namespace: 'default', labels: { for: 'sidecar' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    })
    const mounts = made.spec!.containers.map(({ name, volumeMounts }) => [name, volumeMounts?.length])
    assert.deepEqual(mounts, [
      ['c', 1],
      ['proxy', 1],
    ])
    assert.equal(made.spec!.volumes?.length, 1)
    await alice.delete(pods, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 })
  })

  it('fails closed or open when there is no valid answer, as the webhook says', async () => {
    const url = `https://localhost:${hook.port}/broken?timeout=10s`
    await validate('broken', webhook('/broken', onlyFor('broken')))
    const refusal = async (): Promise<string> =>
      (await test.request('POST', MAPS, { body: map('broken', 'broken') })).json().message
    const prefix = 'Internal error occurred: failed calling webhook "broken.example.com": '
    hook.answer('/broken', () => 500)
    assert.equal(
      await refusal(),
      `${prefix}failed to call webhook: an error on the server ("broken") has prevented the request from succeeding`,
    )
    hook.answer('/broken', () => ({ uid: 'x', allowed: true }))
    assert.match(await refusal(), /received invalid webhook response: expected response\.uid="[0-9a-f-]+", got "x"/)
    hook.answer('/broken', () => jsonPatch({ op: 'add', path: '/data/a', value: 'b' }))
    assert.equal(
      await refusal(),
      `${prefix}received invalid webhook response: validating webhook may not return response.patch`,
    )
    await test.client.delete(validatingwebhookconfigurations, { name: 'broken' })
    const nowhere = { url: 'https://localhost:1/broken', caBundle: hook.caBundle }
    await validate('broken', webhook('/broken', { ...onlyFor('broken'), clientConfig: nowhere }))
    assert.equal(
      await refusal(),
      `${prefix}failed to call webhook: Post "https://localhost:1/broken?timeout=10s": dial tcp localhost:1: connect: connection refused`,
    )
    const unknown = { url: `https://localhost:${hook.port}/broken` }
    await test.client.patch(
      validatingwebhookconfigurations,
      { name: 'broken' },
      { type: 'json', body: [{ op: 'replace', path: '/webhooks/0/clientConfig', value: unknown }] },
    )
    assert.match(await refusal(), /x509: certificate signed by unknown authority/)
    assert.ok((await refusal()).startsWith(`${prefix}failed to call webhook: Post "${url}": `))
    await test.client.patch(
      validatingwebhookconfigurations,
      { name: 'broken' },
      { type: 'json', body: [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Ignore' }] },
    )
    assert.equal((await test.request('POST', MAPS, { body: map('broken', 'broken') })).status, 201)
    const { text } = await test.request('GET', '/metrics')
    assert.match(text, /apiserver_admission_webhook_fail_open_count\{type="validating"\} 1/)
    const labels = 'type="validating",operation="CREATE",rejected="true"'
    assert.match(text, new RegExp(`webhook_admission_duration_seconds_count\\{${labels}\\} [1-9]`))
  })

  it('does not wait longer than a webhook’s timeout', async () => {
    hook.answer('/slow', () => 'silence')
    await validate('slow', webhook('/slow', { ...onlyFor('slow'), timeoutSeconds: 1 }))
    const response = await test.request('POST', MAPS, { body: map('slow', 'slow') })
    assert.deepEqual(
      [response.status, response.json().message],
      [
        500,
        `Internal error occurred: failed calling webhook "slow.example.com": failed to call webhook: Post "https://localhost:${hook.port}/slow?timeout=1s": context deadline exceeded`,
      ],
    )
  })

  it('tells of a dry run', async () => {
    await validate('dry', webhook('/dry', onlyFor('dry')))
    const response = await test.request('POST', `${MAPS}?dryRun=All&fieldValidation=Strict`, {
      body: map('dry', 'dry'),
    })
    assert.equal(response.status, 201)
    const { dryRun, options } = hook.asked('/dry')[0]!
    assert.deepEqual(
      [dryRun, options],
      [true, { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', dryRun: ['All'], fieldValidation: 'Strict' }],
    )
  })

  it('asks only whom the conditions let it ask, and refuses what they can’t judge', async () => {
    const matchConditions = [
      { name: 'not-skipped', expression: '!has(object.data.skip)' },
      { name: 'asks-nobody-else', expression: 'request.userInfo.username != "bob" && object.data.must == "be"' },
    ]
    await validate('when', webhook('/when', { ...onlyFor('when'), matchConditions }))
    await alice.create(configmaps, map('when', 'when', { skip: '', must: 'be' }))
    await alice.create(configmaps, map('other', 'when', { must: 'not be' }))
    assert.equal(hook.asked('/when').length, 0)
    await alice.create(configmaps, map('third', 'when', { must: 'be' }))
    assert.equal(hook.asked('/when').length, 1)
    await assert.rejects(alice.create(configmaps, map('when', 'when')), (error) => {
      assert.ok(isStatus(error, 'Forbidden'))
      assert.match(
        error.message,
        /^configmaps "when" is forbidden: expression '.*' resulted in error: no such key: must$/,
      )
      return true
    })
    const bad = webhook('/when', { matchConditions: [{ name: 'x', expression: 'object.x +' }] })
    await assert.rejects(validate('bad', bad), /matchConditions\[0\]\.expression: Invalid value.*compilation failed/)
  })

  it('shows equivalent versions in the one that a webhook knows, unless it wants exact matches', async () => {
    const rule = { apiGroups: ['autoscaling'], apiVersions: ['v1'], resources: ['horizontalpodautoscalers'] }
    hook.answer('/scaler', ({ object }) => {
      const { targetCPUUtilizationPercentage } = object!['spec'] as { targetCPUUtilizationPercentage: number }
      return jsonPatch({ op: 'add', path: '/spec/maxReplicas', value: targetCPUUtilizationPercentage })
    })
    await mutate('scaler', webhook('/scaler', { rule }), webhook('/exact', { rule, matchPolicy: 'Exact' }))
    const resource = {
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 42 } },
    }
    const body = {
      metadata: { name: 'h' },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' },
        maxReplicas: 3,
        metrics: [resource],
      },
    }
    const path = '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers'
    const made = (await test.request('POST', path, { body })).json()
    assert.deepEqual([made.spec['maxReplicas'], made.spec['metrics']], [42, [resource]])
    const [asked] = hook.asked('/scaler')
    assert.deepEqual(
      [asked!.kind, asked!.resource, asked!.requestKind, asked!.requestResource],
      [
        { group: 'autoscaling', version: 'v1', kind: 'HorizontalPodAutoscaler' },
        { group: 'autoscaling', version: 'v1', resource: 'horizontalpodautoscalers' },
        { group: 'autoscaling', version: 'v2', kind: 'HorizontalPodAutoscaler' },
        { group: 'autoscaling', version: 'v2', resource: 'horizontalpodautoscalers' },
      ],
    )
    assert.equal(hook.asked('/exact').length, 0)
  })

  it('asks about subresources as what they are', async () => {
    const rule = { resources: ['pods/*', 'deployments/scale'], apiGroups: ['*'] }
    await validate('sub', webhook('/sub', { rule }))
    const pod = { metadata: { name: 's', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    await alice.create(pods, pod)
    const name = { namespace: 'default', name: 's' }
    await alice.createSubresource(pods, name, 'binding', { metadata: { name: 's' }, target: { name: 'n' } })
    await alice.createSubresource(pods, name, 'eviction', { metadata: { name: 's' } })
    const labels = { app: 'a' }
    await alice.create(deployments, {
      metadata: { name: 'd', namespace: 'default' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    })
    const scale = { type: 'merge', body: { spec: { replicas: 3 } } } as const
    await alice.patch(deployments, { namespace: 'default', name: 'd' }, scale, { subresource: 'scale' })
    const seen = hook.asked('/sub').map(({ operation, kind, subResource, name: of, object }) => {
      const { spec } = object as { spec?: { replicas?: number } }
      return [operation, kind.group, kind.kind, subResource, of, spec?.replicas]
    })
    assert.deepEqual(seen, [
      ['CREATE', '', 'Pod', undefined, 's', undefined],
      ['CREATE', '', 'Binding', 'binding', 's', undefined],
      ['CREATE', 'policy', 'Eviction', 'eviction', 's', undefined],
      ['UPDATE', 'autoscaling', 'Scale', 'scale', 'd', 3],
    ])
    await test.client.delete(validatingwebhookconfigurations, { name: 'sub' })
  })

  it('never keeps people from mending webhooks', async () => {
    const rule = { apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }
    hook.answer('/everything', () => ({ allowed: false }))
    await alice.create(validatingwebhookconfigurations, {
      metadata: { name: 'everything' },
      webhooks: [webhook('/everything', { rule })],
    })
    await assert.rejects(alice.create(configmaps, map('x', 'x')), /denied the request/)
    await alice.delete(validatingwebhookconfigurations, { name: 'everything' })
    await alice.create(configmaps, map('x', 'x'))
  })

  it('keeps connections', async () => {
    await validate('keep', webhook('/keep', onlyFor('keep')))
    await alice.create(configmaps, map('keep-0', 'keep'))
    const before = hook.connections
    for (let i = 1; i <= 20; i++) await alice.create(configmaps, map(`keep-${i}`, 'keep'))
    assert.equal(hook.connections, before)
  })
})
