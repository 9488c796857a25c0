import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const GROUP = 'admissionregistration.k8s.io'

describe('a webhook configuration', () => {
  const { defaulted, errorsOf, rowOf } = kindCases(GROUP, 'MutatingWebhookConfiguration')
  const webhook = {
    name: 'a.b.c',
    clientConfig: { service: { name: 's', namespace: 'n' } },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], operations: ['CREATE'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  }

  it('gets defaults', () => {
    assert.deepEqual(defaulted({ webhooks: [webhook] })['webhooks'], [
      {
        ...webhook,
        clientConfig: { service: { name: 's', namespace: 'n', port: 443 } },
        rules: [{ ...webhook.rules[0], scope: '*' }],
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        namespaceSelector: {},
        objectSelector: {},
        timeoutSeconds: 10,
        reinvocationPolicy: 'Never',
      },
    ])
  })

  const cases: [string, object, string[]][] = [
    ['nothing when it is right', {}, []],
    [
      'a short name',
      { name: 'a.b' },
      ['webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots'],
    ],
    [
      'no side effects',
      { sideEffects: undefined },
      ['webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun'],
    ],
    [
      'no one to ask',
      { clientConfig: {} },
      ['webhooks[0].clientConfig: Required value: exactly one of url or service is required'],
    ],
    [
      'a URL that is not safe',
      { clientConfig: { url: 'http://a/b?c' } },
      [
        'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme; desired format: https://host[/path]',
        'webhooks[0].clientConfig.url: Invalid value: "c": query parameters are not permitted in the URL',
      ],
    ],
    [
      'a timeout that is too long',
      { timeoutSeconds: 31 },
      ['webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds'],
    ],
    [
      'versions that nobody speaks',
      { admissionReviewVersions: ['v2'] },
      ['webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1'],
    ],
    [
      'more than everything',
      { rules: [{ ...webhook.rules[0], resources: ['*', 'pods'] }] },
      [
        'webhooks[0].rules[0].resources: Invalid value: ["*","pods"]: if \'*\' is present, must not specify other resources without subresources',
      ],
    ],
  ]
  for (const [title, own, expected] of cases) {
    it(`reports ${title}`, () => assert.deepEqual(errorsOf({ webhooks: [{ ...webhook, ...own }] }), expected))
  }

  it('shows its row', () => assert.deepEqual(rowOf({ webhooks: [webhook] }), { Name: 'x', Webhooks: 1, Age: '60m' }))
})

describe('an admission policy', () => {
  const { errorsOf, rowOf } = kindCases(GROUP, 'ValidatingAdmissionPolicy')

  it('reports what is missing', () => {
    assert.deepEqual(errorsOf({ spec: { matchConstraints: {} } }), [
      'spec.matchConstraints.resourceRules: Required value',
      'spec.validations: Required value: validations or auditAnnotations must contain at least one item',
      'spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item',
    ])
  })

  it('shows its row', () => {
    const spec = { validations: [{ expression: 'true' }], paramKind: { apiVersion: 'a/v1', kind: 'K' } }
    assert.deepEqual(rowOf({ spec }), { Name: 'x', Validations: 1, ParamKind: 'a/v1/K', Age: '60m' })
  })
})

describe('a binding of an admission policy', () => {
  const { errorsOf, rowOf } = kindCases(GROUP, 'ValidatingAdmissionPolicyBinding')

  it('reports actions that exclude each other', () => {
    const [error] = errorsOf({ spec: { policyName: 'p', validationActions: ['Deny', 'Warn'] } })
    assert.match(
      error!,
      /^spec\.validationActions: Invalid value: \["Deny","Warn"\]: must not contain both Deny and Warn/,
    )
  })

  it('shows its row', () => {
    const spec = { policyName: 'p', paramRef: { name: 'a' } }
    assert.deepEqual(rowOf({ spec }), { Name: 'x', PolicyName: 'p', ParamRef: '*/a', Age: '60m' })
  })
})

describe('flow control', () => {
  const schema = kindCases('flowcontrol.apiserver.k8s.io', 'FlowSchema')
  const level = kindCases('flowcontrol.apiserver.k8s.io', 'PriorityLevelConfiguration')
  const limited = { limitResponse: { type: 'Queue', queuing: {} } }

  it('gets defaults', () => {
    assert.deepEqual(level.defaulted({ spec: { type: 'Limited', limited } })['spec'], {
      type: 'Limited',
      limited: {
        limitResponse: { type: 'Queue', queuing: { handSize: 8, queues: 64, queueLengthLimit: 50 } },
        nominalConcurrencyShares: 30,
        lendablePercent: 0,
      },
    })
  })

  it('reports a schema without a level, and a level without a limit', () => {
    assert.deepEqual(schema.errorsOf({ spec: {} }), [
      'spec.priorityLevelConfiguration.name: Required value: must reference a priority level',
    ])
    assert.deepEqual(level.errorsOf({ spec: { type: 'Limited' } }), [
      'spec.limited: Required value: must not be empty when type is Limited',
    ])
  })

  it('shows rows', () => {
    assert.deepEqual(schema.rowOf({ spec: { priorityLevelConfiguration: { name: 'p' } } }), {
      Name: 'x',
      PriorityLevel: 'p',
      MatchingPrecedence: 1000,
      DistinguisherMethod: '<none>',
      Age: '60m',
      MissingPL: '?',
    })
    assert.equal(level.rowOf({ spec: { type: 'Limited', limited } })['Queues'], 64)
  })
})

describe('an API service', () => {
  const { errorsOf, rowOf } = kindCases('apiregistration.k8s.io', 'APIService')
  const metadata = { name: 'v1.a.b' }
  const spec = { group: 'a.b', version: 'v1', groupPriorityMinimum: 100, versionPriority: 10 }

  it('must have the name of its version', () => {
    assert.deepEqual(errorsOf({ spec }), [
      'metadata.name: Invalid value: "x": must be `spec.version+"."+spec.group`: "v1.a.b"',
    ])
    assert.deepEqual(errorsOf({ metadata, spec }), [])
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ metadata, spec, status: { conditions: [{ type: 'Available', status: 'True' }] } }), {
      Name: 'v1.a.b',
      Service: 'Local',
      Available: 'True',
      Age: '60m',
    })
  })
})

// Recorded from the kube-apiserver of v1.37.2.
describe('tables of CustomResourceDefinitions', () => {
  it('show scope and versions, and more in wide columns', () => {
    const { behavior } = kindCases('apiextensions.k8s.io', 'CustomResourceDefinition')
    const versions = [
      { name: 'v1', served: true, storage: true },
      { name: 'v0', served: false },
      { name: 'v2', served: true },
    ]
    const spec = {
      group: 'g',
      scope: 'Namespaced',
      names: { plural: 'xs', kind: 'X', shortNames: ['x', 'y'] },
      versions,
    }
    const status = { conditions: [{ type: 'Established', status: 'True' }] }
    const object = { metadata: { name: 'xs.g', creationTimestamp: '2026-01-01T00:00:00Z' }, spec, status }
    assert.deepEqual(
      behavior.columns!.map(({ name, priority }) => `${name} ${priority}`),
      ['Name 0', 'Scope 0', 'Versions 0', 'Created At 0', 'Group 1', 'Kind 1', 'ShortNames 1', 'Established 1'],
    )
    assert.deepEqual(behavior.row!(object, 0), [
      'xs.g',
      'Namespaced',
      'v1(storage),v2',
      '2026-01-01T00:00:00Z',
      'g',
      'X',
      'x,y',
      true,
    ])
  })
})
