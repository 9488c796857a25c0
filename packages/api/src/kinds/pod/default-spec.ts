import type { PodSpec, PodTemplateSpec } from '../../generated/types/core/v1.ts'
import { defaultContainer, roundUpResources } from './default-containers.ts'
import { defaultVolume } from './default-volumes.ts'

const DEFAULT_GRACE_SECONDS = 30

/** Fills what pods and pod templates share. Source: SetDefaults_PodSpec and its parts, pkg/apis/core/v1/defaults.go v1.37. */
export function defaultPodSpec(spec: PodSpec): void {
  for (const volume of spec.volumes ?? []) defaultVolume(volume)
  for (const container of spec.initContainers ?? []) defaultContainer(container)
  for (const container of spec.containers ?? []) defaultContainer(container)
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container)
  roundUpResources(spec.overhead)
  roundUpResources(spec.resources?.limits)
  roundUpResources(spec.resources?.requests)
  const account = spec.serviceAccountName || spec.serviceAccount
  if (account !== undefined && account !== '') {
    spec.serviceAccountName = account
    spec.serviceAccount = account
  }
  spec.dnsPolicy = spec.dnsPolicy || 'ClusterFirst'
  spec.restartPolicy = spec.restartPolicy || 'Always'
  spec.securityContext ??= {}
  spec.terminationGracePeriodSeconds ??= DEFAULT_GRACE_SECONDS
  spec.schedulerName = spec.schedulerName || 'default-scheduler'
}

/** Fills the pod template of a workload. Requests and host ports stay as they are until a pod is made from it. */
export function defaultPodTemplate(template: PodTemplateSpec | undefined): void {
  if (template?.spec === undefined || template.spec === null) return
  defaultPodSpec(template.spec)
}
