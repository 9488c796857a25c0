import type { Pod } from '@centaurus/api/core/v1'

import type { DnsConfig, SandboxConfig } from '../runtime/config.ts'
import {
  ANNOTATION_POD_GRACE,
  ANNOTATION_POD_PRIORITY,
  LABEL_POD_NAME,
  LABEL_POD_NAMESPACE,
  LABEL_POD_UID,
} from '../runtime/labels.ts'
import { portMappings } from './ports.ts'
import { podQosClass } from './resources.ts'
import { sandboxSecurity } from './security.ts'

export interface SandboxConfigOptions {
  readonly attempt: number
  readonly hostname: string
  readonly dns: DnsConfig
  readonly podLogsDir: string
  readonly seccompDir: string
  readonly cgroupRoot: string
}

/** Source: kuberuntime generatePodSandboxConfig, v1.37. */
export function makeSandboxConfig(pod: Pod, options: SandboxConfigOptions): SandboxConfig {
  const { name = '', namespace = '', uid = '' } = pod.metadata
  return {
    metadata: { name, uid, namespace, attempt: options.attempt },
    hostname: pod.spec?.hostNetwork === true ? '' : options.hostname,
    logDirectory: podLogDirectory(pod, options.podLogsDir),
    dnsConfig: options.dns,
    portMappings: portMappings(pod),
    labels: { ...pod.metadata.labels, [LABEL_POD_NAME]: name, [LABEL_POD_NAMESPACE]: namespace, [LABEL_POD_UID]: uid },
    annotations: {
      ...pod.metadata.annotations,
      [ANNOTATION_POD_GRACE]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
      [ANNOTATION_POD_PRIORITY]: String(pod.spec?.priority ?? 0),
    },
    linux: {
      cgroupParent: podCgroup(pod, options.cgroupRoot),
      securityContext: sandboxSecurity(pod, options.seccompDir),
      sysctls: Object.fromEntries(
        (pod.spec?.securityContext?.sysctls ?? []).map((sysctl) => [sysctl.name, sysctl.value]),
      ),
    },
  }
}

/** `NAMESPACE_NAME_UID` below the logs' folder. */
export function podLogDirectory(pod: Pod, podLogsDir: string): string {
  const { name = '', namespace = '', uid = '' } = pod.metadata
  return `${podLogsDir}/${namespace}_${name}_${uid}`
}

/** Parent cgroup of a pod by its quality of service; '' without a root. Source: kubelet cm/pod_container_manager_linux.go, cgroupfs driver. */
export function podCgroup(pod: Pod, cgroupRoot: string): string {
  if (cgroupRoot === '') return ''
  const qos = podQosClass(pod)
  const tier = qos === 'Guaranteed' ? '' : `/${qos.toLowerCase()}`
  return `${cgroupRoot}/kubepods${tier}/pod${pod.metadata.uid ?? ''}`
}
