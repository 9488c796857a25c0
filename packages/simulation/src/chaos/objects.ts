import type { DaemonSet, Deployment, StatefulSet } from '@centaurus/api/apps/v1'
import type { CronJob, Job } from '@centaurus/api/batch/v1'
import type { ConfigMap, Pod, PodTemplateSpec, ResourceQuota, Service } from '@centaurus/api/core/v1'
import type { Random } from '@centaurus/base'
import { STEERING_PREFIX } from '../steering.ts'

export interface Place {
  readonly namespace: string
  readonly name: string
}

export const HIGH_PRIORITY_CLASS = 'high'
/** Retries enough for whatever the faults do to a job that succeeds by itself. */
const BACKOFF_LIMIT_GENEROUS = 1_000

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.integer(values.length)]!
}

function makeTemplate(random: Random, { name }: Place, annotations: Record<string, string> = {}): PodTemplateSpec {
  const slow = random.next() < 0.3 ? { [`${STEERING_PREFIX}ready-after`]: String(random.integer(15)) } : {}
  const requests = { cpu: pick(random, ['0', '20m', '50m', '150m']), memory: pick(random, ['0', '16Mi', '64Mi']) }
  const probe = { readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 + random.integer(5) } }
  return {
    metadata: { labels: { app: name }, annotations: { ...slow, ...annotations } },
    spec: {
      terminationGracePeriodSeconds: random.integer(6),
      containers: [{ name: 'main', image: 'nginx:1', resources: { requests }, ...(random.next() < 0.5 ? probe : {}) }],
    },
  }
}

export function makeDeployment(random: Random, place: Place): Deployment {
  const rolling = {
    type: 'RollingUpdate',
    rollingUpdate: { maxSurge: 1 + random.integer(2), maxUnavailable: random.integer(2) },
  }
  return {
    metadata: { ...place },
    spec: {
      replicas: random.integer(7),
      selector: { matchLabels: { app: place.name } },
      strategy: random.next() < 0.8 ? rolling : { type: 'Recreate' },
      template: makeTemplate(random, place),
    },
  }
}

export function makeStatefulSet(random: Random, place: Place): StatefulSet {
  return {
    metadata: { ...place },
    spec: {
      replicas: random.integer(4),
      serviceName: place.name,
      podManagementPolicy: random.next() < 0.7 ? 'OrderedReady' : 'Parallel',
      selector: { matchLabels: { app: place.name } },
      template: makeTemplate(random, place),
    },
  }
}

export function makeDaemonSet(random: Random, place: Place): DaemonSet {
  return {
    metadata: { ...place },
    spec: { selector: { matchLabels: { app: place.name } }, template: makeTemplate(random, place) },
  }
}

/** `willFail` decides how the job's tasks end. */
export function makeJob(random: Random, place: Place, options: { readonly willFail: boolean }): Job {
  const template = makeTemplate(random, place, {
    [`${STEERING_PREFIX}run-seconds`]: String(random.integer(12)),
    [`${STEERING_PREFIX}exit-code`]: options.willFail ? '1' : '0',
  })
  const ttl = random.next() < 0.2 ? { ttlSecondsAfterFinished: random.integer(60) } : {}
  return {
    metadata: { ...place },
    spec: {
      completions: 1 + random.integer(5),
      parallelism: 1 + random.integer(3),
      completionMode: pick(random, ['NonIndexed', 'Indexed']),
      backoffLimit: options.willFail ? random.integer(2) : BACKOFF_LIMIT_GENEROUS,
      ...ttl,
      template: { ...template, spec: { ...template.spec!, restartPolicy: 'Never' } },
    },
  }
}

export function makeCronJob(random: Random, place: Place): CronJob {
  const job = makeJob(random, place, { willFail: false }).spec!
  return {
    metadata: { ...place },
    spec: {
      schedule: '*/1 * * * *',
      concurrencyPolicy: pick(random, ['Allow', 'Forbid', 'Replace']),
      jobTemplate: { spec: { ...job, completions: 1, parallelism: 1, completionMode: 'NonIndexed' } },
    },
  }
}

export function makePod(random: Random, place: Place): Pod {
  const { metadata, spec } = makeTemplate(random, place)
  const [container] = spec!.containers
  const port = { containerPort: 80, hostPort: 8_000 + random.integer(3) }
  return {
    metadata: { ...metadata, ...place },
    spec: {
      ...spec!,
      containers: [{ ...container!, ...(random.next() < 0.5 ? { ports: [port] } : {}) }],
      ...(random.next() < 0.3 ? { priorityClassName: HIGH_PRIORITY_CLASS } : {}),
    },
  }
}

export function makeService(random: Random, place: Place): Service {
  return {
    metadata: { ...place },
    spec: {
      type: pick(random, ['ClusterIP', 'ClusterIP', 'NodePort']),
      selector: { app: pick(random, ['web-0', 'web-1', 'set-0', 'set-1', 'agent-0']) },
      ports: [{ port: 80 }],
    },
  }
}

export function makeConfigMap(random: Random, place: Place): ConfigMap {
  return { metadata: { ...place }, data: { value: String(random.integer(1_000_000)) } }
}

export function makeQuota(_random: Random, place: Place): ResourceQuota {
  return {
    metadata: { ...place },
    spec: { hard: { pods: '60', configmaps: '40', services: '20', 'count/jobs.batch': '60' } },
  }
}
