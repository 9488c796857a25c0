export {
  type Guest,
  GUEST_NODE_FLAGS,
  type GuestOptions,
  type RunOptions,
  type RunResult,
  startGuest,
} from './guest.ts'
export { type Kernel, prepareKernel } from './kernel.ts'
export { MissingError } from './missing-error.ts'
