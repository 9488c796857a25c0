import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { AppliedPolicies } from './policy-reporter.ts'
import { reportTenant } from './report-tenant.ts'

it('a host reports the newest policies of tenants whose pods it has, and no others', () => {
  const told: (AppliedPolicies | string)[] = []
  const reporter = {
    reportApplied: (each: AppliedPolicies) => told.push(each),
    forget: (tenant: string) => told.push(tenant),
  }
  const view = { newestPolicyOf: (_: string, kind: string) => (kind === 'networkPolicies' ? '100' : undefined) }
  reportTenant(reporter, view, { tenant: 'acme', hasPods: true, effectiveAfterMs: 4 })
  reportTenant(reporter, view, { tenant: 'beta', hasPods: false, effectiveAfterMs: 4 })
  assert.deepEqual(told, [{ tenant: 'acme', kind: 'networkPolicies', revision: '100', afterMs: 4 }, 'beta'])
})
