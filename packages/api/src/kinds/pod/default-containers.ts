import type {
  Container,
  EphemeralContainer,
  HTTPGetAction,
  Lifecycle,
  PodSpec,
  Probe,
} from '../../generated/types/core/v1.ts'
import { createQuantity, formatQuantity, parseQuantity } from '../../quantity/quantity.ts'
import { defaultPullPolicy } from './image.ts'

const NANOS_PER_MILLI = 1_000_000n

type AnyContainer = Container | EphemeralContainer

/** Fills one container. Source: SetDefaults_Container and SetDefaults_Probe, pkg/apis/core/v1/defaults.go v1.37. */
export function defaultContainer(container: AnyContainer): void {
  container.imagePullPolicy = container.imagePullPolicy || defaultPullPolicy(container.image)
  container.terminationMessagePath = container.terminationMessagePath || '/dev/termination-log'
  container.terminationMessagePolicy = container.terminationMessagePolicy || 'File'
  container.resources ??= {}
  for (const port of container.ports ?? []) port.protocol = port.protocol || 'TCP'
  for (const variable of container.env ?? []) {
    const source = variable.valueFrom
    if (source?.fieldRef !== undefined) source.fieldRef.apiVersion = source.fieldRef.apiVersion || 'v1'
    if (source?.fileKeyRef !== undefined) source.fileKeyRef.optional ??= false
    if (source?.resourceFieldRef !== undefined) source.resourceFieldRef.divisor = source.resourceFieldRef.divisor || '0'
  }
  roundUpResources(container.resources.limits)
  roundUpResources(container.resources.requests)
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe !== undefined) defaultProbe(probe)
  }
  if (container.lifecycle !== undefined) defaultLifecycle(container.lifecycle)
}

/** Gives a request to every resource that has a limit and no request. Only pods have this, not templates. */
export function defaultRequestsFromLimits(containers: readonly Container[] | undefined): void {
  for (const { resources } of containers ?? []) {
    if (resources?.limits === undefined) continue
    resources.requests = { ...resources.limits, ...resources.requests }
  }
}

/** On the host's network a container port is a host port. */
export function defaultHostNetworkPorts(spec: PodSpec): void {
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    for (const port of container.ports ?? []) port.hostPort = port.hostPort || port.containerPort
  }
}

/**
 * Rounds amounts up to a thousandth, which is the finest that resources have. Source: SetDefaults_ResourceList.
 * Texts that are no quantity stay, for validation to report.
 */
export function roundUpResources(resources: Record<string, string> | undefined): void {
  if (resources === undefined) return
  for (const [name, text] of Object.entries(resources)) {
    // Only these suffixes (nano, micro, a negative exponent or four decimals) can be finer than a thousandth.
    if (!/[nu]$|e-|\.\d{4}/i.test(text)) continue
    resources[name] = roundUpToMilli(text)
  }
}

function roundUpToMilli(text: string): string {
  try {
    const quantity = parseQuantity(text)
    const excess = quantity.nanos % NANOS_PER_MILLI
    if (excess === 0n) return text
    const up = excess > 0n ? NANOS_PER_MILLI - excess : -NANOS_PER_MILLI - excess
    return formatQuantity(createQuantity(quantity.nanos + up, quantity.format))
  } catch {
    return text
  }
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds = probe.timeoutSeconds || 1
  probe.periodSeconds = probe.periodSeconds || 10
  probe.successThreshold = probe.successThreshold || 1
  probe.failureThreshold = probe.failureThreshold || 3
  if (probe.grpc !== undefined) probe.grpc.service ??= ''
  defaultHTTPGet(probe.httpGet)
}

function defaultLifecycle(lifecycle: Lifecycle): void {
  defaultHTTPGet(lifecycle.postStart?.httpGet)
  defaultHTTPGet(lifecycle.preStop?.httpGet)
}

function defaultHTTPGet(action: HTTPGetAction | undefined): void {
  if (action === undefined) return
  action.path = action.path || '/'
  action.scheme = action.scheme || 'HTTP'
}
