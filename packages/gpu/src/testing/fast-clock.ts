import { systemClock, type Clock } from '@centaurus/base'

const SPEED = 50

/** A clock whose seconds are short, for tests beside processes that have their own time. */
export const fastClock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * SPEED,
  sleep: (ms, options) => systemClock.sleep(ms / SPEED, options),
  setTimer: (ms, fire) => systemClock.setTimer(ms / SPEED, fire),
}
