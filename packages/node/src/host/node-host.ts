import type { Container, NodeSystemInfo, Pod } from '@centaurus/api/core/v1'

import type { DnsConfig } from '../runtime/config.ts'
import type { LocalVolumes } from '../volumes/local-volumes.ts'
import type { VolumeSources, VolumePaths } from '../volumes/pod-volumes.ts'

/** What the agent needs of its machine beside a container runtime: files of pods, facts, and a way to knock at ports. */
export interface NodeHost {
  readonly files: PodFiles
  /** Persistent volumes that it can keep; absent: it keeps none. */
  readonly localVolumes?: LocalVolumes | undefined
  /** Capacity and identity; read once an hour at most. */
  facts(): Promise<HostFacts>
  /** What is left right now. */
  pressure(): Promise<HostPressure>
  /** What the whole machine uses; absent where there is no machine. */
  usage?(): Promise<HostUsage>
  resolvConf(): Promise<DnsConfig>
  readonly dialer: Dialer
}

export interface PodFiles {
  /** Makes folders and volumes; throws the text of FailedMount. */
  setUpVolumes(pod: Pod, sources: VolumeSources): Promise<VolumePaths>
  refreshVolumes(pod: Pod, sources: VolumeSources): Promise<void>
  /** Idempotent; throws while something is still mounted. */
  tearDown(podUid: string): Promise<void>
  /** Uids that have a folder. */
  podUids(): Promise<readonly string[]>
  /** Writes the pod's /etc/hosts; returns its path, or undefined when nothing is to be mounted. */
  writeHosts(pod: Pod, content: string): Promise<string | undefined>
  /** The host's own /etc/hosts, for pods with the host's network. */
  readHostHosts(): Promise<string>
  /** A path within a volume, made when missing. */
  resolveSubPath(volumePath: string, subPath: string): Promise<string>
  /** An empty file for the termination message; undefined: none can be mounted. */
  createTerminationFile(pod: Pod, container: Container, attempt: number): Promise<string | undefined>
  /** Content of that file, at most 4 KiB; '' when there is none. */
  readTerminationFile(podUid: string, containerName: string, attempt: number): Promise<string>
  /** Last lines of a log in CRI format, without their prefix, at most 2 KiB or 80 lines. */
  readLogTail(logPath: string): Promise<string>
  /** Bytes on disk of one emptyDir of the pod; 0 when it is not there. */
  measureEmptyDir(podUid: string, volumeName: string): Promise<number>
  /** Bytes on disk of one container's logs. */
  measureLogs(directory: string, containerName: string): Promise<number>
  prepareLogs(directory: string, containerName: string): Promise<void>
  removeLogs(directory: string): Promise<void>
  /** Names in the folder of all pods' logs. */
  logDirectories(podLogsDir: string): Promise<readonly string[]>
  /** Moves a log of at least `bytesMax` away, compresses those before, and keeps `filesMax` in all; true: the runtime must open the path afresh. */
  rotateLog(logPath: string, limits: { readonly bytesMax: number; readonly filesMax: number }): Promise<boolean>
}

export interface HostFacts {
  readonly cpuMillicores: number
  readonly memoryBytes: number
  readonly ephemeralStorageBytes: number
  /** `hugepages-2Mi` and the like, bytes. */
  readonly hugepages: Readonly<Record<string, number>>
  readonly hostname: string
  readonly nodeInfo: Omit<NodeSystemInfo, 'containerRuntimeVersion' | 'kubeletVersion' | 'kubeProxyVersion'>
}

export interface HostUsage {
  /** Since it started, all processors together. */
  readonly cpuUsageNanos: number
  readonly memoryWorkingSetBytes: number
  readonly memoryAvailableBytes: number
}

export interface HostPressure {
  readonly memoryAvailableBytes: number
  readonly diskAvailablePercent: number
  readonly inodesAvailablePercent: number
  readonly pidsAvailable: number
}

/** Knocks at ports, for probes and hooks. Times in ms. */
export interface Dialer {
  /** Resolves with the status code; throws when nothing answers in time. */
  http(request: HttpRequest): Promise<{ readonly status: number; readonly body: string }>
  /** Throws when it can't connect. */
  tcp(host: string, port: number, timeoutMs: number): Promise<void>
  /** grpc.health.v1.Health/Check; returns the status, `SERVING` when well. */
  grpcHealth(
    host: string,
    port: number,
    options: { readonly service: string; readonly timeoutMs: number },
  ): Promise<string>
}

export interface HttpRequest {
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly timeoutMs: number
}
