export type { PolicySet } from '../policy/policy-set.ts'
export {
  addHostDevice,
  createBareHost,
  createPodDevice,
  createWire,
  type HostPlan,
  mountBpf,
  planHost,
  type PodDevice,
  type PodPlan,
  type Wire,
} from './hosts.ts'
export { NetworkNamespace } from './network-namespace.ts'
export { pollSockets, Socket } from './sockets.ts'
