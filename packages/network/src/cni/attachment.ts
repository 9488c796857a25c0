import { createHash } from 'node:crypto'
import { parseIpv4 } from '@centaurus/base'
import type { AttachedPod } from './pod-network-source.ts'

/** Address of the gateway in every pod. It never leaves a pod. */
export const GATEWAY_ADDRESS = '169.254.1.1'
/** Host ends of pods' veths, and nothing else, have such names. */
export const POD_DEVICE_PATTERN = /^cen[0-9a-f]{12}$/

/** A port of the host that leads to a pod. */
export interface HostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly hostPort: number
  /** Undefined: every address of the host. */
  readonly hostIP: string | undefined
  readonly containerPort: number
}

/** What is kept of a pod's attachment, so that it can be taken away by whoever comes after a crash. */
export interface Attachment extends AttachedPod {
  /** `adding`: not yet answered. Whoever finds it so after a crash takes it away. */
  readonly phase: 'adding' | 'ready'
  /** Path of its network namespace; undefined when it had to be made up from the endpoint. */
  readonly netns: string | undefined
  /** Name of the device in the pod. */
  readonly ifname: string
  readonly mtu: number
  readonly hostPorts: readonly HostPort[]
  readonly createdAtMs: number
}

/** Name of the host's end of the veth of one attachment; 15 characters, which is the most a device may have. */
export function deviceNameOf(containerId: string, ifname: string): string {
  return `cen${createHash('sha256').update(`${containerId}\0${ifname}`).digest('hex').slice(0, 12)}`
}

/** MAC address of a pod: its IPv4 address behind a prefix of ours, so that it is unique wherever the address is. */
export function macOf(ip: string): string {
  const value = parseIpv4(ip) ?? 0
  return `0a:ce:${value
    .toString(16)
    .padStart(8, '0')
    .replaceAll(/(..)(?=.)/g, '$1:')}`
}
