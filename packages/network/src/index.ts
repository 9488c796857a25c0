export type { Counters, Dataplane, DropEvent, Endpoint, Route } from './dataplane/dataplane.ts'
export type {
  CidrVerdicts,
  PolicySet,
  PolicySetPeers,
  PortProtocol,
  RuleId,
  Segment,
  VerdictList,
} from './policy/policy-set.ts'
export { usedLabelKeys, type PolicyObjects } from './policy/used-label-keys.ts'
export type { ServiceBackend, ServiceFrontend, ServiceProtocol, ServiceTables } from './services/service-tables.ts'
