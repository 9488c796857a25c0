/** Pods of a TrainingJob, and what they are told of each other. Pure. */
import { controllerOf, NAMESPACE_ANNOTATION, ownerReferenceTo, type Stored } from '@centaurus/api'
import {
  TRAINING_BOUNDS_ANNOTATION,
  TRAINING_INDEX_LABEL,
  TRAINING_JOB_LABEL,
  TRAINING_PORT,
  TRAINING_ROLE_LABEL,
  TRAINING_WORLD_LABEL,
  type TrainingJob,
} from '@centaurus/api/centaurus/v1'
import type { ConfigMap, Container, EnvVar, Pod, PodSpec, PodTemplateSpec, Service } from '@centaurus/api/core/v1'
import { gpuRequestsOf } from '@centaurus/api/gpu'

/** Time for a checkpoint, when the job says none. */
const CHECKPOINT_SECONDS = 60
/** Where the list of hosts is in the launcher. */
const HOSTS_PATH = '/etc/centaurus-training'

/** Whether workers may come and go while the others run. Otherwise all begin anew. */
export function isElasticInPlace({ spec }: Pick<TrainingJob, 'spec'>): boolean {
  return spec.framework === 'Torch' || spec.framework === 'Horovod'
}

export function workerIndexOf({ metadata }: Pod): number {
  return Number(metadata.labels?.[TRAINING_INDEX_LABEL] ?? -1)
}

export function worldOf({ metadata }: Pod): number {
  return Number(metadata.labels?.[TRAINING_WORLD_LABEL] ?? 0)
}

export function isLauncher({ metadata }: Pod): boolean {
  return metadata.labels?.[TRAINING_ROLE_LABEL] === 'launcher'
}

/** Whether a pod's program was told of other fewest and most workers than the job has now. It can't be told again. */
export function isOutdated(job: TrainingJob, { metadata }: Pod): boolean {
  const told = metadata.annotations?.[TRAINING_BOUNDS_ANNOTATION]
  return told !== undefined && told !== boundsOf(job)
}

function boundsOf({ spec }: TrainingJob): string {
  return `${spec.workers.min}:${spec.workers.max}`
}

export interface WorldShape {
  readonly world: number
  /** Workers of this world, of which a worker is told in the environment. */
  readonly workers: number
  /** Nodes that its pods go around. */
  readonly avoid: readonly string[]
}

/** A worker. Its name is the same each time, so that none is made twice. */
export function buildWorker(job: Stored<TrainingJob>, index: number, shape: WorldShape): Pod {
  const { framework, workers, checkpoint } = job.spec
  const environment = framework === 'Torch' ? torchEnvironment(job) : plainEnvironment(job, index, shape)
  const env = [...environment, ...reportEnvironment(job)]
  const pod = buildTrainingPod(job, workers.template, { role: 'worker', index, env, shape })
  pod.spec!.schedulingGroup = { podGroupName: job.metadata.name }
  pod.spec!.terminationGracePeriodSeconds =
    checkpoint?.gracePeriodSeconds ?? workers.template.spec?.terminationGracePeriodSeconds ?? CHECKPOINT_SECONDS
  const [first, ...rest] = pod.spec!.containers
  if (checkpoint?.command !== undefined && first !== undefined) {
    const lifecycle = { ...first.lifecycle, preStop: { exec: { command: [...checkpoint.command] } } }
    pod.spec!.containers = [{ ...first, lifecycle }, ...rest]
  }
  return pod
}

/** Starts the workers of Horovod and MPI, which are named in a file of its own. */
export function buildLauncher(job: Stored<TrainingJob>, shape: WorldShape): Pod {
  const env: EnvVar[] = [
    { name: 'OMPI_MCA_orte_default_hostfile', value: `${HOSTS_PATH}/hostfile` },
    { name: 'HOROVOD_HOST_DISCOVERY_SCRIPT', value: `${HOSTS_PATH}/discover-hosts.sh` },
    { name: 'CENTAURUS_WORKERS', value: String(shape.workers) },
    { name: 'CENTAURUS_WORKERS_MIN', value: String(job.spec.workers.min) },
    { name: 'CENTAURUS_WORKERS_MAX', value: String(job.spec.workers.max) },
    ...reportEnvironment(job),
  ]
  const pod = buildTrainingPod(job, job.spec.launcher!.template, { role: 'launcher', index: undefined, env, shape })
  const spec = pod.spec!
  const mount = { name: 'centaurus-training', mountPath: HOSTS_PATH }
  spec.volumes = [
    ...(spec.volumes ?? []),
    { name: mount.name, configMap: { name: hostsName(job), defaultMode: 0o755 } },
  ]
  spec.containers = spec.containers.map((each) => ({ ...each, volumeMounts: [...(each.volumeMounts ?? []), mount] }))
  return pod
}

export function hostsName({ metadata }: TrainingJob): string {
  return `${metadata.name}-hosts`
}

/** Which hosts there are, for mpirun and for horovodrun, which asks again and again. */
export function buildHosts(job: Stored<TrainingJob>, workers: readonly Stored<Pod>[]): ConfigMap {
  const slots = gpusPerWorker(job)
  const hosts = workers.map((pod) => `${pod.metadata.name}.${job.metadata.name}`).sort()
  const script = ['#!/bin/sh', ...hosts.map((host) => `echo ${host}:${slots}`), ''].join('\n')
  return {
    metadata: owned(job, hostsName(job)),
    data: {
      hostfile: hosts.map((host) => `${host} slots=${slots}\n`).join(''),
      'discover-hosts.sh': script,
    },
  }
}

/** Gives workers names. They find each other before they are ready. */
export function buildService(job: Stored<TrainingJob>): Service {
  return {
    metadata: owned(job, job.metadata.name),
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { [TRAINING_JOB_LABEL]: job.metadata.name },
      ports: [{ name: 'rendezvous', port: TRAINING_PORT }],
    },
  }
}

export function owned(
  job: Stored<TrainingJob>,
  name: string,
): { name: string; namespace: string; ownerReferences: [ReturnType<typeof ownerReferenceTo>] } {
  const owner = { ...job, apiVersion: 'centaurus.io/v1', kind: 'TrainingJob' }
  return { name, namespace: job.metadata.namespace ?? '', ownerReferences: [ownerReferenceTo(owner)] }
}

export function isOwnedBy(job: Stored<TrainingJob>, object: Parameters<typeof controllerOf>[0]): boolean {
  return controllerOf(object)?.uid === job.metadata.uid
}

/** Processes of one worker: one a GPU, or one. */
function gpusPerWorker({ spec }: TrainingJob): number {
  const template = spec.workers.template
  const { requests } = gpuRequestsOf({ metadata: template.metadata ?? {}, spec: template.spec! })
  const count = (requests?.containers ?? []).reduce((sum, { request }) => sum + request.count, 0)
  return Math.max(1, count)
}

/** Source: torchrun's options as environment (torch/distributed/argparse_util.py): PET_ and the option's name. */
function torchEnvironment(job: Stored<TrainingJob>): EnvVar[] {
  const { min, max } = job.spec.workers
  return [
    { name: 'PET_NNODES', value: min === max ? String(min) : `${min}:${max}` },
    { name: 'PET_NPROC_PER_NODE', value: String(gpusPerWorker(job)) },
    { name: 'PET_RDZV_BACKEND', value: 'c10d' },
    { name: 'PET_RDZV_ID', value: job.metadata.uid },
    { name: 'PET_RDZV_ENDPOINT', value: `${firstHost(job)}:${TRAINING_PORT}` },
    // A change of the workers counts as a restart there; failures are counted here.
    { name: 'PET_MAX_RESTARTS', value: String(2 ** 31 - 1) },
  ]
}

/** Source: torch.distributed's and JAX' names for the same. */
function plainEnvironment(job: Stored<TrainingJob>, index: number, { workers }: WorldShape): EnvVar[] {
  return [
    { name: 'WORLD_SIZE', value: String(workers) },
    { name: 'RANK', value: String(index) },
    { name: 'MASTER_ADDR', value: firstHost(job) },
    { name: 'MASTER_PORT', value: String(TRAINING_PORT) },
  ]
}

function reportEnvironment({ metadata }: Stored<TrainingJob>): EnvVar[] {
  const namespace = metadata.annotations?.[NAMESPACE_ANNOTATION] ?? metadata.namespace
  const path = `/apis/centaurus.io/v1/namespaces/${namespace}/trainingreports/${metadata.name}`
  return [{ name: 'CENTAURUS_TRAINING_REPORT', value: path }]
}

/** In its own namespace, which the search list of its pods has. */
function firstHost({ metadata }: Stored<TrainingJob>): string {
  return `${metadata.name}-worker-0.${metadata.name}`
}

interface TrainingPod {
  readonly role: 'worker' | 'launcher'
  readonly index: number | undefined
  readonly env: readonly EnvVar[]
  readonly shape: WorldShape
}

function buildTrainingPod(
  job: Stored<TrainingJob>,
  template: PodTemplateSpec,
  { role, index, env, shape }: TrainingPod,
): Pod & { metadata: { name: string } } {
  const name = index === undefined ? `${job.metadata.name}-${role}` : `${job.metadata.name}-${role}-${index}`
  const labels = {
    ...template.metadata?.labels,
    [TRAINING_JOB_LABEL]: job.metadata.name,
    [TRAINING_ROLE_LABEL]: role,
    [TRAINING_WORLD_LABEL]: String(shape.world),
    ...(index === undefined ? {} : { [TRAINING_INDEX_LABEL]: String(index) }),
  }
  const told = isElasticInPlace(job) ? { [TRAINING_BOUNDS_ANNOTATION]: boundsOf(job) } : {}
  const annotations = { ...template.metadata?.annotations, ...told }
  const addTo = (container: Container): Container => {
    const said = new Set((container.env ?? []).map(({ name: known }) => known))
    return { ...container, env: [...env.filter(({ name: own }) => !said.has(own)), ...(container.env ?? [])] }
  }
  const spec: PodSpec = {
    ...template.spec!,
    restartPolicy: template.spec!.restartPolicy ?? 'Never',
    containers: template.spec!.containers.map(addTo),
    hostname: name,
    subdomain: job.metadata.name,
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...owned(job, name), labels, annotations },
    spec: shape.avoid.length === 0 ? spec : withAvoided(spec, shape.avoid),
  }
}

/** Also goes around these nodes, whatever else the template wants. */
function withAvoided(spec: PodSpec, nodes: readonly string[]): PodSpec {
  const expression = { key: 'metadata.name', operator: 'NotIn' as const, values: [...nodes] }
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const terms = required?.nodeSelectorTerms ?? [{}]
  const nodeSelectorTerms = terms.map((term) => ({
    ...term,
    matchFields: [...(term.matchFields ?? []), ...nodes.map((node) => ({ ...expression, values: [node] }))],
  }))
  return {
    ...spec,
    affinity: {
      ...spec.affinity,
      nodeAffinity: {
        ...spec.affinity?.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
      },
    },
  }
}
