import type { Container, Pod } from '@centaurus/api/core/v1'
import type { Clock, Random } from '@centaurus/base'

import type { PodEvent } from '../agent/pod-events.ts'
import { containerFieldPath } from '../agent/pod-events.ts'
import { isSidecar, type PodRuntimeState } from '../pod/runtime-state.ts'
import type { ProbeVerdict, ProbeVerdicts } from '../pod/plan-pod.ts'
import type { SandboxDetail } from '../runtime/container-runtime.ts'
import { ProbeWorker, type ProbeKind } from './probe-worker.ts'
import type { ProbeDeps } from './run-probe.ts'

export interface PodProbesOptions {
  readonly clock: Clock
  readonly random: Random
  readonly deps: ProbeDeps
  readonly event: (event: PodEvent) => void
  readonly onChange: () => void
  /** Where this host reaches a sandbox. */
  readonly hostAddressOf: (sandbox: SandboxDetail) => string
}

const KINDS: readonly ProbeKind[] = ['startup', 'liveness', 'readiness']

/** All probes of one pod: a worker for each running container and kind. Liveness and readiness begin when startup has succeeded. */
export class PodProbes {
  readonly #options: PodProbesOptions
  readonly #workers = new Map<string, ProbeWorker>()
  readonly #verdicts = {
    startup: new Map<string, ProbeVerdict>(),
    liveness: new Map<string, ProbeVerdict>(),
    readiness: new Map<string, ProbeVerdict>(),
  }

  constructor(options: PodProbesOptions) {
    this.#options = options
  }

  get verdicts(): ProbeVerdicts {
    return this.#verdicts
  }

  /** Starts and ends workers so that they match what runs. `readinessOnly`: the pod is ending; its liveness no longer matters. */
  sync(pod: Pod, state: PodRuntimeState, { readinessOnly = false }: { readonly readinessOnly?: boolean } = {}): void {
    const wanted = new Set<string>()
    const sandbox = state.sandboxes.find(({ ready }) => ready)
    const podIp =
      pod.spec?.hostNetwork === true ? '127.0.0.1' : sandbox === undefined ? '' : this.#options.hostAddressOf(sandbox)
    for (const container of probedContainers(pod)) {
      const running = state.containers.find(({ name }) => name === container.name)
      if (running?.phase !== 'running') continue
      for (const kind of KINDS) {
        if (!this.#applies(container, running.id, kind, readinessOnly)) continue
        const key = `${running.id} ${kind}`
        wanted.add(key)
        if (!this.#workers.has(key))
          this.#workers.set(
            key,
            this.#start(pod, container, { kind, podIp, containerId: running.id, startedAtMs: running.startedAtMs }),
          )
      }
    }
    for (const [key, worker] of this.#workers) {
      if (wanted.has(key)) continue
      worker.close()
      this.#workers.delete(key)
    }
    this.#forgetGone(state)
  }

  close(): void {
    for (const worker of this.#workers.values()) worker.close()
    this.#workers.clear()
  }

  #applies(container: Container, containerId: string, kind: ProbeKind, readinessOnly: boolean): boolean {
    if (container[`${kind}Probe`] === undefined) return false
    const started = container.startupProbe === undefined || this.#verdicts.startup.get(containerId) === 'success'
    if (kind === 'startup') return !started && this.#verdicts.startup.get(containerId) === undefined && !readinessOnly
    return started && (kind === 'readiness' || !readinessOnly)
  }

  #start(
    pod: Pod,
    container: Container,
    {
      kind,
      podIp,
      containerId,
      startedAtMs,
    }: { readonly kind: ProbeKind; readonly podIp: string; readonly containerId: string; readonly startedAtMs: number },
  ): ProbeWorker {
    const { clock, random, deps, event, onChange } = this.#options
    return new ProbeWorker({
      pod,
      container,
      containerId,
      podIp,
      kind,
      probe: container[`${kind}Probe`]!,
      startedAtMs,
      clock,
      random,
      deps,
      onVerdict: (verdict) => {
        this.#verdicts[kind].set(containerId, verdict)
        onChange()
      },
      onUnhealthy: (message) =>
        event({ type: 'Warning', reason: 'Unhealthy', message, fieldPath: containerFieldPath(pod, container) }),
    })
  }

  #forgetGone(state: PodRuntimeState): void {
    const ids = new Set(state.containers.map(({ id }) => id))
    for (const kind of KINDS)
      for (const id of this.#verdicts[kind].keys()) if (!ids.has(id)) this.#verdicts[kind].delete(id)
  }
}

function probedContainers(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])]
}
