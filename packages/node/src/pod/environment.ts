import { NAMESPACE_ANNOTATION, TENANT_ANNOTATION } from '@centaurus/api'
import type { ConfigMap, Container, Pod, Secret, Service } from '@centaurus/api/core/v1'

import { asksCluster } from './dns.ts'
import { podFieldValue, resourceFieldValue, type DownwardContext } from './downward.ts'
import { expandReferences } from './expand.ts'

/** Source: kubeadm's GetAPIServerAltNames. */
const API_NAME = 'kubernetes.default.svc'

export interface EnvironmentSources {
  /** Undefined: not found. */
  configMap(name: string): ConfigMap | undefined
  secret(name: string): Secret | undefined
  /** Services whose variables the pod sees. */
  readonly services: readonly Service[]
  readonly downward: DownwardContext
}

/** What the user wrote can't be made into a container; becomes CreateContainerConfigError. */
export class ContainerConfigError extends Error {
  override readonly name = 'ContainerConfigError'
}

/**
 * Environment of a container in upstream's order: service links, then envFrom, then env; later wins. Throws {@link ContainerConfigError}
 * when something that is not optional is missing. Source: kubelet makeEnvironmentVariables, v1.37.
 */
export function makeEnvironment(pod: Pod, container: Container, sources: EnvironmentSources): Map<string, string> {
  const services = serviceVariables(pod, sources.services)
  const result = new Map<string, string>()
  for (const from of container.envFrom ?? []) {
    const data = envFromData(from, sources, pod.metadata.namespace ?? '')
    for (const [key, value] of Object.entries(data)) result.set(`${from.prefix ?? ''}${key}`, value)
  }
  for (const variable of container.env ?? []) {
    if (variable.valueFrom === undefined) {
      result.set(
        variable.name,
        expandReferences(variable.value ?? '', (name) => result.get(name) ?? services.get(name)),
      )
      continue
    }
    const value = resolveVariable(pod, container, variable, sources)
    if (value !== undefined) result.set(variable.name, value)
  }
  for (const [key, value] of services) if (!result.has(key)) result.set(key, value)
  return result
}

type EnvFrom = NonNullable<Container['envFrom']>[number]
type EnvVariable = NonNullable<Container['env']>[number]

function envFromData(from: EnvFrom, sources: EnvironmentSources, namespace: string): Record<string, string> {
  if (from.configMapRef !== undefined) {
    const map = sources.configMap(from.configMapRef.name ?? '')
    if (map !== undefined) return map.data ?? {}
    if (from.configMapRef.optional === true) return {}
    throw new ContainerConfigError(`configmap "${from.configMapRef.name ?? ''}" not found`)
  }
  if (from.secretRef !== undefined) {
    const secret = sources.secret(from.secretRef.name ?? '')
    if (secret !== undefined) return decodeSecret(secret)
    if (from.secretRef.optional === true) return {}
    throw new ContainerConfigError(`secret "${from.secretRef.name ?? ''}" not found`)
  }
  void namespace
  return {}
}

function resolveVariable(
  pod: Pod,
  container: Container,
  variable: EnvVariable,
  sources: EnvironmentSources,
): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, ...others } = variable.valueFrom!
  const { downward } = sources
  if (fieldRef !== undefined) return podFieldValue(pod, fieldRef.fieldPath, downward)
  if (resourceFieldRef !== undefined) return resourceFieldValue(pod, resourceFieldRef, { ...downward, container })
  const where = `${pod.metadata.namespace ?? ''}/`
  if (configMapKeyRef !== undefined) {
    const map = sources.configMap(configMapKeyRef.name ?? '')
    return pick(map?.data, configMapKeyRef, map === undefined, { kind: 'configmap', label: 'ConfigMap', where })
  }
  if (secretKeyRef !== undefined) {
    const secret = sources.secret(secretKeyRef.name ?? '')
    return pick(secret && decodeSecret(secret), secretKeyRef, secret === undefined, {
      kind: 'secret',
      label: 'Secret',
      where,
    })
  }
  const kind = Object.keys(others)[0] ?? 'none'
  throw new ContainerConfigError(
    `environment variable "${variable.name}": source ${kind} is not supported by this node`,
  )
}

function pick(
  data: Readonly<Record<string, string>> | undefined,
  ref: { readonly name?: string | undefined; readonly key: string; readonly optional?: boolean | undefined },
  missing: boolean,
  words: { readonly kind: string; readonly label: string; readonly where: string },
): string | undefined {
  const value = data?.[ref.key]
  if (value !== undefined || ref.optional === true) return value
  if (missing) throw new ContainerConfigError(`${words.kind} "${ref.name ?? ''}" not found`)
  throw new ContainerConfigError(`couldn't find key ${ref.key} in ${words.label} ${words.where}${ref.name ?? ''}`)
}

function decodeSecret(secret: Secret): Record<string, string> {
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  )
}

/**
 * `NAME_SERVICE_HOST` and the docker-link variables of each service. A tenant's API is named, where names can be looked up: its server's certificate has
 * that name and not the addresses of all tenants' Services. Source: kubelet envvars.FromServices, v1.37.
 */
export function serviceVariables(pod: Pod, services: readonly Service[]): Map<string, string> {
  const result = new Map<string, string>()
  for (const service of services) {
    const ip = service.spec?.clusterIP
    const ports = service.spec?.ports ?? []
    if (ip === undefined || ip === '' || ip === 'None' || ports.length === 0) continue
    const name = toVariable(service.metadata.name ?? '')
    result.set(`${name}_SERVICE_HOST`, isTenantsApi(service) && asksCluster(pod) ? API_NAME : ip)
    result.set(`${name}_SERVICE_PORT`, String(ports[0]!.port))
    for (const port of ports)
      if (port.name) result.set(`${name}_SERVICE_PORT_${toVariable(port.name)}`, String(port.port))
    ports.forEach((port, i) => {
      const protocol = port.protocol ?? 'TCP'
      const url = `${protocol.toLowerCase()}://${ip.includes(':') ? `[${ip}]` : ip}:${port.port}`
      const prefix = `${name}_PORT_${port.port}_${protocol}`
      if (i === 0) result.set(`${name}_PORT`, url)
      result.set(prefix, url)
      result.set(`${prefix}_PROTO`, protocol.toLowerCase())
      result.set(`${prefix}_PORT`, String(port.port))
      result.set(`${prefix}_ADDR`, ip)
    })
  }
  return result
}

function isTenantsApi({ metadata: { name, annotations } }: Service): boolean {
  const isOfTenant = annotations?.[TENANT_ANNOTATION] !== undefined
  return isOfTenant && name === 'kubernetes' && annotations[NAMESPACE_ANNOTATION] === 'default'
}

function toVariable(name: string): string {
  return name.toUpperCase().replaceAll('-', '_')
}
