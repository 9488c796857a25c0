import type { Container, Pod } from '@centaurus/api/core/v1'

import type { ContainerDevices } from '../devices/container-devices.ts'
import type { NodeHost } from '../host/node-host.ts'
import { hashContainer } from '../pod/container-hash.ts'
import { ContainerConfigError } from '../pod/environment.ts'
import { expandReferences } from '../pod/expand.ts'
import { containerResources } from '../pod/resources.ts'
import { isHostNetwork, isSidecar } from '../pod/runtime-state.ts'
import { containerSecurity } from '../pod/security.ts'
import type { ContainerConfig, ContainerMount } from '../runtime/config.ts'
import type { RuntimeImage } from '../runtime/container-runtime.ts'
import {
  ANNOTATION_HASH,
  ANNOTATION_PRE_STOP,
  ANNOTATION_RESTART_COUNT,
  ANNOTATION_ROLE,
  ANNOTATION_TERMINATION_PATH,
  ANNOTATION_TERMINATION_POLICY,
  LABEL_CONTAINER_NAME,
  LABEL_POD_NAME,
  LABEL_POD_NAMESPACE,
  LABEL_POD_UID,
} from '../runtime/labels.ts'
import type { VolumePaths } from '../volumes/pod-volumes.ts'

const TERMINATION_PATH_DEFAULT = '/dev/termination-log'

export interface ContainerConfigInput {
  readonly attempt: number
  readonly imageRef: string
  readonly image: RuntimeImage | undefined
  readonly environment: ReadonlyMap<string, string>
  readonly volumes: VolumePaths
  readonly devices: ContainerDevices
  /** Path of the pod's /etc/hosts; undefined: the container keeps its own. */
  readonly hostsFile: string | undefined
  readonly host: NodeHost
  readonly seccompDir: string
  readonly memoryCapacityBytes: number
  /** Id of the container whose process namespace an ephemeral container joins. */
  readonly targetId?: string | undefined
}

/** Source: kuberuntime generateContainerConfig, v1.37. Throws `ContainerConfigError` for what the user must change. */
export async function makeContainerConfig(
  pod: Pod,
  container: Container,
  input: ContainerConfigInput,
): Promise<ContainerConfig> {
  const { devices } = input
  const environment = new Map([...devices.envs, ...input.environment])
  const expand = (text: string): string => expandReferences(text, (name) => environment.get(name))
  const { name = '', namespace = '', uid = '' } = pod.metadata
  return {
    metadata: { name: container.name, attempt: input.attempt },
    image: { image: input.imageRef, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map(expand),
    args: (container.args ?? []).map(expand),
    workingDir: container.workingDir ?? '',
    envs: [...environment].map(([key, value]) => ({ key, value })),
    mounts: [...devices.mounts, ...(await makeMounts(pod, container, input))],
    devices: devices.devices,
    cdiDevices: devices.cdiDevices,
    labels: {
      [LABEL_CONTAINER_NAME]: container.name,
      [LABEL_POD_NAME]: name,
      [LABEL_POD_NAMESPACE]: namespace,
      [LABEL_POD_UID]: uid,
    },
    annotations: {
      ...devices.annotations,
      [ANNOTATION_HASH]: hashContainer(container),
      [ANNOTATION_RESTART_COUNT]: String(input.attempt),
      [ANNOTATION_ROLE]: roleOf(pod, container),
      [ANNOTATION_TERMINATION_PATH]: container.terminationMessagePath ?? TERMINATION_PATH_DEFAULT,
      [ANNOTATION_TERMINATION_POLICY]: container.terminationMessagePolicy ?? 'File',
      ...preStopAnnotation(container),
    },
    logPath: `${container.name}/${input.attempt}.log`,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: {
      resources: containerResources(pod, container, input.memoryCapacityBytes),
      securityContext: containerSecurity(pod, container, input),
    },
  }
}

function roleOf(pod: Pod, container: Container): 'init' | 'sidecar' | 'service' | 'task' {
  if (pod.spec?.initContainers?.some(({ name }) => name === container.name) === true)
    return isSidecar(container) ? 'sidecar' : 'init'
  return (container.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always') === 'Always' ? 'service' : 'task'
}

function preStopAnnotation(container: Container): Record<string, string> {
  const preStop = container.lifecycle?.preStop
  if (preStop === undefined) return {}
  const { httpGet } = preStop
  if (httpGet === undefined) return { [ANNOTATION_PRE_STOP]: JSON.stringify(preStop) }
  const named = container.ports?.find(({ name }) => name === httpGet.port)
  const port = named?.containerPort ?? httpGet.port
  return { [ANNOTATION_PRE_STOP]: JSON.stringify({ ...preStop, httpGet: { ...httpGet, port } }) }
}

async function makeMounts(pod: Pod, container: Container, input: ContainerConfigInput): Promise<ContainerMount[]> {
  const mounts: ContainerMount[] = []
  for (const mount of container.volumeMounts ?? []) {
    const path = input.volumes.get(mount.name)
    if (path === undefined)
      throw new ContainerConfigError(`cannot find volume "${mount.name}" to mount into container "${container.name}"`)
    const subPath =
      mount.subPathExpr === undefined ? (mount.subPath ?? '') : expandStrictly(mount.subPathExpr, input.environment)
    mounts.push({
      containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : `/${mount.mountPath}`,
      hostPath:
        subPath === '' ? path : await input.host.files.resolveSubPath(path, subPath).catch(rethrowAsConfigError),
      readonly: mount.readOnly === true,
      propagation: PROPAGATIONS[mount.mountPropagation ?? 'None'] ?? 'PROPAGATION_PRIVATE',
    })
  }
  const taken = new Set(mounts.map(({ containerPath }) => containerPath))
  if (input.hostsFile !== undefined && !taken.has('/etc/hosts')) mounts.push(plainMount('/etc/hosts', input.hostsFile))
  const terminationPath = container.terminationMessagePath ?? TERMINATION_PATH_DEFAULT
  const file =
    terminationPath === '' || taken.has(terminationPath)
      ? undefined
      : await input.host.files.createTerminationFile(pod, container, input.attempt)
  if (file !== undefined) mounts.push(plainMount(terminationPath, file))
  return mounts
}

const PROPAGATIONS: Partial<Record<string, ContainerMount['propagation']>> = {
  None: 'PROPAGATION_PRIVATE',
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
}

function plainMount(containerPath: string, hostPath: string): ContainerMount {
  return { containerPath, hostPath, readonly: false, propagation: 'PROPAGATION_PRIVATE' }
}

/** A path must not keep `$(NAME)` unexpanded, for it would name a folder nobody meant. */
function expandStrictly(text: string, environment: ReadonlyMap<string, string>): string {
  return expandReferences(text, (name) => {
    const value = environment.get(name)
    if (value === undefined) throw new ContainerConfigError(`missing value for "${name}"`)
    return value
  })
}

function rethrowAsConfigError(cause: unknown): never {
  throw new ContainerConfigError(cause instanceof Error ? cause.message : String(cause), { cause })
}

/** Whether the agent writes the pod's /etc/hosts. Windows and a container's own mount aside, always; the host's is copied for its network. */
export function hostsContent(pod: Pod, managed: string, hostHosts: string, aliases: readonly string[]): string {
  return isHostNetwork(pod) ? `${hostHosts}${aliases.join('\n')}\n` : managed
}
