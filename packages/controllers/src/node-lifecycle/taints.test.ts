import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Node, Taint } from '@centaurus/api/core/v1'
import { needsEvictionTaint, planNodeTaints, type EvictionMode } from './taints.ts'

const NOW_MS = Date.UTC(2026, 0, 1)

function nodeOf(ready: string | undefined, taints: readonly string[] = [], init: Partial<Node> = {}): Node {
  const conditions = ready === undefined ? [] : [{ type: 'Ready', status: ready }]
  return {
    metadata: { name: 'n' },
    spec: { taints: taints.map(parse), ...init.spec },
    status: { conditions: [...conditions, ...(init.status?.conditions ?? [])] },
  }
}

function parse(text: string): Taint {
  const [key = '', effect = ''] = text.split(':')
  return { key: key.startsWith('!') ? key.slice(1) : `node.kubernetes.io/${key}`, effect }
}

function plan(node: Node, mode: EvictionMode): string[] | undefined {
  return planNodeTaints(node, mode, NOW_MS)?.map(
    ({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`,
  )
}

describe('planNodeTaints', () => {
  it('keeps pods away by conditions and by spec.unschedulable', () => {
    const conditions = [
      { type: 'MemoryPressure', status: 'True' },
      { type: 'DiskPressure', status: 'False' },
      { type: 'NetworkUnavailable', status: 'True' },
    ]
    const node = nodeOf('False', ['!mine:NoSchedule', 'pid-pressure:NoSchedule'], {
      spec: { unschedulable: true },
      status: { conditions },
    })
    const keys = ['not-ready', 'memory-pressure', 'network-unavailable', 'unschedulable']
    const expected = ['mine:NoSchedule', ...keys.map((key) => `${key}:NoSchedule`)]
    const listed = {
      ...node,
      spec: { ...node.spec, taints: ['!mine:NoSchedule', 'pid-pressure:NoSchedule'].map(parse) },
    }
    assert.deepEqual(plan(listed, 'keep'), expected)
  })

  it('keeps pods off a new node that has said nothing, without evicting', () => {
    assert.deepEqual(plan(nodeOf(undefined), 'add'), ['not-ready:NoSchedule'])
  })

  it('is done when the taints are right', () => {
    assert.equal(plan(nodeOf('True'), 'keep'), undefined)
    assert.equal(plan(nodeOf('Unknown', ['unreachable:NoSchedule']), 'keep'), undefined)
  })

  it('evicts only when told to, but changes the reason of an eviction at once', () => {
    const unreachable = ['unreachable:NoSchedule', 'unreachable:NoExecute']
    assert.deepEqual(plan(nodeOf('Unknown'), 'add'), unreachable)
    assert.deepEqual(plan(nodeOf('False', unreachable), 'keep'), ['not-ready:NoSchedule', 'not-ready:NoExecute'])
  })

  it('takes all back when the node is ready, and evictions when all nodes are down', () => {
    const unreachable = ['unreachable:NoSchedule', 'unreachable:NoExecute']
    assert.deepEqual(plan(nodeOf('True', unreachable), 'keep'), [])
    assert.deepEqual(plan(nodeOf('Unknown', unreachable), 'remove'), ['unreachable:NoSchedule'])
  })

  it('knows who waits for eviction', () => {
    assert.equal(needsEvictionTaint(nodeOf('True')), false)
    assert.equal(needsEvictionTaint(nodeOf(undefined)), false)
    assert.equal(needsEvictionTaint(nodeOf('False')), true)
    assert.equal(needsEvictionTaint(nodeOf('False', ['unreachable:NoExecute'])), false)
  })
})
