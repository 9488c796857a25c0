export { startNameServer, type NameServerOptions } from '../dns/testing/name-server.ts'
export type { PolicySet } from '../policy/policy-set.ts'
export {
  addHostDevice,
  createBareHost,
  createPodDevice,
  createWire,
  type HostPlan,
  planHost,
  type PodDevice,
  type PodPlan,
  type Wire,
} from './hosts.ts'
export { NetworkNamespace } from './network-namespace.ts'
export { compareCell, compileWorld, judgeCell, type CompiledWorld } from './policy-cells.ts'
export { generateWorld, listTraffic } from './policy-generator.ts'
export { findKeys, identifyPods, podKey } from './policy-identities.ts'
export {
  askOracle,
  type OracleNode,
  type OraclePod,
  type OracleVerdict,
  type OracleWorld,
  type Party,
  type Traffic,
} from './policy-oracle.ts'
export { ProgramWorld, type ProgramPath } from './policy-programs.ts'
export { describeCell, shrinkWorld } from './policy-shrink.ts'
export {
  openTestDataplane,
  TEST_HOST,
  type FlowRecord,
  type TestDataplane,
  type TestRunOptions,
  type TestVerdict,
} from './test-dataplane.ts'
export { pollSockets, Socket } from './sockets.ts'
export { type BpfObject, loadObject } from '../kernel/bpf-object.ts'
export { BpfMap } from '../kernel/bpf-map.ts'
export { requireBpf } from '../kernel/bpf-syscall.ts'
export { attachProgram } from '../kernel/bpf-link.ts'
export { countPossibleCpus } from '../dataplane/open-programs.ts'
