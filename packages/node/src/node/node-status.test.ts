import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { NodeStatus } from '@centaurus/api/core/v1'

import { completeConfig } from '../agent/config.ts'
import { changedStatus, isSameNodeStatus, planNodeStatus, type NodeStatusInput } from './node-status.ts'

const input: NodeStatusInput = {
  config: completeConfig({ nodeName: 'node-1', hostIps: ['192.0.2.1'] }),
  facts: {
    cpuMillicores: 2000,
    memoryBytes: 4 * 1024 ** 3,
    ephemeralStorageBytes: 1024 ** 3,
    hugepages: {},
    hostname: 'node-1',
    nodeInfo: {
      architecture: 'amd64',
      bootID: '',
      kernelVersion: '',
      machineID: '',
      operatingSystem: 'linux',
      osImage: '',
      systemUUID: '',
    },
  },
  underPressure: new Set(),
  version: { name: 'containerd', version: '1' },
  runtime: { ready: true, networkReady: true, message: '', handlers: [] },
  images: [],
  now: '2026-01-01T00:00:00Z',
}

describe('resources of a node', () => {
  const devices = {
    capacity: new Map([['example.com/thing', 3]]),
    allocatable: new Map([['example.com/thing', 2]]),
  }
  const others = { 'example.com/port': '4', 'centaurus.io/gpu-memory': '2k' }

  it('are the machine’s, those of its devices, and what others wrote', () => {
    const previous = { capacity: others, allocatable: { 'centaurus.io/gpu-memory': '1k' } }
    const { capacity, allocatable } = planNodeStatus({ ...input, devices }, previous)
    assert.deepEqual(
      [capacity?.['cpu'], capacity?.['example.com/thing'], capacity?.['example.com/port']],
      ['2', '3', '4'],
    )
    assert.equal(allocatable?.['example.com/thing'], '2')
    assert.equal(allocatable?.['example.com/port'], '4', 'who writes capacity alone means both')
    assert.equal(allocatable?.['centaurus.io/gpu-memory'], '1k', 'who writes both means both')
  })

  it('are written only where they differ, so that what others write meanwhile stays', () => {
    const before = planNodeStatus(input, { capacity: others, allocatable: others })
    const after = planNodeStatus({ ...input, devices }, before)
    const { capacity, allocatable, addresses, conditions } = changedStatus(before, after)
    assert.deepEqual([capacity, allocatable], [{ 'example.com/thing': '3' }, { 'example.com/thing': '2' }])
    assert.deepEqual([addresses, conditions], [undefined, after.conditions])
  })
})

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
