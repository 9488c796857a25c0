import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { compilePod } from './pod-requirements.ts'

/** As the DaemonSet controller pins its pods. */
function daemonPod(name: string, nodeName: string) {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [nodeName] }]
  const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] } }
  return pod(name, { labels: { app: 'agent' }, affinity: { nodeAffinity } })
}

const deps = (state: ClusterState) => ({ index: state.resources, namespaceLabels: () => ({}) })

describe('default spreading', () => {
  it('counts nothing for pods that have one node to choose', () => {
    const state = new ClusterState()
    for (let i = 0; i < 20; i++) state.putNode(node(`n${i}`))
    for (let i = 0; i < 20; i++) state.classOf(compilePod(daemonPod(`d${i}`, `n${i}`), deps(state)))
    assert.equal([...state.trackers.all()].length, 0, 'else every placed pod would be counted 40 times')
    state.classOf(compilePod(pod('web', { labels: { app: 'web' } }), deps(state)))
    assert.ok([...state.trackers.all()].length > 0)
  })
})
