import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { outranks, sharedPriority } from './shared-priority.ts'

const grants: Readonly<Record<string, number>> = { gold: 1_000 }
const maxPriorityOf = (tenant: string): number => grants[tenant] ?? 0
const pod = (tenant: string, priority: number) => ({ tenant, priority })

describe('priorities between tenants', () => {
  it('count as far as operators granted', () => {
    assert.equal(sharedPriority(pod('acme', 1_000_000_000), maxPriorityOf), 0)
    assert.equal(sharedPriority(pod('acme', -5), maxPriorityOf), 0)
    assert.equal(sharedPriority(pod('gold', 1_000_000_000), maxPriorityOf), 1_000)
    assert.equal(sharedPriority(pod('gold', 7), maxPriorityOf), 7)
    assert.equal(sharedPriority(pod('system', 5_000), maxPriorityOf), 5_000)
    assert.equal(sharedPriority(pod('system', -5), maxPriorityOf), -5)
    assert.equal(sharedPriority(pod('acme', 2_000_000_000), maxPriorityOf), 2_000_000_000, 'its quota granted it')
  })

  it('let nobody take room by a class of its own', () => {
    const can = (a: ReturnType<typeof pod>, b: ReturnType<typeof pod>): boolean => outranks(a, b, maxPriorityOf)
    assert.equal(can(pod('acme', 1_000_000_000), pod('beta', 0)), false)
    assert.equal(can(pod('acme', 1_000_000_000), pod('beta', -1_000)), false)
    assert.equal(can(pod('acme', 2), pod('acme', 1)), true)
    assert.equal(can(pod('acme', 1), pod('acme', 2)), false)
    assert.equal(can(pod('gold', 1), pod('acme', 1_000_000_000)), true)
    assert.equal(can(pod('gold', 5_000), pod('system', 1_000)), false)
    assert.equal(can(pod('system', 1), pod('acme', 1_000_000_000)), true)
    assert.equal(can(pod('acme', 1), pod('system', -1)), true)
  })
})
