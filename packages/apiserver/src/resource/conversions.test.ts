import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deepClone, type KubeObject } from '@centaurus/api'
import { builtInDefinitions } from './built-in.ts'

const definitions = builtInDefinitions()

function roundTrip(group: string, version: string, served: KubeObject): { stored: KubeObject; back: KubeObject } {
  const definition = definitions.find(
    ({ info }) => info.group === group && info.version === version && info.kind === served.kind,
  )!
  const stored = definition.toStorage!(deepClone(served))
  return { stored, back: definition.fromStorage!(deepClone(stored)) }
}

describe('conversion between served and stored versions', () => {
  it('keeps an Event of events.k8s.io with the core group', () => {
    const served = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'e' },
      regarding: { kind: 'Pod', name: 'p' },
      note: 'text',
      deprecatedCount: 3,
      reportingController: 'c',
    }
    const { stored, back } = roundTrip('events.k8s.io', 'v1', served)
    assert.deepEqual(stored, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e' },
      involvedObject: { kind: 'Pod', name: 'p' },
      message: 'text',
      count: 3,
      reportingComponent: 'c',
    })
    assert.deepEqual(back, served)
  })

  it('turns the CPU target of an autoscaler into a metric and back', () => {
    const served = {
      apiVersion: 'autoscaling/v1',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'a', annotations: { 'autoscaling.alpha.kubernetes.io/behavior': '{"scaleUp":{}}' } },
      spec: { maxReplicas: 3, targetCPUUtilizationPercentage: 50 },
      status: { desiredReplicas: 1, currentCPUUtilizationPercentage: 10 },
    }
    const { stored, back } = roundTrip('autoscaling', 'v1', served)
    const { spec } = stored as unknown as { spec: { metrics: unknown; behavior: unknown } }
    const target = { type: 'Utilization', averageUtilization: 50 }
    assert.deepEqual(spec.metrics, [{ type: 'Resource', resource: { name: 'cpu', target } }])
    assert.deepEqual(spec.behavior, { scaleUp: {} })
    assert.deepEqual(back, served)
  })

  it('moves what a claim wants of a device under `exactly`', () => {
    const served = {
      apiVersion: 'resource.k8s.io/v1beta1',
      kind: 'ResourceClaim',
      metadata: { name: 'c' },
      spec: { devices: { requests: [{ name: 'gpu', deviceClassName: 'gpus', count: 2 }] } },
    }
    const { stored, back } = roundTrip('resource.k8s.io', 'v1beta1', served)
    assert.deepEqual((stored as unknown as typeof served).spec.devices.requests, [
      { name: 'gpu', exactly: { deviceClassName: 'gpus', count: 2 } },
    ])
    assert.deepEqual(back, served)
  })
})
