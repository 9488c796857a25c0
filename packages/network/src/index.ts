export type { Counters, Dataplane, DropEvent, Endpoint, Route } from './dataplane/dataplane.ts'
export { removeClusterDns, startClusterDns, type ClusterDnsOptions } from './dns/cluster-dns.ts'
export type { DnsClient } from './dns/dns-client.ts'
export type { DnsServer } from './dns/dns-server.ts'
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
export {
  createHealthCheckServer,
  type HealthCheckServer,
  type HealthCheckServerDeps,
} from './services/health-check-server.ts'
export type { HealthCheck } from './services/health-check.ts'
export { planServices, type ServiceInputs, type ServicePlan, type SkippedService } from './services/plan.ts'
export type {
  DrainingBackend,
  EmptyAnswer,
  ServiceBackend,
  ServiceFrontend,
  ServiceProtocol,
  ServiceTables,
} from './services/service-tables.ts'
