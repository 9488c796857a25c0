import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { TenantObjects } from '../daemon/cluster-view.ts'
import type { AppliedPolicies } from './policy-reporter.ts'
import { reportTenant } from './report-tenant.ts'

function policy(name: string, resourceVersion: string) {
  return { metadata: { name, namespace: 'web--acme', uid: name, resourceVersion, creationTimestamp: '' } }
}

it('a host reports the newest policies of tenants whose pods it has, and no others', () => {
  const told: (AppliedPolicies | string)[] = []
  const reporter = {
    reportApplied: (each: AppliedPolicies) => told.push(each),
    forget: (tenant: string) => told.push(tenant),
  }
  const networkPolicies = [policy('a', '99'), policy('b', '100'), policy('c', '7')]
  const objects: TenantObjects = {
    vpcs: [],
    namespaces: [],
    networkPolicies,
    clusterNetworkPolicies: [],
    identities: [],
  }
  const view = { objectsOf: () => objects }
  reportTenant(reporter, view, { tenant: 'acme', hasPods: true, effectiveAfterMs: 4 })
  reportTenant(reporter, view, { tenant: 'beta', hasPods: false, effectiveAfterMs: 4 })
  assert.deepEqual(told, [{ tenant: 'acme', kind: 'networkPolicies', revision: '100', afterMs: 4 }, 'beta'])
})
