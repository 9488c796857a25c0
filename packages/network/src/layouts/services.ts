/** Records of services; see services/table-state.ts for who writes them, bpf/service.h for who reads them. */
import { address, array, bits, ipv4, padding, struct, u16, u32, u64, u8, type ValueOf } from './struct.ts'

/** Backends of all services of a host: 28 B each, taken whole at start. */
export const SERVICE_BACKENDS_MAX = 65_536
/** Slots of Maglev tables come in chunks, so that a table is written by few calls. */
export const SERVICE_CHUNK_SLOTS = 64
/** 8 MiB, taken whole at start: 2,097,152 slots. */
export const SERVICE_CHUNKS_MAX = 32_768
export const SERVICE_FRONTENDS_MAX = 131_072
export const SERVICE_SOURCES_MAX = 65_536
/** Clients with affinity; the least recently used one makes room. */
export const SERVICE_CLIENTS_MAX = 16_384
/** Flows through services, one entry a flow (two when its source is translated too); the least recently used one makes room. */
export const SERVICE_FLOWS_MAX = 65_536
/** Bits that say which addresses may lead to a service, by {@link serviceAddressBit}, and which ports are node ports. */
export const SERVICE_FILTER_WORDS = 1024

/** Bits of {@link serviceFrontend}'s flags. */
export const SERVICE_EXTERNAL = 1
export const SERVICE_KEEPS_SOURCE = 2
export const SERVICE_SOURCE_RANGES = 4
export const SERVICE_EMPTY_DROPS = 8
export const SERVICE_EXTERNAL_EMPTY_DROPS = 16

/** Bits of {@link serviceBackend}'s flags; 0: the endpoint is gone. */
export const BACKEND_KNOWN = 1
export const BACKEND_CHOSEN = 2
export const BACKEND_CHOSEN_EXTERNAL = 4
/** Flows without connections may stay. */
export const BACKEND_SERVES = 8

/** Network 0: this host, and who comes from outside of the cluster. Address 0.0.0.0: a node port. Port and protocol 0: any other of a ClusterIP, refused. */
export const serviceKey = struct('service_key', { vni: u32, ip: address, port: u16, protocol: u8, pad: padding(1) })
export const serviceFrontend = struct('service_frontend', {
  /** Frontends of one port of a Service share it. */
  service: u32,
  /** Of the backends. */
  vni: u32,
  /** First of the chunks that hold its slots, and how many slots there are: a prime, 1, or 0 for no backend. */
  chunk: u32,
  slots: u32,
  externalChunk: u32,
  externalSlots: u32,
  /** How long a client stays with its backend, in the programs' coarse seconds; 0: no affinity. */
  affinity: u32,
  flags: u32,
})
export const serviceChunk = struct('service_chunk', { backends: array(u32, SERVICE_CHUNK_SLOTS) })
export const serviceBackend = struct('service_backend', {
  ip: address,
  port: u16,
  flags: u16,
  /** Raised whenever another endpoint gets the place. */
  generation: u32,
  service: u32,
})
/** For an LPM trie: `prefixLength` counts from `service`. */
export const serviceSourceKey = struct('service_source_key', { prefixLength: u32, service: u32, ip: address })
export const serviceSource = struct('service_source', { allowed: u32 })
export const serviceClientKey = struct('service_client_key', { service: u32, vni: u32, ip: address })
export const serviceClient = struct('service_client', { backend: u32, generation: u32, seen: u32 })

/** A packet before translation; of IPv4, as everything that programs write for each flow. */
export const serviceFlowKey = struct('service_flow_key', {
  vni: bits(24),
  protocol: bits(8),
  source: ipv4,
  destination: ipv4,
  sourcePort: u16,
  destinationPort: u16,
})
/** What it becomes. */
export const serviceFlow = struct('service_flow', {
  source: ipv4,
  destination: ipv4,
  sourcePort: u16,
  destinationPort: u16,
  vni: u32,
  backend: u32,
  generation: u32,
  /** {@link serviceState}'s when the backend was last found to be there. */
  epoch: u32,
  /** Out of which device answers leave; 0: to a pod or this host's stack. */
  ifindex: u32,
  /** Coarse seconds since boot. */
  seen: u32,
  flags: u32,
})

export const serviceState = struct('service_state', {
  /** Raised when a backend gets less than it had, so that flows look whether theirs is still there. */
  epoch: u32,
  pad: padding(4),
  addresses: array(u64, SERVICE_FILTER_WORDS),
  nodePorts: array(u64, SERVICE_FILTER_WORDS),
})

export type ServiceKey = ValueOf<typeof serviceKey>
export type ServiceFrontendRecord = ValueOf<typeof serviceFrontend>
export type ServiceBackendRecord = ValueOf<typeof serviceBackend>
export type ServiceSourceKey = ValueOf<typeof serviceSourceKey>
