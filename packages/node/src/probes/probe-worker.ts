import type { Container, Pod, Probe } from '@centaurus/api/core/v1'
import type { Clock, Random } from '@centaurus/base'

import { runProbe, type ProbeDeps, type ProbeOutcome } from './run-probe.ts'

export type ProbeKind = 'startup' | 'liveness' | 'readiness'

export interface ProbeWorkerOptions {
  readonly pod: Pod
  readonly container: Container
  readonly containerId: string
  readonly podIp: string
  readonly kind: ProbeKind
  readonly probe: Probe
  readonly startedAtMs: number
  readonly clock: Clock
  readonly random: Random
  readonly deps: ProbeDeps
  /** The verdict changed, after the thresholds. */
  readonly onVerdict: (verdict: 'success' | 'failure') => void
  /** A single attempt did not succeed; text for the Unhealthy event. */
  readonly onUnhealthy: (message: string) => void
}

/** Defaults as the API server would have set them; for static pods and tests. */
const PERIOD_SECONDS = 10
const TIMEOUT_SECONDS = 1
const FAILURE_THRESHOLD = 3

/**
 * Probes one container until closed: first after the initial delay, then each period, counting towards the thresholds.
 * Source: kubelet prober/worker.go, v1.37.
 */
export class ProbeWorker {
  readonly #options: ProbeWorkerOptions
  readonly #abort = new AbortController()
  #verdict: 'success' | 'failure' | undefined
  #last: ProbeOutcome['result'] | undefined
  #runs = 0

  constructor(options: ProbeWorkerOptions) {
    this.#options = options
    void this.#run().catch(() => undefined) // ends by abort alone
  }

  close(): void {
    this.#abort.abort(new Error('The probe was closed'))
  }

  async #run(): Promise<void> {
    const { probe, clock, startedAtMs } = this.#options
    const { signal } = this.#abort
    const delayMs = startedAtMs + (probe.initialDelaySeconds ?? 0) * 1000 - clock.now()
    if (delayMs > 0) await clock.sleep(delayMs, { signal })
    const periodMs = (probe.periodSeconds ?? PERIOD_SECONDS) * 1000
    while (!signal.aborted) {
      await this.#once()
      // A container that has just failed or not yet succeeded its first readiness probe is asked each period all the same.
      await clock.sleep(periodMs, { signal })
    }
  }

  async #once(): Promise<void> {
    const { pod, container, containerId, podIp, probe, kind, deps, onUnhealthy } = this.#options
    const timeoutMs = (probe.timeoutSeconds ?? TIMEOUT_SECONDS) * 1000
    const outcome = await runProbe(pod, probe, { container, containerId, podIp, timeoutMs }, deps)
    if (this.#abort.signal.aborted) return
    if (outcome.result !== 'success') {
      const what = `${kind[0]!.toUpperCase()}${kind.slice(1)}`
      onUnhealthy(
        outcome.errored
          ? `${what} probe errored and resulted in ${outcome.result} state: ${outcome.output}`
          : `${what} probe failed: ${outcome.output}`,
      )
    }
    this.#count(outcome.result)
  }

  #count(result: ProbeOutcome['result']): void {
    const { probe, onVerdict } = this.#options
    if (result === 'unknown') return // neither good nor bad
    this.#runs = this.#last === result ? this.#runs + 1 : 1
    this.#last = result
    const threshold =
      result === 'success' ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? FAILURE_THRESHOLD)
    if (this.#runs < threshold || this.#verdict === result) return
    this.#verdict = result
    onVerdict(result)
  }
}
