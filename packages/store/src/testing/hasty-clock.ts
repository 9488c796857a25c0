import { systemClock, type Clock } from '@centaurus/base'

/** The system's clock, but `factor` times as fast: so that a test need not wait for a long timeout. */
export function createHastyClock(factor: number): Clock {
  return {
    now: () => systemClock.now(),
    monotonicMs: () => systemClock.monotonicMs() * factor,
    sleep: (ms, options) => systemClock.sleep(ms / factor, options),
    setTimer: (ms, fire) => systemClock.setTimer(ms / factor, fire),
  }
}
