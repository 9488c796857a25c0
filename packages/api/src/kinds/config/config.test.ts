import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const configMap = kindCases('', 'ConfigMap')
const secret = kindCases('', 'Secret')

describe('a config map', () => {
  it('reports keys that are none or in both maps', () => {
    assert.deepEqual(configMap.errorsOf({ data: { 'a b': '', c: '' }, binaryData: { c: '' } }), [
      "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      'data[c]: Invalid value: "c": duplicate of key present in binaryData',
    ])
  })

  it('reports too much data', () => {
    const object = { data: { a: 'x'.repeat(1024 * 1024 + 1) } }
    assert.deepEqual(configMap.errorsOf(object), [': Too long: may not be more than 1048576 bytes'])
  })

  it('stays as it is once immutable', () => {
    const old = { immutable: true, data: { a: '1' } }
    assert.deepEqual(configMap.updateErrorsOf({ data: { a: '1' } }, old), [
      'immutable: Forbidden: field is immutable when `immutable` is set',
    ])
    assert.deepEqual(configMap.updateErrorsOf({ immutable: true, data: { a: '2' } }, old), [
      'data: Forbidden: field is immutable when `immutable` is set',
    ])
  })

  it('shows its row', () => {
    assert.deepEqual(configMap.rowOf({ data: { a: '' }, binaryData: { b: '' } }), { Name: 'x', Data: 2, Age: '60m' })
  })
})

describe('a secret', () => {
  it('gets a type', () => assert.equal(secret.defaulted({})['type'], 'Opaque'))

  const cases: [string, object, string[]][] = [
    [
      'no token owner',
      { type: 'kubernetes.io/service-account-token' },
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
    ['no key of a pair', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }, ['data[tls.key]: Required value']],
    ['no docker config', { type: 'kubernetes.io/dockerconfigjson' }, ['data[.dockerconfigjson]: Required value']],
    [
      'docker config that is not JSON',
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': btoa('{') } },
      ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid JSON'],
    ],
    [
      'neither user nor password',
      { type: 'kubernetes.io/basic-auth' },
      ['data[username]: Required value', 'data[password]: Required value'],
    ],
    ['no key for SSH', { type: 'kubernetes.io/ssh-auth' }, ['data[ssh-privatekey]: Required value']],
  ]
  for (const [title, object, expected] of cases) {
    it(`reports ${title}`, () => assert.deepEqual(secret.errorsOf(object), expected))
  }

  it('keeps its type', () => {
    assert.deepEqual(secret.updateErrorsOf({ type: 'a' }, { type: 'b' }), [
      'type: Invalid value: "a": field is immutable',
    ])
  })

  it('can be selected by type', () => {
    assert.deepEqual(secret.behavior.selectableFields!(secret.defaulted({})), { type: 'Opaque' })
  })

  it('shows its row', () => {
    assert.deepEqual(secret.rowOf({ data: { a: '' } }), { Name: 'x', Type: 'Opaque', Data: 1, Age: '60m' })
  })
})
