import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod, ResourceRequirements } from '../../generated/types/core/v1.ts'
import { validatePodResize } from './validate-resize.ts'

const pod = (resources: ResourceRequirements): Pod => ({
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c', image: 'i', resources }] },
})
const errorsOf = (before: ResourceRequirements, now: ResourceRequirements): string[] =>
  validatePodResize(pod(now), pod(before)).map(({ field, message }) => `${field}: ${message}`)

// The first two were recorded from the kube-apiserver of v1.37.2.
describe('validatePodResize', () => {
  it('keeps the quality of service', () => {
    assert.deepEqual(errorsOf({}, { requests: { cpu: '1' } }), [
      'spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing',
    ])
  })

  it('changes cpu and memory alone', () => {
    assert.deepEqual(errorsOf({}, { requests: { 'ephemeral-storage': '1' } }), [
      'spec: Forbidden: only cpu and memory resources are mutable',
    ])
    assert.deepEqual(errorsOf({ requests: { cpu: '1' } }, { requests: { cpu: '2', memory: '1Gi' } }), [])
  })

  it('removes nothing', () => {
    assert.deepEqual(errorsOf({ requests: { cpu: '1', memory: '1' } }, { requests: { cpu: '1' } }), [
      'spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed',
    ])
  })
})
