/**
 * The level "baseline" of the Pod Security Standards: what a Pod may not ask for if it is not to get at its node, or at whom it shares
 * the node with. Pure. Source: kubernetes staging/src/k8s.io/pod-security-admission/policy/check_*.go, v1.37.
 */
import type { Container, EphemeralContainer, Pod, PodSpec, SecurityContext } from '@centaurus/api/core/v1'

const CAPABILITIES = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])
const SELINUX_TYPES = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'])
const SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
])

type AnyContainer = Container | EphemeralContainer

/** What the Pod asks for beyond the baseline, such as `host namespaces (hostNetwork=true)`; empty when it keeps to it. */
export function findBaselineViolations({ spec, metadata }: Readonly<Pod>): string[] {
  if (spec === undefined) return []
  const containers: AnyContainer[] = [
    ...(spec.initContainers ?? []),
    ...(spec.containers ?? []),
    ...(spec.ephemeralContainers ?? []),
  ]
  return [
    ...hostNamespaces(spec),
    ...containers.flatMap((container) => checkContainer(container)),
    ...(spec.volumes ?? []).flatMap(({ name, hostPath }) =>
      hostPath === undefined ? [] : [`hostPath volumes (volume "${name}")`],
    ),
    ...checkContext(spec.securityContext, 'pod'),
    ...(spec.securityContext?.sysctls ?? []).flatMap(({ name }) =>
      SYSCTLS.has(name) ? [] : [`forbidden sysctls (${name})`],
    ),
    ...Object.entries(metadata.annotations ?? {}).flatMap(([key, value]) =>
      key.startsWith('container.apparmor.security.beta.kubernetes.io/') && value === 'unconfined'
        ? [`forbidden AppArmor profile (${key}="${value}")`]
        : [],
    ),
  ]
}

function hostNamespaces({ hostNetwork, hostPID, hostIPC }: PodSpec): string[] {
  const used = Object.entries({ hostNetwork, hostPID, hostIPC }).flatMap(([name, on]) =>
    on === true ? [`${name}=true`] : [],
  )
  return used.length === 0 ? [] : [`host namespaces (${used.join(', ')})`]
}

function checkContainer(container: AnyContainer): string[] {
  const who = `container "${container.name}"`
  const context = container.securityContext
  const found = checkContext(context, who)
  if (context?.privileged === true) found.push(`privileged (${who} must not set securityContext.privileged=true)`)
  const added = (context?.capabilities?.add ?? []).filter((name) => !CAPABILITIES.has(name))
  if (added.length > 0) {
    const list = added.map((name) => JSON.stringify(name)).join(', ')
    found.push(`non-default capabilities (${who} must not include ${list} in securityContext.capabilities.add)`)
  }
  if ((context?.procMount ?? 'Default') !== 'Default') {
    found.push(`procMount (${who} must not set securityContext.procMount to ${JSON.stringify(context?.procMount)})`)
  }
  for (const { hostPort = 0 } of container.ports ?? []) {
    if (hostPort !== 0) found.push(`hostPort (${who} uses hostPort ${hostPort})`)
  }
  return [...found, ...checkProbes(container, who)]
}

/** A host in a probe makes the node ask whom the Pod says. */
function checkProbes(container: AnyContainer, who: string): string[] {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container
  const handlers = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
  return handlers.flatMap((handler) => {
    const host = handler?.httpGet?.host ?? handler?.tcpSocket?.host ?? ''
    return host === '' ? [] : [`probe or lifecycle host (${who} uses probe or lifecycle host "${host}")`]
  })
}

type Context = Pick<SecurityContext, 'seccompProfile' | 'seLinuxOptions' | 'appArmorProfile' | 'windowsOptions'>

function checkContext(context: Context | undefined, who: string): string[] {
  if (context === undefined) return []
  const { seccompProfile, seLinuxOptions, appArmorProfile, windowsOptions } = context
  const found: string[] = []
  if (seccompProfile?.type === 'Unconfined') {
    found.push(`seccompProfile (${who} must not set securityContext.seccompProfile.type to "Unconfined")`)
  }
  if (appArmorProfile?.type === 'Unconfined') {
    found.push(`forbidden AppArmor profile (${who} must not set AppArmor profile type to "Unconfined")`)
  }
  const { type = '', user = '', role = '' } = seLinuxOptions ?? {}
  if (!SELINUX_TYPES.has(type) || user !== '' || role !== '') {
    found.push(`seLinuxOptions (${who} set forbidden securityContext.seLinuxOptions)`)
  }
  if (windowsOptions?.hostProcess === true) {
    found.push(`hostProcess (${who} must not set securityContext.windowsOptions.hostProcess=true)`)
  }
  return found
}
