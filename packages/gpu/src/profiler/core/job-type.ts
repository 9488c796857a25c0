import type { Pod } from '@centaurus/api/core/v1'

/** Says which pods do the same, where their owner does not. */
export const JOB_TYPE_LABEL = 'centaurus.io/gpu-job-type'
const TEMPLATE_HASH_LABEL = 'pod-template-hash'
const TYPE_LENGTH_MAX = 512

/**
 * What a container's pod is one of, the same over restarts and for each pod of its owner: namespace, kind and name of the owner (a Deployment instead of its ReplicaSets, a CronJob
 * instead of its Jobs) or the label, container and image. Pure.
 */
export function jobTypeOf({ metadata, spec }: Pod, container: string): string {
  const label = metadata.labels?.[JOB_TYPE_LABEL]
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
  const image = containers.find(({ name }) => name === container)?.image ?? ''
  const who = label === undefined ? ownerOf({ metadata }) : `type/${label}`
  return [metadata.namespace ?? '', who, container, image].join(' ').slice(0, TYPE_LENGTH_MAX)
}

function ownerOf({ metadata }: Pick<Pod, 'metadata'>): string {
  const owners = metadata.ownerReferences ?? []
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0]
  if (owner === undefined) return `Pod/${metadata.name ?? ''}`
  const hash = metadata.labels?.[TEMPLATE_HASH_LABEL]
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`))
    return `Deployment/${owner.name.slice(0, -hash.length - 1)}`
  // minutes since the epoch. Source: kubernetes/pkg/controller/cronjob getJobName
  const cron = owner.kind === 'Job' ? /^(.+)-\d{8}$/.exec(owner.name) : null
  return cron === null ? `${owner.kind}/${owner.name}` : `CronJob/${cron[1]}`
}
