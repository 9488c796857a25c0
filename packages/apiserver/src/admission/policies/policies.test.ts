import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, type StatusError } from '@centaurus/api'
import {
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  type ValidatingAdmissionPolicyBindingSpec,
  type ValidatingAdmissionPolicySpec,
} from '@centaurus/api/admissionregistration/v1'
import { deployments, type Deployment } from '@centaurus/api/apps/v1'
import { configmaps, namespaces } from '@centaurus/api/core/v1'
import { clusterrolebindings, clusterroles } from '@centaurus/api/rbac/v1'
import type { Client } from '@centaurus/client'
import { adminOf, startTenantServer } from '../../testing/tenant-server.ts'
import type { TestServer } from '../../testing/test-server.ts'

const RULES = [{ operations: ['*'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }]

describe('admission policies', () => {
  let test: TestServer
  let client: Client
  before(async () => {
    test = await startTenantServer({ tenants: ['acme', 'globex'] })
    client = userOf('acme')
  })
  after(() => test.close())

  const userOf = (tenant: string): Client =>
    test.server.client({ name: 'dev', uid: '', groups: ['system:masters'], extra: {}, tenant })

  /** Puts a policy and one binding in force for as long as `run` takes. */
  async function withPolicy(
    spec: Partial<ValidatingAdmissionPolicySpec>,
    binding: Partial<ValidatingAdmissionPolicyBindingSpec>,
    run: () => Promise<void>,
  ): Promise<void> {
    const matchConstraints = { resourceRules: RULES }
    await client.create(validatingadmissionpolicies, { metadata: { name: 'p' }, spec: { matchConstraints, ...spec } })
    await client.create(validatingadmissionpolicybindings, {
      metadata: { name: 'b' },
      spec: { policyName: 'p', validationActions: ['Deny'], ...binding },
    })
    try {
      await run()
    } finally {
      await client.delete(validatingadmissionpolicybindings, { name: 'b' })
      await client.delete(validatingadmissionpolicies, { name: 'p' })
    }
  }

  let next = 0
  const deployment = (replicas: number, metadata: object = {}): Deployment => ({
    metadata: { name: `d${++next}`, namespace: 'default', ...metadata },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'a' } },
      template: { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    },
  })
  const refusal = async (object: Deployment, by = client): Promise<StatusError> => {
    const error: unknown = await by.create(deployments, object, { dryRun: true }).then(
      () => assert.fail('it was not refused'),
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof Error && 'toStatus' in error, String(error))
    return error as StatusError
  }
  const PREFIX = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "

  it('refuse what an expression does not hold for', async () => {
    await withPolicy({ validations: [{ expression: 'object.spec.replicas <= 5' }] }, {}, async () => {
      await client.create(deployments, deployment(5))
      const error = await refusal(deployment(6, { name: 'six' }))
      const message = `${PREFIX}failed expression: object.spec.replicas <= 5`
      assert.deepEqual(error.toStatus(), {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `deployments.apps "six" is forbidden: ${message}`,
        reason: 'Invalid',
        code: 422,
        details: { name: 'six', group: 'apps', kind: 'deployments', causes: [{ message }] },
      })
    })
  })

  it('word refusals, with variables, and give them a reason', async () => {
    const spec = {
      variables: [
        { name: 'limit', expression: 'namespaceObject.metadata.name == "default" ? 5 : 50' },
        { name: 'over', expression: 'object.spec.replicas - variables.limit' },
      ],
      validations: [
        {
          expression: 'variables.over <= 0',
          message: 'too many',
          messageExpression: '"over by " + string(variables.over) + " in " + request.namespace',
          reason: 'Forbidden',
        },
      ],
    }
    await withPolicy(spec, {}, async () => {
      const error = await refusal(deployment(7))
      assert.ok(isStatus(error, 'Forbidden'))
      assert.ok(error.message.endsWith(`${PREFIX}over by 2 in default`), error.message)
    })
    const silent = [{ ...spec.validations[0]!, messageExpression: 'object.spec.nothing' }]
    await withPolicy({ ...spec, validations: silent }, {}, async () => {
      assert.ok((await refusal(deployment(7))).message.endsWith(`${PREFIX}too many`))
    })
  })

  it('are held against each parameter that a binding selects', async () => {
    const map = (name: string, limit: string, labels: Record<string, string>) =>
      client.create(configmaps, { metadata: { name, namespace: 'default', labels }, data: { limit } })
    await Promise.all([map('strict', '2', { use: 'yes' }), map('lax', '9', { use: 'yes' }), map('none', '0', {})])
    const spec = {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      validations: [
        { expression: 'object.spec.replicas <= int(params.data.limit)', messageExpression: 'params.metadata.name' },
      ],
    }
    const byName = (name: string, parameterNotFoundAction = 'Deny') => ({ paramRef: { name, parameterNotFoundAction } })
    await withPolicy(spec, byName('lax'), async () => {
      await client.create(deployments, deployment(9), { dryRun: true })
    })
    const selector = { matchLabels: { use: 'yes' } }
    await withPolicy(spec, { paramRef: { selector, parameterNotFoundAction: 'Deny' } }, async () => {
      assert.ok((await refusal(deployment(3))).message.endsWith(`${PREFIX}strict`))
    })
    await withPolicy(spec, byName('missing'), async () => {
      const why = 'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction'
      assert.ok((await refusal(deployment(1))).message.endsWith(PREFIX + why))
    })
    await withPolicy(spec, byName('missing', 'Allow'), async () => {
      await client.create(deployments, deployment(99), { dryRun: true })
    })
    const unknown = { ...spec, paramKind: { apiVersion: 'example.com/v1', kind: 'Limit' } }
    await withPolicy(unknown, byName('x'), async () => {
      const why = "failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"
      const text = `ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: ${why}`
      assert.ok((await refusal(deployment(1))).message.endsWith(text))
    })
  })

  it('warn, or do nothing, where a binding does not deny', async () => {
    const spec = { validations: [{ expression: 'false', message: 'never' }] }
    const admin = await test.as(adminOf('acme'))
    const path = '/apis/apps/v1/namespaces/default/deployments?dryRun=All'
    await withPolicy(spec, { validationActions: ['Warn', 'Audit'] }, async () => {
      const { status, headers } = await admin('POST', path, { body: deployment(1) })
      const text = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': never"
      assert.deepEqual([status, headers['warning']], [201, `299 - "${text}"`])
    })
    await withPolicy(spec, { validationActions: ['Audit'] }, async () => {
      const { status, headers } = await admin('POST', path, { body: deployment(1) })
      assert.deepEqual([status, headers['warning']], [201, undefined])
    })
  })

  it('leave alone what neither they nor their binding match', async () => {
    const never = { validations: [{ expression: 'false' }] }
    const denied = async (spec: object, binding: object = {}): Promise<boolean> => {
      let isDenied = false
      await withPolicy({ ...never, ...spec }, binding, async () => {
        isDenied = await client.create(deployments, deployment(1, { labels: { a: 'b' } }), { dryRun: true }).then(
          () => false,
          () => true,
        )
      })
      return isDenied
    }
    const constraints = (own: object) => ({ matchConstraints: { resourceRules: RULES, ...own } })
    assert.equal(await denied(constraints({ objectSelector: { matchLabels: { a: 'b' } } })), true)
    assert.equal(await denied(constraints({ objectSelector: { matchLabels: { a: 'c' } } })), false)
    assert.equal(await denied(constraints({ namespaceSelector: { matchLabels: { a: 'c' } } })), false)
    assert.equal(await denied(constraints({ excludeResourceRules: RULES })), false)
    const named = (names: string[]) => constraints({ resourceRules: [{ ...RULES[0], resourceNames: names }] })
    assert.equal(await denied(named([`d${next + 1}`])), true)
    assert.equal(await denied(named(['other'])), false)
    assert.equal(await denied({}, { matchResources: { namespaceSelector: { matchLabels: { a: 'c' } } } }), false)
    const byConditions = (expression: string) => ({ matchConditions: [{ name: 'c', expression }] })
    assert.equal(await denied(byConditions('object.metadata.labels.a == "b"')), true)
    assert.equal(await denied(byConditions('request.operation == "DELETE"')), false)
    assert.equal(await denied(byConditions('object.nothing')), true)
    assert.equal(await denied({ ...byConditions('object.nothing'), failurePolicy: 'Ignore' }), false)
    assert.equal(await denied({ validations: [{ expression: 'object.nothing' }], failurePolicy: 'Ignore' }), false)
  })

  it('see old objects, and ask who may do what', async () => {
    await client.create(deployments, deployment(1, { name: 'old' }))
    const expression = 'oldObject == null || object.spec.replicas >= oldObject.spec.replicas'
    const name = { namespace: 'default', name: 'old' }
    const scale = (replicas: number) => client.patch(deployments, name, { type: 'merge', body: { spec: { replicas } } })
    await withPolicy({ validations: [{ expression }] }, {}, async () => {
      await scale(3)
      await assert.rejects(scale(2), /failed expression/)
    })
    await client.create(clusterroles, {
      metadata: { name: 'scalers' },
      rules: [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['shrink'], resourceNames: ['old'] }],
    })
    await client.create(clusterrolebindings, {
      metadata: { name: 'scalers' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'scalers' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'scaler' }],
    })
    const may = "authorizer.requestResource.check('shrink').allowed()"
    await withPolicy({ validations: [{ expression: `${expression} || ${may}` }] }, {}, async () => {
      const as = (user: string): Client =>
        test.server.client({ name: user, uid: '', groups: [], extra: {}, tenant: 'acme' })
      const body = { spec: { replicas: 1 } }
      await assert.rejects(as('other').patch(deployments, name, { type: 'merge', body }), /denied request/)
      await as('scaler').patch(deployments, name, { type: 'merge', body })
    })
  })

  it('are of their tenant alone, and can always be mended', async () => {
    const everything = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }]
    const spec = { matchConstraints: { resourceRules: everything }, validations: [{ expression: 'false' }] }
    await withPolicy(spec, {}, async () => {
      await assert.rejects(client.create(namespaces, { metadata: { name: 'n' } }), /denied request/)
      await userOf('globex').create(namespaces, { metadata: { name: 'n' } })
      await userOf('system').create(deployments, deployment(1))
    })
  })

  it('are refused when their expressions make no sense, or who makes them may not read their parameters', async () => {
    const create = (spec: ValidatingAdmissionPolicySpec, by = client) =>
      by.create(validatingadmissionpolicies, { metadata: { name: 'bad' }, spec: { ...spec } })
    const constraints = { matchConstraints: { resourceRules: RULES } }
    await assert.rejects(create({ ...constraints, validations: [{ expression: 'object.x ==' }] }), (error) => {
      assert.match(
        (error as Error).message,
        /spec\.validations\[0\]\.expression: Invalid value: "object\.x ==": compilation/,
      )
      return isStatus(error, 'Invalid')
    })
    await assert.rejects(
      create({ ...constraints, validations: [{ expression: '1 + 1' }] }),
      /must evaluate to bool but got int/,
    )
    await assert.rejects(
      create({ ...constraints, validations: [{ expression: 'params.x' }] }),
      /Unknown variable: params/,
    )
    const nobody = test.server.client({ name: 'nobody', uid: '', groups: [], extra: {}, tenant: 'acme' })
    const secrets = {
      ...constraints,
      paramKind: { apiVersion: 'v1', kind: 'Secret' },
      validations: [{ expression: 'false', messageExpression: 'string(params.data)' }],
    }
    await assert.rejects(create(secrets, nobody), /spec\.paramKind: Forbidden: user nobody must have "get" permission/)
  })
})
