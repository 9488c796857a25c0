import { CONDITIONS_SCHEMA } from '@centaurus/api'
import type { JSONSchemaProps } from '@centaurus/api/apiextensions/v1'
import { describeOwnKind } from '../crd/own-kind.ts'

const INT32_MAX = 2 ** 31 - 1
const WORKERS_MAX = 10_000
const OBSERVATIONS_MAX = 32
const EXPECTED_MAX = 32
const NODES_MAX = 256
const COUNT = { type: 'integer', format: 'int32', minimum: 0, maximum: INT32_MAX } as const
const AMOUNT = { type: 'number', minimum: 0 } as const
const TIME = { type: 'string', format: 'date-time' } as const
const WORKERS = { type: 'integer', format: 'int32', minimum: 1, maximum: WORKERS_MAX } as const
const TEMPLATE: JSONSchemaProps = {
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  description: 'A PodTemplateSpec. restartPolicy is Never, unless it says OnFailure.',
}
const AGE = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

export const trainingJobDefinition = describeOwnKind({
  scope: 'Namespaced',
  names: { plural: 'trainingjobs', singular: 'trainingjob', kind: 'TrainingJob', shortNames: ['tj'] },
  hasStatus: true,
  schema: {
    description: 'Work of several pods that is one, and may have more of them or fewer while it runs.',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['workers'],
        properties: {
          framework: {
            type: 'string',
            enum: ['Torch', 'Horovod', 'MPI', 'Plain'],
            description:
              'How workers learn of each other: torchrun (they come and go while it runs), horovodrun (the same, by a launcher), mpirun, or ranks in the environment; the latter two begin anew with each change.',
          },
          workers: {
            type: 'object',
            required: ['min', 'max', 'template'],
            properties: {
              min: { ...WORKERS, description: 'It runs with no fewer. They get nodes together or not at all.' },
              max: WORKERS,
              template: TEMPLATE,
            },
          },
          launcher: { type: 'object', required: ['template'], properties: { template: TEMPLATE } },
          suspend: { type: 'boolean', description: 'No worker runs; what they have saved stays.' },
          resizable: { type: 'boolean', description: 'False: it keeps the number of workers that it has begun with.' },
          batch: {
            type: 'string',
            enum: ['Constant', 'PerWorker'],
            description: 'Whether all workers share one batch, or each has its own.',
          },
          checkpoint: {
            type: 'object',
            description:
              'What happens before a worker is taken away: the command in its first container, then SIGTERM.',
            properties: {
              command: { type: 'array', items: { type: 'string' }, maxItems: 64 },
              gracePeriodSeconds: COUNT,
            },
          },
          restartSeconds: { ...COUNT, description: 'What a change of its workers costs. Default 30.' },
          maxRestarts: { ...COUNT, description: 'Failures of workers before the job has failed. Default 10.' },
          avoidNodeAfterFailures: {
            ...COUNT,
            description: 'Failures on a node before its workers go elsewhere. Default 2; 0: never.',
          },
          activeDeadlineSeconds: COUNT,
          ttlSecondsAfterFinished: COUNT,
        },
      },
      status: {
        type: 'object',
        properties: {
          phase: { type: 'string', enum: ['Pending', 'Running', 'Scaling', 'Suspended', 'Succeeded', 'Failed'] },
          message: { type: 'string', description: 'Why it has as many workers as it has, or none.' },
          workers: {
            type: 'object',
            required: ['desired', 'active', 'ready'],
            properties: { desired: COUNT, active: COUNT, ready: COUNT },
          },
          restarts: COUNT,
          world: { ...COUNT, description: 'Grows whenever all workers begin anew.' },
          startTime: TIME,
          completionTime: TIME,
          lastScaleTime: TIME,
          nodes: {
            type: 'array',
            maxItems: WORKERS_MAX,
            items: {
              type: 'object',
              required: ['node', 'workers'],
              properties: { node: { type: 'string' }, workers: COUNT },
            },
          },
          progress: {
            type: 'object',
            required: ['step', 'reportTime'],
            properties: {
              step: { type: 'integer', format: 'int64', minimum: 0 },
              totalSteps: { type: 'integer', format: 'int64', minimum: 0 },
              percent: COUNT,
              secondsPerStep: AMOUNT,
              samplesPerSecond: AMOUNT,
              remainingSeconds: COUNT,
              reportTime: TIME,
            },
          },
          observations: {
            type: 'array',
            maxItems: OBSERVATIONS_MAX,
            description: 'What it has reported at each number of workers.',
            items: {
              type: 'object',
              required: ['workers', 'batch', 'secondsPerStep', 'reports'],
              properties: { workers: WORKERS, batch: AMOUNT, secondsPerStep: AMOUNT, reports: COUNT },
            },
          },
          expected: {
            type: 'array',
            maxItems: EXPECTED_MAX,
            description: 'How fast it is thought to be at some numbers of workers that it may have.',
            items: {
              type: 'object',
              required: ['workers', 'samplesPerSecond'],
              properties: { workers: WORKERS, samplesPerSecond: AMOUNT },
            },
          },
          nodeFailures: {
            type: 'array',
            maxItems: NODES_MAX,
            items: {
              type: 'object',
              required: ['node', 'count', 'lastTime'],
              properties: { node: { type: 'string' }, count: COUNT, lastTime: TIME },
            },
          },
          countedFailures: { type: 'array', maxItems: WORKERS_MAX, items: { type: 'string' } },
          conditions: CONDITIONS_SCHEMA,
        },
      },
    },
  },
  columns: [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Ready', type: 'integer', jsonPath: '.status.workers.ready' },
    { name: 'Workers', type: 'integer', jsonPath: '.status.workers.desired' },
    { name: 'Min', type: 'integer', jsonPath: '.spec.workers.min' },
    { name: 'Max', type: 'integer', jsonPath: '.spec.workers.max' },
    { name: 'Percent', type: 'integer', jsonPath: '.status.progress.percent' },
    { name: 'Seconds left', type: 'integer', jsonPath: '.status.progress.remainingSeconds' },
    { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
    AGE,
  ],
})

export const trainingReportDefinition = describeOwnKind({
  scope: 'Namespaced',
  names: { plural: 'trainingreports', singular: 'trainingreport', kind: 'TrainingReport', shortNames: [] },
  hasStatus: false,
  schema: {
    description: 'What a TrainingJob of the same name says of itself: made by the cluster, written by its workers.',
    properties: {
      spec: {
        type: 'object',
        properties: {
          step: { type: 'integer', format: 'int64', minimum: 0, description: 'Steps done.' },
          totalSteps: { type: 'integer', format: 'int64', minimum: 0 },
          secondsPerStep: AMOUNT,
          batch: { ...AMOUNT, description: 'Samples of one step, over all workers.' },
          workers: { ...WORKERS, description: 'That took part; absent: those that are ready.' },
          noiseScale: { ...AMOUNT, description: 'Gradient noise scale, in samples.' },
          baseBatch: { ...AMOUNT, description: 'The batch at which a sample counts whole.' },
        },
      },
    },
  },
  columns: [
    { name: 'Step', type: 'integer', jsonPath: '.spec.step' },
    { name: 'Of', type: 'integer', jsonPath: '.spec.totalSteps' },
    { name: 'Seconds a step', type: 'number', jsonPath: '.spec.secondsPerStep' },
    AGE,
  ],
})
