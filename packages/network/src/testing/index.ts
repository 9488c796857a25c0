export { startTestDaemon, type TestDaemonOptions } from '../cni/testing/start-daemon.ts'
export { startNameServer, type NameServerOptions } from '../dns/testing/name-server.ts'
export type { PolicySet } from '../policy/policy-set.ts'
export {
  addHostDevice,
  createBareHost,
  createHostsOn,
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
  buildTracedPrograms,
  openTestDataplane,
  TEST_HOST,
  type FlowRecord,
  type TestDataplane,
  type TestRunOptions,
  type TestVerdict,
} from './test-dataplane.ts'
export { type Sender, sendOrder, steady, windowed } from './senders.ts'
export { type Passed, ShapedUplink } from './shaped-uplink.ts'
export { fairShares, jainIndex, measure } from './shaping-reference.ts'
export { planClasses } from '../qos/plan-qdiscs.ts'
export { RateController } from '../qos/rate-controller.ts'
export { pollSockets, Socket } from './sockets.ts'
export { type BpfObject, loadObject } from '../kernel/bpf-object.ts'
export { BpfMap } from '../kernel/bpf-map.ts'
export { requireBpf } from '../kernel/bpf-syscall.ts'
export { attachProgram } from '../kernel/bpf-link.ts'
export { countPossibleCpus } from '../dataplane/open-programs.ts'
export { openPrograms, type OpenPrograms, type ProgramName } from '../dataplane/open-programs.ts'
export { buildTestPrograms, TestCluster, type TestHost, type TestPod } from './cluster.ts'
export { sendInBulk } from './bulk.ts'
export { DATAGRAM_BYTES, Loads, type Load } from './loads.ts'
export { ShaperMeter } from './shaper-meter.ts'
export { measureRoundTrips, percentile } from './round-trips.ts'
export { startShapingKeeper, type ShapingKeeper } from '../daemon/shaping-keeper.ts'
export { EchoServer, findWrongProbes, type Probe } from './reachability.ts'
export { ethernet, geneve, GENEVE_PORT, identityOption, ipv4, PROTOCOL_NUMBERS, udp } from './frames.ts'
export { ALLOW_ALL, allowPorts, CLOSED, DENY_ALL, OPEN, policySet } from './policy-sets.ts'
export type { Dataplane, Endpoint, Shaper } from '../dataplane/dataplane.ts'
export { DEFAULT_SHAPER, LEVEL_DSCP, levelShaper } from '../qos/levels.ts'
export { LocalSets, type SetChanges } from '../policy/local-sets.ts'
export { PolicyWorld } from '../policy/policy-world.ts'
export { RuleBook } from '../policy/rule-book.ts'
export { PolicyCluster, type PodSpec } from './policy-cluster.ts'
export { runChurnRound } from './churn.ts'
export { fuzzFrames } from './frame-fuzz.ts'
export { type FuzzerName, fuzzProgram, FUZZERS } from './fuzz.ts'
export { ClusterView } from '../daemon/cluster-view.ts'
export { PodNetworks, type AppliedChange } from '../daemon/pod-networks.ts'
export { reportTenant } from '../policy-report/report-tenant.ts'
