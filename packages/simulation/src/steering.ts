/** Annotations of a pod that tell its simulated containers what to do. */
export const STEERING_PREFIX = 'simulation.centaurus.io/'

export interface Steering {
  /** `run-seconds`: how long containers run; undefined: services for ever, tasks a second. */
  readonly runMs: number | undefined
  /** `exit-code`: how they end; with it a service ends too. */
  readonly exitCode: number | undefined
  /** `ready-after`: seconds after its start until probes succeed. */
  readonly readyAfterMs: number
}

/** Reads the orders; what is not a number is as if absent. */
export function readSteering(annotations: Readonly<Record<string, string>>): Steering {
  const number = (name: string): number | undefined => {
    const value = Number(annotations[STEERING_PREFIX + name] ?? Number.NaN)
    return Number.isFinite(value) && value >= 0 ? value : undefined
  }
  const runSeconds = number('run-seconds')
  return {
    runMs: runSeconds === undefined ? undefined : runSeconds * 1000,
    exitCode: number('exit-code'),
    readyAfterMs: (number('ready-after') ?? 0) * 1000,
  }
}
