import type { Pod } from '@centaurus/api/core/v1'
import { runtimeclasses } from '@centaurus/api/node/v1'

import { formatAliases, formatHosts, podDns, podHostname } from '../pod/dns.ts'
import { planPod, type KillAction, type PodPlan, type StartAction } from '../pod/plan-pod.ts'
import { checkSandbox, formatPod, isHostNetwork, podKey, type PodRuntimeState } from '../pod/runtime-state.ts'
import { makeSandboxConfig } from '../pod/sandbox-config.ts'
import type { PodProbes } from '../probes/pod-probes.ts'
import type { SandboxConfig } from '../runtime/config.ts'
import type { VolumePaths } from '../volumes/pod-volumes.ts'
import { hostsContent } from './container-config.ts'
import { createGrace, type Grace } from './grace.ts'
import { StartError } from './images.ts'
import { containerFieldPath } from './pod-events.ts'
import { downwardContext, reportStatus, withLatestStatus, type PodDeps, type PodMemory } from './pod-context.ts'
import { volumeSources } from './pod-sources.ts'
import { startContainer } from './start-container.ts'
import { findSpec, stopAllContainers, stopContainer, type StopDeps } from './stop-containers.ts'

const GRACE_SECONDS_DEFAULT = 30

export interface RunInput {
  readonly memory: PodMemory
  readonly probes: PodProbes
  /** Aborts when the pod is to end. */
  readonly signal: AbortSignal
}

/** When to look again; undefined: when something changes. */
export interface RunResult {
  readonly wakeAtMs: number | undefined
}

/** One step of a pod that should run: plan, then carry out. Throws what a retry with back-off may mend. */
export async function runPod(pod: Pod, state: PodRuntimeState, input: RunInput, deps: PodDeps): Promise<RunResult> {
  const { memory, probes } = input
  const current = withLatestStatus(pod, deps.status.latest(pod.metadata.uid ?? ''))
  const plan = planPod(current, state, {
    nowMs: deps.clock.now(),
    verdicts: probes.verdicts,
    backoffs: memory.backoffs,
    restart: memory.restart,
  })
  const stop = stopDeps(pod, deps)
  const stopped = plan.killPod && (await stopPod(pod, state, { graceSeconds: graceOf(pod), memory }, deps))
  if (!plan.killPod)
    for (const kill of plan.kill) await carryOutKill(pod, state, kill, { ...stop, config: deps.config, memory })
  announceWaits(pod, plan, memory, deps)
  const wake = earliest(plan.wait.map(({ untilMs }) => untilMs))
  if (plan.start.length === 0 && plan.createSandbox === undefined) {
    if (plan.wait.length > 0) reportStatus(pod, state, { memory, probes, terminal: false }, deps)
    if (stopped || plan.kill.length > 0) await deps.cache.refresh(pod.metadata.uid ?? '')
    return { wakeAtMs: wake }
  }
  const ready = await prepareSandbox(pod, plan, state, deps)
  reportStatus(pod, ready.state, { memory, probes, terminal: false }, deps)
  const retry = await startAll(pod, plan.start, { ...ready, ...input }, deps)
  const after = await deps.cache.refresh(pod.metadata.uid ?? '')
  probes.sync(pod, after)
  reportStatus(pod, after, { memory, probes, terminal: false }, deps)
  return { wakeAtMs: earliest([wake, retry]) }
}

function hostAddressOf({ sandboxes: [newest] }: PodRuntimeState, { config }: Pick<PodDeps, 'config'>): string {
  return newest === undefined ? '' : config.hostAddressOf(newest)
}

/** Stops containers and sandboxes; leaves their records. False when nothing was there to stop. */
export async function stopPod(
  pod: Pod,
  state: PodRuntimeState,
  { graceSeconds, memory }: { readonly graceSeconds: number; readonly memory: PodMemory },
  deps: PodDeps,
): Promise<boolean> {
  const running = state.containers.filter(({ phase }) => phase === 'running' || phase === 'unknown')
  const podIp = hostAddressOf(state, deps)
  await withGrace(memory, createGrace(deps.clock, graceSeconds), (grace) =>
    stopAllContainers(pod, running, { grace, podIp }, stopDeps(pod, deps)),
  )
  const sandboxes = state.sandboxes.filter(
    ({ id, ready }) => ready || running.some(({ sandboxId }) => sandboxId === id),
  )
  for (const { id } of sandboxes) await deps.runtime.stopSandbox(id)
  return running.length + sandboxes.length > 0
}

export function graceOf(pod: Pod): number {
  return pod.metadata.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? GRACE_SECONDS_DEFAULT
}

function stopDeps(pod: Pod, deps: PodDeps): StopDeps {
  return {
    runtime: deps.runtime,
    clock: deps.clock,
    dialer: deps.host.dialer,
    logger: deps.logger,
    event: (event) => deps.recordEvent(pod, event),
  }
}

/** What ends the pod sooner finds the grace in the pod's memory, and shortens it. */
async function withGrace(memory: PodMemory, grace: Grace, stop: (grace: Grace) => Promise<void>): Promise<void> {
  memory.graces.add(grace)
  await stop(grace).finally(() => memory.graces.delete(grace))
}

async function carryOutKill(
  pod: Pod,
  state: PodRuntimeState,
  kill: KillAction,
  stop: StopDeps & Pick<PodDeps, 'config'> & { readonly memory: PodMemory },
): Promise<void> {
  const running = state.containers.find(({ id }) => id === kill.containerId)
  if (running === undefined) return
  const container = findSpec(pod, kill.name)
  const probe =
    kill.reason === 'LivenessProbe'
      ? container?.livenessProbe
      : kill.reason === 'StartupProbe'
        ? container?.startupProbe
        : undefined
  const graceSeconds =
    probe?.terminationGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? GRACE_SECONDS_DEFAULT
  const podIp = hostAddressOf(state, stop)
  await withGrace(stop.memory, createGrace(stop.clock, graceSeconds), (grace) =>
    stopContainer(pod, running, { grace, podIp, message: kill.message }, stop),
  )
}

function announceWaits(pod: Pod, plan: PodPlan, memory: PodMemory, deps: PodDeps): void {
  for (const { name, untilMs, message } of plan.wait) {
    memory.waiting.set(name, { reason: 'CrashLoopBackOff', message })
    if (memory.announced.get(name) === untilMs) continue
    memory.announced.set(name, untilMs)
    const container = findSpec(pod, name)
    const fieldPath = container === undefined ? undefined : containerFieldPath(pod, container)
    deps.recordEvent(pod, {
      type: 'Warning',
      reason: 'BackOff',
      message: `Back-off restarting failed container ${name} in pod ${formatPod(pod)}`,
      fieldPath,
    })
  }
}

interface ReadySandbox {
  readonly sandboxId: string
  readonly sandbox: SandboxConfig
  readonly state: PodRuntimeState
  readonly volumes: VolumePaths
  readonly hostsFile: string | undefined
}

async function prepareSandbox(pod: Pod, plan: PodPlan, before: PodRuntimeState, deps: PodDeps): Promise<ReadySandbox> {
  const { host, runtime, config } = deps
  const node = deps.node()
  if (!node.networkReady && !isHostNetwork(pod)) {
    deps.recordEvent(pod, {
      type: 'Warning',
      reason: 'NetworkNotReady',
      message: `network is not ready: ${node.networkMessage}`,
    })
    throw new Error(`network is not ready: ${node.networkMessage}`)
  }
  const check = checkSandbox(pod, before)
  const podIps = check.changed ? [] : (before.sandboxes[0]?.ips ?? [])
  const sources = volumeSources(pod, {
    ...deps,
    downward: downwardContext(pod, podIps, deps),
  })
  const volumes = await host.files.setUpVolumes(pod, sources).catch((error: unknown) => {
    deps.recordEvent(pod, { type: 'Warning', reason: 'FailedMount', message: messageOf(error) })
    throw error
  })
  const names = podHostname(pod, config.clusterDomain)
  const dns = podDns(pod, {
    clusterDns: config.clusterDns,
    clusterDomain: config.clusterDomain,
    host: await host.resolvConf(),
  })
  const hostname =
    pod.spec?.setHostnameAsFQDN === true && names.domain !== '' ? `${names.hostname}.${names.domain}` : names.hostname
  const sandbox = makeSandboxConfig(pod, {
    ...config,
    attempt: plan.createSandbox ?? check.attempt,
    hostname,
    dns: dns.config,
  })
  let state = before
  if (plan.createSandbox !== undefined) {
    if (before.sandboxes.length > 0) {
      deps.recordEvent(pod, {
        type: 'Normal',
        reason: 'SandboxChanged',
        message: 'Pod sandbox changed, it will be killed and re-created.',
      })
    }
    for (const warning of dns.warnings) deps.recordEvent(pod, { type: 'Warning', ...warning })
    await host.files.prepareLogs(sandbox.logDirectory, '')
    const handler = await runtimeHandler(pod, deps)
    await runtime.runSandbox(sandbox, handler).catch((error: unknown) => {
      deps.recordEvent(pod, {
        type: 'Warning',
        reason: 'FailedCreatePodSandBox',
        message: `Failed to create pod sandbox: ${messageOf(error)}`,
      })
      throw error
    })
    state = await deps.cache.refresh(pod.metadata.uid ?? '')
    deps.logger.info('Created sandbox of Pod', { pod: podKey(pod) })
  }
  const newest = state.sandboxes[0]
  if (newest === undefined) throw new Error('the sandbox vanished right after it was made')
  const aliases = formatAliases(pod)
  const managed = formatHosts(pod, { ...names, podIps: newest.ips })
  const hosts = hostsContent(pod, managed, isHostNetwork(pod) ? await host.files.readHostHosts() : '', aliases)
  return { sandboxId: newest.id, sandbox, state, volumes, hostsFile: await host.files.writeHosts(pod, hosts) }
}

async function runtimeHandler(pod: Pod, deps: PodDeps): Promise<string> {
  const name = pod.spec?.runtimeClassName
  if (name === undefined || name === '') return ''
  const runtimeClass = await deps.objects.get(runtimeclasses, '', name)
  if (runtimeClass === undefined) throw new Error(`failed to get sandbox runtime: RuntimeClass "${name}" not found`)
  return runtimeClass.handler
}

async function startAll(
  pod: Pod,
  actions: readonly StartAction[],
  input: ReadySandbox & RunInput,
  deps: PodDeps,
): Promise<number | undefined> {
  const { memory, signal } = input
  const podIps = input.state.sandboxes[0]?.ips ?? []
  const startDeps = {
    ...deps,
    services: deps.services,
    dialer: deps.host.dialer,
    memoryCapacityBytes: deps.node().memoryCapacityBytes,
    event: (event: Parameters<typeof deps.recordEvent>[1]) => deps.recordEvent(pod, event),
  }
  let retry: number | undefined
  for (const action of actions) {
    const { name, image } = action.container
    signal.throwIfAborted()
    // Its own status write wakes a pod: what failed just now is not tried again for that.
    const failed = memory.retries.get(name)
    if (failed !== undefined && failed.image === image && deps.clock.now() < failed.untilMs) {
      retry = earliest([retry, failed.untilMs])
      if (action.role === 'init') break
      continue
    }
    if (action.backoff !== undefined) memory.backoffs.set(name, action.backoff)
    try {
      const startInput = {
        ...input,
        podIps,
        hostAddress: hostAddressOf(input.state, deps),
        downward: downwardContext(pod, podIps, deps),
      }
      await startContainer(pod, action, startInput, startDeps)
      memory.waiting.delete(name)
      memory.retries.delete(name)
    } catch (error) {
      if (!(error instanceof StartError)) throw error
      memory.waiting.set(name, { reason: error.reason, message: error.message })
      deps.logger.warn('Could not start container of Pod', {
        pod: podKey(pod),
        container: name,
        reason: error.reason,
        error,
      })
      const untilMs = error.retryAtMs ?? deps.clock.now() + CONFIG_RETRY_MS
      memory.retries.set(name, { untilMs, image })
      retry = earliest([retry, untilMs])
      if (action.role === 'init') break
    }
    const state = await deps.cache.refresh(pod.metadata.uid ?? '')
    input.probes.sync(pod, state)
    reportStatus(pod, state, { memory, probes: input.probes, terminal: false }, deps)
  }
  return retry
}

/** A container that can't be made is tried again after this. Source: kubelet resync of a failed pod, about 10 s. */
const CONFIG_RETRY_MS = 10_000

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
