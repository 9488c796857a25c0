import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { StatusError } from '@centaurus/api'
import {
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  mutatingwebhookconfigurations,
  type MutatingAdmissionPolicySpec,
  type Mutation,
} from '@centaurus/api/admissionregistration/v1'
import { configmaps, pods } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import { startTenantServer } from '../../testing/tenant-server.ts'
import type { TestServer } from '../../testing/test-server.ts'
import { jsonPatch, startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts'

const RULES = [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps', 'pods'] }]
const apply = (expression: string): Mutation => ({
  patchType: 'ApplyConfiguration',
  applyConfiguration: { expression },
})
const patch = (expression: string): Mutation => ({ patchType: 'JSONPatch', jsonPatch: { expression } })

describe('mutating admission policies', () => {
  let test: TestServer
  let hook: WebhookServer
  let client: Client
  before(async () => {
    test = await startTenantServer({
      tenants: ['acme', 'globex'],
      admission: { tenantWebhookNetworks: ['127.0.0.0/8'] },
    })
    hook = await startWebhookServer(test.certificates)
    client = userOf('acme')
  })
  after(async () => {
    await test.close()
    await hook.close()
  })
  const userOf = (tenant: string): Client =>
    test.server.client({ name: 'dev', uid: '', groups: ['system:masters'], extra: {}, tenant })

  /** Puts policies, each with a binding, in force for as long as `run` takes; they are asked in the order of their names. */
  async function withPolicies(
    policies: Readonly<Record<string, Partial<MutatingAdmissionPolicySpec>>>,
    run: () => Promise<void>,
  ): Promise<void> {
    for (const [name, own] of Object.entries(policies)) {
      const spec = { matchConstraints: { resourceRules: RULES }, reinvocationPolicy: 'Never', ...own }
      await client.create(mutatingadmissionpolicies, { metadata: { name }, spec })
      await client.create(mutatingadmissionpolicybindings, { metadata: { name }, spec: { policyName: name } })
    }
    try {
      await run()
    } finally {
      for (const name of Object.keys(policies)) await client.delete(mutatingadmissionpolicies, { name })
      for (const name of Object.keys(policies)) await client.delete(mutatingadmissionpolicybindings, { name })
    }
  }

  let next = 0
  const map = (data: Record<string, string> = {}, by = client) =>
    by.create(configmaps, { metadata: { name: `m${++next}`, namespace: 'default' }, data })
  const refusal = async (data: Record<string, string> = {}): Promise<StatusError> =>
    map(data).then(
      () => assert.fail('it was not refused'),
      (error: StatusError) => error,
    )

  it('merge what they say into the object', async () => {
    const sidecar =
      'Object.spec.initContainers{name: "mesh", image: "mesh:" + variables.version, restartPolicy: "Always"}'
    const policy = {
      variables: [{ name: 'version', expression: '"1"' }],
      matchConditions: [
        { name: 'once', expression: '!object.spec.?initContainers.orValue([]).exists(c, c.name == "mesh")' },
      ],
      mutations: [apply(`Object{spec: Object.spec{initContainers: [${sidecar}]}}`)],
    }
    await withPolicies({ mesh: policy }, async () => {
      const containers = [{ name: 'c', image: 'i' }]
      const made = await client.create(pods, { metadata: { name: 'p', namespace: 'default' }, spec: { containers } })
      const [mesh] = made.spec!.initContainers!
      // defaults and the token come after, as to any container
      assert.deepEqual(
        [mesh!.image, mesh!.imagePullPolicy, mesh!.volumeMounts?.length, made.spec!.containers.length],
        ['mesh:1', 'IfNotPresent', 1, 1],
      )
      await userOf('globex').create(pods, { metadata: { name: 'p', namespace: 'default' }, spec: { containers } })
      const other = await userOf('globex').get(pods, { namespace: 'default', name: 'p' })
      assert.equal(other.spec!.initContainers, undefined)
    })
  })

  it('patch, in their order, and leave alone what a test of theirs does not hold for', async () => {
    const mutations = [
      patch('[JSONPatch{op: "add", path: "/metadata/annotations", value: {"a": "b"}}]'),
      patch('[JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("c/d"), value: "1"}]'),
      patch('[JSONPatch{op: "add", path: "/data/c", value: object.metadata.annotations["c/d"] + "2"}]'),
      patch('[JSONPatch{op: "test", path: "/data/c", value: "9"}, JSONPatch{op: "remove", path: "/data/c"}]'),
    ]
    await withPolicies({ p: { mutations } }, async () => {
      const { metadata, data } = await map({ x: 'y' })
      assert.deepEqual(
        [metadata.annotations, data],
        [
          { a: 'b', 'c/d': '1' },
          { x: 'y', c: '12' },
        ],
      )
    })
  })

  it('go before webhooks, and look again when they want to', async () => {
    const { caBundle, port } = hook
    hook.answer('/m', ({ object }) => {
      const { data } = object as { data: Record<string, string> }
      return jsonPatch({ op: 'add', path: '/data/seen', value: `${data['seen']}w` })
    })
    const webhook = {
      name: 'm.example.com',
      clientConfig: { url: `https://127.0.0.1:${port}/m`, caBundle },
      rules: RULES,
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    }
    await client.create(mutatingwebhookconfigurations, { metadata: { name: 'm' }, webhooks: [webhook] })
    const appending = (name: string): Mutation[] => [
      apply(`Object{data: {"seen": object.data.?seen.orValue("") + "${name}"}}`),
    ]
    const policies = {
      a: { mutations: appending('a') },
      b: { mutations: appending('b'), reinvocationPolicy: 'IfNeeded' },
    }
    await withPolicies(policies, async () => {
      assert.deepEqual((await map({})).data, { seen: 'abwb' })
    })
    await client.delete(mutatingwebhookconfigurations, { name: 'm' })
  })

  it('refuse what they fail on, unless they may be ignored', async () => {
    const failing = { mutations: [apply('Object{data: {"a": object.data.missing}}')] }
    await withPolicies({ p: failing }, async () => {
      const { code, message, details } = await refusal({ b: 'c' })
      const why = `expression '${failing.mutations[0]!.applyConfiguration!.expression}' resulted in error: no such key: missing`
      assert.deepEqual([code, message], [403, `policy 'p' with binding 'p' denied request: ${why}`])
      assert.deepEqual(details?.causes, [{ message }])
    })
    await withPolicies({ p: { ...failing, failurePolicy: 'Ignore' } }, async () => {
      assert.deepEqual((await map({ b: 'c' })).data, { b: 'c' })
    })
    await withPolicies({ p: { mutations: [apply('Object{data: Object.data{a: 1}}')] } }, async () => {
      assert.match((await refusal()).message, /error applying patch: .*\.data\.a: expected string/)
    })
    await withPolicies({ p: { mutations: [patch('[JSONPatch{op: "remove", path: "/nothing"}]')] } }, async () => {
      assert.match((await refusal()).message, /denied request: JSON Patch: /)
    })
  })

  it('are refused when their expressions make no sense', async () => {
    const create = (mutation: Mutation) =>
      client.create(mutatingadmissionpolicies, {
        metadata: { name: 'bad' },
        spec: { matchConstraints: { resourceRules: RULES }, reinvocationPolicy: 'Never', mutations: [mutation] },
      })
    await assert.rejects(
      create(apply('Object{spec: Object.status{}}')),
      /spec\.mutations\[0\]\.applyConfiguration\.expression: Invalid value: .*type mismatch: unexpected type name/,
    )
    await assert.rejects(
      create(patch('[JSONPatch{op: ]')),
      /jsonPatch\.expression: Invalid value: .*compilation failed/,
    )
  })
})
