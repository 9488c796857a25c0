import type { ChildProcess } from 'node:child_process'
import type { KnownProcess } from './measure/processes.ts'
import type { TlsIdentity } from './wire/lean-connection.ts'

/** One partition that runs in processes of its own. */
export interface ScalePartition {
  readonly name: string
  /** `https://host:port` of its API server. */
  readonly url: string
  readonly isTenant: boolean
  readonly isResource: boolean
}

/** Where some users live. */
export interface ScaleTenant {
  /** `system`: no prefix in paths. */
  readonly name: string
  /** Name of its partition. */
  readonly partition: string
}

/** The cluster that a run drives: started, and ended, by whoever knows how. */
export interface ScaleCluster {
  readonly partitions: readonly ScalePartition[]
  /** Whose load it is. */
  readonly tenants: readonly ScaleTenant[]
  /** The system tenant of the home partition: has the DaemonSets. */
  readonly operators: ScaleTenant
  /** May do everything. */
  readonly admin: TlsIdentity
  /** May speak for nodes and nothing else. */
  readonly nodes: TlsIdentity
  processes(): readonly KnownProcess[]
  /** Flushes to the disk of all stores, since they were opened first. */
  flushes(): number
  /** A new process that serves hollow nodes. */
  forkNodes(): ChildProcess
  /** Kills every process of the partition without warning, and starts it again after `downMs`; resolves when it answers. */
  crash(partition: string, downMs: number): Promise<void>
}

/** Path prefix of a tenant's API. */
export function tenantPrefix(tenant: string): string {
  return tenant === 'system' ? '' : `/tenants/${tenant}`
}
