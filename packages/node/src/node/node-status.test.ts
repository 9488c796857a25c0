import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { NodeStatus } from '@centaurus/api/core/v1'

import { isSameNodeStatus } from './node-status.ts'

describe('isSameNodeStatus', () => {
  it('takes neither heartbeats, nor the order of fields, nor what the server adds, for a change', () => {
    const now: NodeStatus = {
      addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
      conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:10Z' }],
    }
    const before: NodeStatus = {
      conditions: [{ lastHeartbeatTime: '2026-01-01T00:00:00Z', status: 'True', type: 'Ready' }],
      addresses: [{ address: '10.0.0.1', type: 'InternalIP' }],
    }
    assert.equal(isSameNodeStatus(before, now), true)
    assert.equal(isSameNodeStatus({ ...before, daemonEndpoints: { kubeletEndpoint: { Port: 0 } } }, now), true)
    assert.equal(isSameNodeStatus({ ...before, addresses: [] }, now), false)
    assert.equal(isSameNodeStatus(undefined, now), false)
  })
})
