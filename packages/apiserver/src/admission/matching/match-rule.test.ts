import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { matchesRule, type RuleSubject } from './match-rule.ts'

const RULE = { operations: ['CREATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }
const SUBJECT: RuleSubject = {
  operation: 'CREATE',
  resource: { group: 'apps', version: 'v1', resource: 'deployments' },
  subresource: '',
  namespace: 'a',
}

describe('matchesRule', () => {
  const cases: [string, object, Partial<RuleSubject>, boolean][] = [
    ['what it names', {}, {}, true],
    ['another operation', {}, { operation: 'UPDATE' }, false],
    ['any operation', { operations: ['*'] }, { operation: 'CONNECT' }, true],
    ['another group', { apiGroups: ['', 'batch'] }, {}, false],
    ['any group', { apiGroups: ['*'] }, {}, true],
    ['another version', { apiVersions: ['v1beta1'] }, {}, false],
    ['a subresource that it does not name', {}, { subresource: 'scale' }, false],
    ['a subresource that it names', { resources: ['deployments/scale'] }, { subresource: 'scale' }, true],
    ['the object where it names a subresource', { resources: ['deployments/scale'] }, {}, false],
    ['all resources, without subresources', { resources: ['*'] }, { subresource: 'scale' }, false],
    ['all resources', { resources: ['*'] }, {}, true],
    ['one subresource of all', { resources: ['*/scale'] }, { subresource: 'scale' }, true],
    // upstream takes the object itself for a subresource here
    ['the object and all of its subresources', { resources: ['deployments/*'] }, {}, true],
    ['everything', { resources: ['*/*'] }, { subresource: 'status' }, true],
    ['namespaced ones in a namespace', { scope: 'Namespaced' }, {}, true],
    ['namespaced ones outside', { scope: 'Namespaced' }, { namespace: '' }, false],
    ['cluster-wide ones in a namespace', { scope: 'Cluster' }, {}, false],
    ['cluster-wide ones outside', { scope: 'Cluster' }, { namespace: '' }, true],
    ['nothing without resources', { resources: undefined }, {}, false],
  ]
  for (const [title, rule, subject, expected] of cases) {
    it(`${expected ? 'speaks of' : 'is silent on'} ${title}`, () => {
      assert.equal(matchesRule({ ...RULE, ...rule }, { ...SUBJECT, ...subject }), expected)
    })
  }

  it('counts a Namespace as cluster-wide, though its requests carry its name', () => {
    const subject = { ...SUBJECT, resource: { group: '', version: 'v1', resource: 'namespaces' } }
    const rule = { ...RULE, apiGroups: [''], resources: ['namespaces'] }
    const scopes = ['*', 'Cluster', 'Namespaced'].map((scope) => matchesRule({ ...rule, scope }, subject))
    assert.deepEqual(scopes, [true, true, false])
  })
})
