import { behaviorOf } from '@centaurus/api'
import { ownDefinitions } from '../crd/custom-definition.ts'
import type { CreateExtension } from '../extension.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { queuedWorkloadDefinition, queueDefinition } from './definitions.ts'
import { queuedBegin, queueStays } from './queue-admission.ts'
import { addQueueMetrics } from './queue-metrics.ts'

/** Serves Queues and QueuedWorkloads of `centaurus.io/v1`; what names a queue begins suspended, or behind a gate. */
export function createQueueExtension(): CreateExtension {
  return ({ registry, stored, metrics }) => {
    registry.change({ added: [queueDefinition, queuedWorkloadDefinition].flatMap(ownDefinitions).map(withBehavior) })
    const stopCounting = addQueueMetrics(metrics, stored)
    return {
      admission: [queuedBegin, queueStays],
      async close() {
        stopCounting()
      },
    }
  }
}

function withBehavior(definition: ResourceDefinition): ResourceDefinition {
  const { group, kind } = definition.info
  return { ...definition, behavior: { ...definition.behavior, ...behaviorOf(group, kind) } }
}
