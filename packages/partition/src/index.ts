export { createMembership, type Membership } from './membership/membership.ts'
export {
  createOpenLink,
  issuePartitionCertificate,
  partitionClientConfig,
  type LinkIdentity,
  type LinkRequest,
  type LinkResponse,
  type LinkStream,
  type OpenLink,
  type PartitionLink,
} from './membership/partition-link.ts'
export { memberOf, requireMember } from './membership/require-member.ts'
export { registryDefinitions } from './registry/definitions.ts'
export { createRegistryExtension } from './registry/registry-extension.ts'
