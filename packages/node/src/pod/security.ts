import type { Container, Pod } from '@centaurus/api/core/v1'

import type {
  ContainerSecurityContext,
  NamespaceOption,
  SandboxSecurityContext,
  SecurityProfile,
} from '../runtime/config.ts'
import type { RuntimeImage } from '../runtime/container-runtime.ts'
import { ContainerConfigError } from './environment.ts'

/** Source: containerd's and docker's default masked and read-only paths, kubelet securitycontext/util.go, v1.37. */
const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

type SeccompProfile = NonNullable<NonNullable<Pod['spec']>['securityContext']>['seccompProfile']

export function namespaceOptions(pod: Pod, targetId?: string): NamespaceOption {
  const spec = pod.spec
  return {
    network: spec?.hostNetwork === true ? 'NODE' : 'POD',
    ipc: spec?.hostIPC === true ? 'NODE' : 'POD',
    pid:
      targetId !== undefined
        ? 'TARGET'
        : spec?.hostPID === true
          ? 'NODE'
          : spec?.shareProcessNamespace === true
            ? 'POD'
            : 'CONTAINER',
    ...(targetId === undefined ? {} : { targetId }),
  }
}

export function sandboxSecurity(pod: Pod, seccompDir: string): SandboxSecurityContext {
  const context = pod.spec?.securityContext
  if (pod.spec?.hostUsers === false) {
    throw new ContainerConfigError(
      'user namespaces (hostUsers: false) are not supported by the container runtime of this node',
    )
  }
  const privileged = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].some(
    (container) => container.securityContext?.privileged === true,
  )
  return {
    namespaceOptions: namespaceOptions(pod),
    // The sandbox always runs under the runtime's profile. Source: kuberuntime_sandbox.go, v1.37.
    seccomp: toProfile(context?.seccompProfile, seccompDir) ?? { profileType: 'RuntimeDefault', localhostRef: '' },
    supplementalGroups: supplementalGroups(pod),
    privileged,
    ...(context?.runAsUser === undefined ? {} : { runAsUser: { value: context.runAsUser } }),
    ...(context?.runAsGroup === undefined || context.runAsUser === undefined
      ? {}
      : { runAsGroup: { value: context.runAsGroup } }),
  }
}

/** Source: kubelet determineEffectiveSecurityContext and verifyRunAsNonRoot, v1.37. */
export function containerSecurity(
  pod: Pod,
  container: Container,
  {
    image,
    seccompDir,
    targetId,
  }: { readonly image: RuntimeImage | undefined; readonly seccompDir: string; readonly targetId?: string | undefined },
): ContainerSecurityContext {
  const podContext = pod.spec?.securityContext
  const own = container.securityContext
  const runAsUser = own?.runAsUser ?? podContext?.runAsUser
  const runAsGroup = own?.runAsGroup ?? podContext?.runAsGroup
  verifyNonRoot(own?.runAsNonRoot ?? podContext?.runAsNonRoot ?? false, container, { runAsUser, image })
  const user = runAsUser ?? image?.uid
  const unmasked = own?.procMount === 'Unmasked'
  const seccomp =
    own?.privileged === true ? undefined : toProfile(own?.seccompProfile ?? podContext?.seccompProfile, seccompDir)
  return {
    capabilities: { addCapabilities: own?.capabilities?.add ?? [], dropCapabilities: own?.capabilities?.drop ?? [] },
    privileged: own?.privileged === true,
    namespaceOptions: namespaceOptions(pod, targetId),
    ...(user === undefined ? {} : { runAsUser: { value: user } }),
    ...(user === undefined && (image?.username ?? '') !== '' ? { runAsUsername: image!.username } : {}),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    readonlyRootfs: own?.readOnlyRootFilesystem === true,
    supplementalGroups: supplementalGroups(pod),
    noNewPrivs: own?.allowPrivilegeEscalation === false,
    maskedPaths: unmasked ? [] : MASKED_PATHS,
    readonlyPaths: unmasked ? [] : READONLY_PATHS,
    seccomp: seccomp ?? { profileType: 'Unconfined', localhostRef: '' },
  }
}

function verifyNonRoot(
  required: boolean,
  container: Container,
  { runAsUser, image }: { readonly runAsUser: number | undefined; readonly image: RuntimeImage | undefined },
): void {
  if (!required) return
  if (runAsUser === 0)
    throw new ContainerConfigError(`container's runAsUser breaks non-root policy (container: ${container.name})`)
  if (runAsUser !== undefined) return
  if ((image?.username ?? '') !== '') {
    throw new ContainerConfigError(
      `container has runAsNonRoot and image has non-numeric user (${image!.username}), cannot verify user is non-root (container: ${container.name})`,
    )
  }
  if ((image?.uid ?? 0) === 0)
    throw new ContainerConfigError(
      `container has runAsNonRoot and image will run as root (container: ${container.name})`,
    )
}

function supplementalGroups(pod: Pod): number[] {
  const context = pod.spec?.securityContext
  return [...(context?.fsGroup === undefined ? [] : [context.fsGroup]), ...(context?.supplementalGroups ?? [])]
}

function toProfile(profile: SeccompProfile, seccompDir: string): SecurityProfile | undefined {
  switch (profile?.type) {
    case 'RuntimeDefault':
      return { profileType: 'RuntimeDefault', localhostRef: '' }
    case 'Unconfined':
      return { profileType: 'Unconfined', localhostRef: '' }
    case 'Localhost':
      return { profileType: 'Localhost', localhostRef: `${seccompDir}/${profile.localhostProfile ?? ''}` }
    default:
      return undefined
  }
}
