import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TENANT_ANNOTATION } from '@centaurus/api'
import { formatPreempted } from './messages.ts'

describe('what the victim of a preemption is told', () => {
  const podOf = (tenant: string | undefined): { metadata: { uid: string; annotations: Record<string, string> } } => ({
    metadata: { uid: 'the-uid', annotations: tenant === undefined ? {} : { [TENANT_ANNOTATION]: tenant } },
  })

  it('names the pod that took its place, but none of another tenant', () => {
    assert.equal(formatPreempted(podOf('a'), podOf('a'), 'n'), 'Preempted by pod the-uid on node n')
    assert.equal(formatPreempted(podOf(undefined), podOf(undefined), 'n'), 'Preempted by pod the-uid on node n')
    assert.equal(formatPreempted(podOf('a'), podOf('b'), 'n'), 'Preempted by a pod on node n')
    assert.equal(formatPreempted(podOf('a'), podOf(undefined), 'n'), 'Preempted by a pod on node n')
  })
})
