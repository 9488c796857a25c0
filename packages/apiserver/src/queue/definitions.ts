import { CONDITIONS_SCHEMA } from '@centaurus/api'
import type { JSONSchemaProps } from '@centaurus/api/apiextensions/v1'
import { describeOwnKind } from '../crd/own-kind.ts'

const RESOURCES_MAX = 64
const POD_SETS_MAX = 64
const SECONDS_MAX = 2 ** 31 - 1
const QUANTITY = { type: 'string', minLength: 1 } as const
const COUNT = { type: 'integer', format: 'int32', minimum: 0 } as const
const SECONDS = { type: 'integer', format: 'int32', minimum: 0, maximum: SECONDS_MAX } as const
const AGE = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

const QUEUE_SPEC: JSONSchemaProps = {
  type: 'object',
  properties: {
    parent: {
      type: 'string',
      minLength: 1,
      description:
        'The queue that it is in; absent: it is the top of its tree. Workloads wait in queues that have no others in them.',
    },
    resources: {
      type: 'array',
      maxItems: RESOURCES_MAX,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      description: 'What it has. A resource that no queue of the tree names is not limited.',
      items: {
        type: 'object',
        required: ['name', 'nominalQuota'],
        properties: {
          name: {
            type: 'string',
            minLength: 1,
            description: 'Such as cpu, memory, nvidia.com/gpu or centaurus.io/gpu-memory.',
          },
          nominalQuota: { ...QUANTITY, description: 'Its own, for itself and the queues in it.' },
          borrowingLimit: {
            ...QUANTITY,
            description: 'How much more it may take of what others of its tree leave; absent: all of it.',
          },
          lendingLimit: { ...QUANTITY, description: 'How much of its own others may take; absent: all of it.' },
        },
      },
    },
    queueingStrategy: {
      type: 'string',
      enum: ['StrictFIFO', 'BestEffortFIFO'],
      default: 'BestEffortFIFO',
      description: 'Whether those behind the first one wait when it does not fit (StrictFIFO), or go by.',
    },
    stopPolicy: {
      type: 'string',
      enum: ['None', 'Hold', 'HoldAndDrain'],
      default: 'None',
      description: 'Hold admits nothing, HoldAndDrain also evicts what was admitted. Holds for the queues in it too.',
    },
    preemption: {
      type: 'object',
      properties: {
        withinQueue: {
          type: 'string',
          enum: ['Never', 'LowerPriority', 'LowerOrNewerEqualPriority'],
          description: 'Which workloads of the queue give way; default LowerPriority.',
        },
        reclaimWithinTree: {
          type: 'string',
          enum: ['Never', 'LowerPriority', 'Any'],
          description: 'Which workloads give way that are in queues with more than their share; default Any.',
        },
      },
    },
    fairSharing: {
      type: 'object',
      properties: {
        weight: {
          type: 'integer',
          format: 'int32',
          minimum: 0,
          maximum: 1_000_000,
          description: 'Of what is borrowed, it gets so much beside its siblings; default 1, 0: only what they leave.',
        },
        halfLifeSeconds: {
          ...SECONDS,
          description:
            'Of the top of a tree: what queues borrowed before counts half after so long; default 0: not at all.',
        },
      },
    },
    reserveAfterSeconds: {
      ...SECONDS,
      description: 'Who is first in the queue for so long and does not fit has room kept for it; default 300.',
    },
  },
}

export const queueDefinition = describeOwnKind({
  hasStatus: true,
  names: { plural: 'queues', singular: 'queue', kind: 'Queue', shortNames: ['q'] },
  scope: 'Cluster',
  schema: {
    description:
      'Quota that workloads share: those that do not fit wait. Queues are in queues, and borrow from each other.',
    properties: {
      spec: QUEUE_SPEC,
      status: {
        type: 'object',
        properties: {
          pendingWorkloads: COUNT,
          admittedWorkloads: COUNT,
          used: { type: 'string', description: 'What is used of what it has, each resource in a line.' },
          resources: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            items: {
              type: 'object',
              required: ['name', 'nominal', 'used', 'borrowed'],
              properties: {
                name: { type: 'string' },
                nominal: { type: 'string', description: 'Its own, and what the queues in it lend.' },
                used: { type: 'string' },
                borrowed: { type: 'string', description: 'Of used, what is above nominal.' },
              },
            },
          },
          conditions: CONDITIONS_SCHEMA,
        },
      },
    },
  },
  columns: [
    { name: 'Parent', type: 'string', jsonPath: '.spec.parent' },
    { name: 'Pending', type: 'integer', jsonPath: '.status.pendingWorkloads' },
    { name: 'Admitted', type: 'integer', jsonPath: '.status.admittedWorkloads' },
    { name: 'Used', type: 'string', jsonPath: '.status.used' },
    { name: 'Active', type: 'string', jsonPath: '.status.conditions[?(@.type=="Active")].status', priority: 1 },
    AGE,
  ],
})

const PENDING: JSONSchemaProps = {
  type: 'object',
  description: 'Why it waits.',
  required: ['reason', 'message'],
  properties: {
    reason: { type: 'string', description: 'One word for programs.' },
    message: { type: 'string' },
    position: { ...COUNT, description: 'Its place in the queue, from 1; beyond 100 rounded up to hundreds.' },
    lacks: {
      type: 'array',
      'x-kubernetes-list-type': 'atomic',
      description: 'Which queues, up the tree, have too little of what.',
      items: {
        type: 'object',
        required: ['queue', 'resource', 'needed', 'available', 'limit'],
        properties: {
          queue: { type: 'string' },
          resource: { type: 'string' },
          needed: { type: 'string' },
          available: { type: 'string' },
          limit: { type: 'string' },
        },
      },
    },
    ends: {
      type: 'array',
      'x-kubernetes-list-type': 'atomic',
      items: { type: 'string' },
      description: 'Workloads of which the end makes room, as namespace/name.',
    },
  },
}

const NODES: JSONSchemaProps = {
  type: 'object',
  description: 'Why its pods have no node though it was admitted.',
  required: ['pods', 'message'],
  properties: {
    pods: { ...COUNT, description: 'Those without a node.' },
    message: { type: 'string', description: 'What the scheduler says of one of them.' },
    reasons: {
      type: 'array',
      'x-kubernetes-list-type': 'atomic',
      items: {
        type: 'object',
        required: ['reason', 'nodes'],
        properties: { reason: { type: 'string' }, nodes: COUNT },
      },
    },
  },
}

const WORKLOAD_SPEC: JSONSchemaProps = {
  type: 'object',
  required: ['queueName', 'podSets'],
  properties: {
    queueName: { type: 'string', minLength: 1 },
    priority: { type: 'integer', format: 'int32', description: 'Of its pods.' },
    preemptible: { type: 'boolean', description: 'False: it does not end for others.' },
    active: { type: 'boolean', description: 'False: it is evicted, and waits until this is true again.' },
    maximumExecutionTimeSeconds: { ...SECONDS, description: 'It is ended after so long.' },
    podSets: {
      type: 'array',
      minItems: 1,
      maxItems: POD_SETS_MAX,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name', 'count'],
        properties: {
          name: { type: 'string', minLength: 1 },
          count: COUNT,
          minCount: { ...COUNT, description: 'It does with so many; absent: count.' },
          requests: { type: 'object', additionalProperties: { type: 'string' }, description: 'Of one pod.' },
        },
      },
    },
  },
}

export const queuedWorkloadDefinition = describeOwnKind({
  hasStatus: true,
  names: { plural: 'queuedworkloads', singular: 'queuedworkload', kind: 'QueuedWorkload', shortNames: ['qwl'] },
  scope: 'Namespaced',
  schema: {
    description: 'The pods of one Job, TrainingJob, PodGroup or Pod that names a queue. Made by the cluster.',
    required: ['spec'],
    properties: {
      spec: WORKLOAD_SPEC,
      status: {
        type: 'object',
        properties: {
          conditions: CONDITIONS_SCHEMA,
          admission: {
            type: 'object',
            required: ['queue', 'podSets', 'time'],
            properties: {
              queue: { type: 'string' },
              time: { type: 'string', format: 'date-time' },
              podSets: {
                type: 'array',
                'x-kubernetes-list-type': 'atomic',
                items: {
                  type: 'object',
                  required: ['name', 'count'],
                  properties: {
                    name: { type: 'string' },
                    count: COUNT,
                    held: { ...COUNT, description: 'While it shrinks: the pods for which quota is still counted.' },
                  },
                },
              },
            },
          },
          requeueState: {
            type: 'object',
            required: ['count'],
            properties: { count: COUNT, requeueAt: { type: 'string', format: 'date-time' } },
          },
          pending: PENDING,
          nodes: NODES,
          move: {
            type: 'object',
            description: 'Its pods were ended to start again on other nodes; it keeps its quota.',
            required: ['for', 'time', 'isOver'],
            properties: {
              for: { type: 'string', description: 'The workload that needs the room in one place, as namespace/name.' },
              time: { type: 'string', format: 'date-time' },
              isOver: { type: 'boolean', description: 'It may start again.' },
            },
          },
        },
      },
    },
  },
  columns: [
    { name: 'Queue', type: 'string', jsonPath: '.spec.queueName' },
    { name: 'Admitted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Admitted")].status' },
    { name: 'Finished', type: 'string', jsonPath: '.status.conditions[?(@.type=="Finished")].status' },
    { name: 'Position', type: 'integer', jsonPath: '.status.pending.position' },
    { name: 'Reason', type: 'string', jsonPath: '.status.pending.reason' },
    { name: 'Why', type: 'string', jsonPath: '.status.pending.message', priority: 1 },
    { name: 'Priority', type: 'integer', jsonPath: '.spec.priority', priority: 1 },
    { name: 'Nodes', type: 'string', jsonPath: '.status.nodes.message', priority: 1 },
    AGE,
  ],
})
