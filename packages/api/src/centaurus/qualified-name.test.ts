import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { qualifyName, refuseTenantName, splitQualifiedName } from './qualified-name.ts'

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
const tenant = fc
  .stringMatching(/^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/)
  .filter((name) => refuseTenantName(name) === undefined)

describe('qualified names', () => {
  it('leave the system tenant alone and name every other', () => {
    assert.equal(qualifyName('default', 'system'), 'default')
    assert.equal(qualifyName('default', 'acme'), 'default--acme')
    assert.equal(qualifyName('', 'acme'), '')
    assert.equal(qualifyName('a--acme', 'system'), 'a--acme--system')
  })

  it('come apart again unless they were shortened, and stay DNS labels', () => {
    fc.assert(
      fc.property(label, fc.oneof(tenant, fc.constant('system')), (name, owner) => {
        const qualified = qualifyName(name, owner)
        assert.match(qualified, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
        const split = splitQualifiedName(qualified)
        if (split !== undefined) assert.deepEqual(split, { name, tenant: owner })
        else assert.ok(`${name}--${owner}`.length > 63)
      }),
    )
  })

  it('are different for different owners', () => {
    fc.assert(
      fc.property(label, tenant, label, tenant, (a, s, b, t) => {
        if (a !== b || s !== t) assert.notEqual(qualifyName(a, s), qualifyName(b, t))
      }),
    )
  })

  it('refuse names that tenants may not have', () => {
    for (const name of ['', 'A', '-a', 'a-', 'a--b', '1a', 'h-0123456789abc', 'system', 'all', 'a'.repeat(41), 'a.b'])
      assert.notEqual(refuseTenantName(name), undefined, name)
    for (const name of ['a', 'acme', 'a-b', 'a'.repeat(40), 'h-1'])
      assert.equal(refuseTenantName(name), undefined, name)
  })
})
