import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { DaemonSet, Deployment, StatefulSet } from '../../generated/types/apps/v1.ts'
import type { CronJob, Job } from '../../generated/types/batch/v1.ts'
import type { PodTemplateSpec } from '../../generated/types/core/v1.ts'
import type { KubeObject } from '../behavior.ts'
import { behaviorOf } from '../registry.ts'
import { jobBehavior } from './job.ts'

const NOW = Date.parse('2026-03-01T00:00:00Z')
const context = { nowMs: NOW, user: 'me', groups: [] }
const CREATED = '2026-02-28T23:00:00Z'
const selector = { matchLabels: { app: 'web' } }

function template(): PodTemplateSpec {
  return { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'a', image: 'web:1' }] } }
}

function defaulted<T extends KubeObject>(group: string, kind: string, object: T): T {
  behaviorOf(group, kind).setDefaults!(object)
  return object
}

function messages(errors: readonly { field: string; message: string }[]): string[] {
  return errors.map((error) => `${error.field}: ${error.message}`)
}

function deployment(spec: Partial<Deployment['spec']> = {}): Deployment {
  const object = {
    metadata: { name: 'web', creationTimestamp: CREATED },
    spec: { selector, template: template(), ...spec },
  }
  return defaulted('apps', 'Deployment', object)
}

describe('a deployment', () => {
  const behavior = behaviorOf('apps', 'Deployment')

  it('gets defaults', () => {
    const { template: _, selector: __, ...spec } = deployment().spec
    assert.deepEqual(spec, {
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
    })
  })

  it('shows its row', () => {
    const object: Deployment = {
      ...deployment(),
      status: { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1 },
    }
    assert.deepEqual(behavior.row!(object, NOW), ['web', '1/1', 2, 1, '60m', 'a', 'web:1', 'app=web'])
    assert.deepEqual(
      behavior.columns!.map((column) => column.name),
      ['Name', 'Ready', 'Up-to-date', 'Available', 'Age', 'Containers', 'Images', 'Selector'],
    )
  })

  const cases: [string, Partial<Deployment['spec']>, string][] = [
    [
      'a selector that misses its pods',
      { selector: { matchLabels: { app: 'x' } } },
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
    [
      'an empty selector',
      { selector: {} },
      'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
    ],
    [
      'fewer than no replicas',
      { replicas: -1 },
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      'pods that end',
      { template: { ...template(), spec: { ...template().spec!, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      'an update that can do nothing',
      { strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
    ],
    [
      'rolling fields of another strategy',
      { strategy: { type: 'Recreate', rollingUpdate: {} } },
      "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ],
    [
      'a deadline before readiness',
      { minReadySeconds: 600 },
      'spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds',
    ],
  ]
  for (const [title, spec, want] of cases) {
    it(`is refused for ${title}`, () => assert.deepEqual(messages(behavior.validate!(deployment(spec))), [want]))
  }

  it('keeps its selector', () => {
    const errors = behavior.validateUpdate!(deployment({ selector: { matchLabels: { app: 'x' } } }), deployment())
    assert.deepEqual(messages(errors), [
      'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable',
    ])
  })

  it('is a new generation when its annotations change', () => {
    const old = deployment()
    old.metadata.generation = 3
    const draft = structuredClone(old)
    draft.metadata.annotations = { a: 'b' }
    behavior.prepareForUpdate!(draft, old, context)
    assert.equal(draft.metadata.generation, 4)
  })
})

function statefulSet(spec: Partial<StatefulSet['spec']> = {}): StatefulSet {
  const object = {
    metadata: { name: 'db', creationTimestamp: CREATED },
    spec: { selector, template: template(), serviceName: 'db', ...spec },
  }
  return defaulted('apps', 'StatefulSet', object)
}

describe('a stateful set', () => {
  const behavior = behaviorOf('apps', 'StatefulSet')

  it('gets defaults', () => {
    const {
      template: _,
      selector: __,
      ...spec
    } = statefulSet({
      volumeClaimTemplates: [
        {
          metadata: { name: 'd' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
    }).spec
    assert.deepEqual(spec, {
      serviceName: 'db',
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0, maxUnavailable: 1 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      replicas: 1,
      revisionHistoryLimit: 10,
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: 'd' },
          spec: {
            accessModes: ['ReadWriteOnce'],
            resources: { requests: { storage: '1Gi' } },
            volumeMode: 'Filesystem',
          },
          status: { phase: 'Pending' },
        },
      ],
    })
  })

  it('may mount its claims', () => {
    const mounting = template()
    mounting.spec!.containers[0]!.volumeMounts = [{ name: 'd', mountPath: '/d' }]
    const claim = {
      metadata: { name: 'd' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    }
    assert.deepEqual(behavior.validate!(statefulSet({ template: mounting, volumeClaimTemplates: [claim] })), [])
    assert.equal(behavior.validate!(statefulSet({ template: mounting })).length, 1)
  })

  it('keeps the name of its service', () => {
    const errors = behavior.validateUpdate!(statefulSet({ serviceName: 'x' }), statefulSet())
    assert.deepEqual(messages(errors), ['spec.serviceName: Invalid value: "x": field is immutable'])
  })

  it('shows its row', () => {
    const object: StatefulSet = { ...statefulSet(), status: { replicas: 1, readyReplicas: 1 } }
    assert.deepEqual(behavior.row!(object, NOW), ['db', '1/1', '60m', 'a', 'web:1'])
  })
})

describe('a daemon set', () => {
  const behavior = behaviorOf('apps', 'DaemonSet')
  const object = (): DaemonSet =>
    defaulted('apps', 'DaemonSet', {
      metadata: { name: 'd', creationTimestamp: CREATED },
      spec: { selector, template: template() },
    })

  it('gets defaults', () => {
    assert.deepEqual(object().spec.updateStrategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
    })
  })

  it('counts the generations of its template in an annotation', () => {
    const old = object()
    behavior.prepareForCreate!(old, context)
    assert.deepEqual(old.metadata.annotations, { 'deprecated.daemonset.template.generation': '1' })
    const draft = structuredClone(old)
    behavior.prepareForUpdate!(draft, old, context)
    assert.equal(draft.metadata.annotations!['deprecated.daemonset.template.generation'], '1')
    draft.spec.template.spec!.containers[0]!.image = 'web:2'
    behavior.prepareForUpdate!(draft, old, context)
    assert.equal(draft.metadata.annotations!['deprecated.daemonset.template.generation'], '2')
  })

  it('cannot both surge and have pods unavailable', () => {
    const both = object()
    both.spec.updateStrategy!.rollingUpdate!.maxSurge = 1
    assert.deepEqual(messages(behavior.validate!(both)), [
      'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
    ])
  })

  it('shows its row', () => {
    const shown: DaemonSet = {
      ...object(),
      status: {
        desiredNumberScheduled: 3,
        currentNumberScheduled: 3,
        numberMisscheduled: 0,
        numberReady: 2,
        updatedNumberScheduled: 3,
        numberAvailable: 2,
      },
    }
    assert.deepEqual(behavior.row!(shown, NOW), ['d', 3, 3, 2, 3, 2, '<none>', '60m', 'a', 'web:1', 'app=web'])
  })
})

function job(spec: Partial<NonNullable<Job['spec']>> = {}): Job {
  const pod = template()
  pod.spec!.restartPolicy = 'Never'
  const object: Job = {
    metadata: { name: 'j', uid: 'u-1', creationTimestamp: CREATED },
    spec: { template: pod, ...spec },
  }
  defaulted('batch', 'Job', object)
  behaviorOf('batch', 'Job').prepareForCreate!(object, context)
  return object
}

describe('a job', () => {
  const behavior = behaviorOf('batch', 'Job')

  it('gets defaults and a selector of its own', () => {
    const { template: pod, ...spec } = job().spec!
    assert.deepEqual(spec, {
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      manualSelector: false,
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u-1' } },
    })
    assert.deepEqual(pod.metadata!.labels, {
      app: 'web',
      'job-name': 'j',
      'batch.kubernetes.io/job-name': 'j',
      'controller-uid': 'u-1',
      'batch.kubernetes.io/controller-uid': 'u-1',
    })
    assert.deepEqual([...behavior.validate!(job()), ...behavior.validateCreate!(job())], [])
  })

  it('labels a job as its pods, unless it has labels of its own', () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: { restartPolicy: 'Never', containers: [] } }
    const labelsOf = (labels?: Record<string, string>): string[] => {
      const job = {
        metadata: { name: 'j', uid: 'u', ...(labels && { labels }) },
        spec: { template: structuredClone(template) },
      }
      jobBehavior.setDefaults!(job)
      jobBehavior.prepareForCreate!(job, { nowMs: 0, user: '', groups: [] })
      return Object.keys((job.metadata as { labels?: object }).labels ?? {}).toSorted()
    }
    const generated = [
      'batch.kubernetes.io/controller-uid',
      'batch.kubernetes.io/job-name',
      'controller-uid',
      'job-name',
    ]
    assert.deepEqual(labelsOf(), ['a', ...generated])
    assert.deepEqual(labelsOf({ own: 'yes' }), ['own'])
  })

  it('leaves completions open when only parallelism is given', () => {
    assert.equal(job({ parallelism: 3 }).spec!.completions, undefined)
    assert.equal(job({ backoffLimitPerIndex: 1 }).spec!.backoffLimit, 2147483647)
  })

  it('must say what a failed pod means', () => {
    const object = job()
    object.spec!.template.spec!.restartPolicy = 'Always'
    assert.deepEqual(messages(behavior.validate!(object)), [
      'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ])
  })

  it('keeps its template, except while it is suspended', () => {
    const changed = job()
    changed.spec!.template.spec!.nodeSelector = { zone: 'a' }
    assert.match(
      messages(behavior.validateUpdate!(changed, job()))[0]!,
      /^spec.template: Invalid value: .*: field is immutable$/,
    )
    assert.deepEqual(behavior.validateUpdate!(changed, job({ suspend: true })), [])
    changed.spec!.template.spec!.containers[0]!.image = 'other'
    assert.equal(behavior.validateUpdate!(changed, job({ suspend: true })).length, 1)
  })

  it('keeps its completions', () => {
    const errors = behavior.validateUpdate!(job({ completions: 2 }), job({ completions: 1 }))
    assert.deepEqual(messages(errors), ['spec.completions: Invalid value: 2: field is immutable'])
  })

  it('shows its row', () => {
    const done: Job = {
      ...job({ completions: 2 }),
      status: {
        succeeded: 2,
        startTime: '2026-02-28T23:00:00Z',
        completionTime: '2026-02-28T23:01:30Z',
        conditions: [{ type: 'Complete', status: 'True' }],
      },
    }
    assert.deepEqual(behavior.row!(done, NOW), [
      'j',
      'Complete',
      '2/2',
      '90s',
      '60m',
      'a',
      'web:1',
      'batch.kubernetes.io/controller-uid=u-1',
    ])
    const open: Job = { ...job({ parallelism: 3 }), status: { succeeded: 1 } }
    assert.deepEqual(behavior.row!(open, NOW).slice(1, 4), ['Running', '1/1 of 3', ''])
  })
})

function cronJob(spec: Partial<CronJob['spec']> = {}): CronJob {
  const pod = template()
  pod.spec!.restartPolicy = 'OnFailure'
  const object: CronJob = {
    metadata: { name: 'c', creationTimestamp: CREATED },
    spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: pod } }, ...spec },
  }
  return defaulted('batch', 'CronJob', object)
}

describe('a cron job', () => {
  const behavior = behaviorOf('batch', 'CronJob')

  it('gets defaults, and leaves its job template open', () => {
    const { jobTemplate, ...spec } = cronJob().spec
    assert.deepEqual(spec, {
      schedule: '*/5 * * * *',
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    })
    assert.deepEqual(Object.keys(jobTemplate.spec!), ['template'])
    assert.deepEqual(behavior.validate!(cronJob()), [])
  })

  const cases: [string, Partial<CronJob['spec']>, string][] = [
    [
      'a schedule that is none',
      { schedule: 'x' },
      'spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]',
    ],
    [
      'a zone in the schedule',
      { schedule: 'TZ=UTC * * * * *' },
      'spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
    ],
    [
      'an unknown zone',
      { timeZone: 'Mars/Olympus' },
      'spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus',
    ],
    [
      'an unknown policy',
      { concurrencyPolicy: 'Maybe' },
      'spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
    ],
  ]
  for (const [title, spec, want] of cases) {
    it(`is refused for ${title}`, () => assert.deepEqual(messages(behavior.validate!(cronJob(spec))), [want]))
  }

  it('must leave room for the names of its jobs', () => {
    const long = cronJob()
    long.metadata.name = 'c'.repeat(53)
    assert.equal(
      behavior.validateCreate!(long)[0]!.message,
      `Invalid value: "${long.metadata.name}": must be no more than 52 characters`,
    )
  })

  it('shows its row', () => {
    const object: CronJob = { ...cronJob({ timeZone: 'UTC' }), status: { lastScheduleTime: '2026-02-28T23:55:00Z' } }
    assert.deepEqual(behavior.row!(object, NOW), [
      'c',
      '*/5 * * * *',
      'UTC',
      'False',
      0,
      '5m',
      '60m',
      'a',
      'web:1',
      '<none>',
    ])
  })
})

describe('a replica set', () => {
  const behavior = behaviorOf('apps', 'ReplicaSet')

  it('shows its row and can be selected by its count', () => {
    const object = defaulted('apps', 'ReplicaSet', {
      metadata: { name: 'r', creationTimestamp: CREATED },
      spec: { selector, template: template() },
      status: { replicas: 2, readyReplicas: 1 },
    })
    assert.deepEqual(behavior.row!(object, NOW), ['r', 1, 2, 1, '60m', 'a', 'web:1', 'app=web'])
    assert.deepEqual(behavior.selectableFields!(object), { 'status.replicas': '2' })
  })

  it('must count right', () => {
    const object = { metadata: {}, spec: { selector }, status: { replicas: 1, readyReplicas: 2 } }
    assert.deepEqual(messages(behavior.validateStatusUpdate!(object, object)), [
      'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
    ])
  })
})
