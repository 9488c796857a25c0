/**
 * What the node agent needs of whatever runs containers: containerd through CRI, or a simulation.
 * Shapes follow CRI v1, reduced to what the agent uses; times are milliseconds since the epoch, sizes bytes.
 */
import type { UpgradedConnection } from '@centaurus/streams'

import type { ContainerConfig, LinuxResources, SandboxConfig } from './config.ts'

export interface ContainerRuntime {
  version(): Promise<RuntimeVersion>
  status(): Promise<RuntimeStatus>
  listSandboxes(filter?: RuntimeFilter): Promise<readonly SandboxSummary[]>
  listContainers(filter?: RuntimeFilter): Promise<readonly ContainerSummary[]>
  /** Undefined when it is gone. */
  sandboxStatus(sandboxId: string): Promise<SandboxDetail | undefined>
  /** Undefined when it is gone. */
  containerStatus(containerId: string): Promise<ContainerDetail | undefined>
  runSandbox(config: SandboxConfig, handler: string): Promise<string>
  /** Idempotent; kills what still runs in it and takes its network down. */
  stopSandbox(sandboxId: string): Promise<void>
  /** Idempotent. */
  removeSandbox(sandboxId: string): Promise<void>
  createContainer(sandboxId: string, config: ContainerConfig, sandboxConfig: SandboxConfig): Promise<string>
  startContainer(containerId: string): Promise<void>
  /** Idempotent. Sends the stop signal, waits `graceSeconds`, kills. */
  stopContainer(containerId: string, graceSeconds: number): Promise<void>
  /** Idempotent; kills it when it runs. */
  removeContainer(containerId: string): Promise<void>
  updateContainerResources(containerId: string, resources: LinuxResources): Promise<void>
  /** Makes the runtime write to the log path afresh, after the log was moved away. */
  reopenContainerLog(containerId: string): Promise<void>
  /** Runs a command to its end; throws {@link ExecTimeoutError} after `timeoutSeconds` (0: no limit). */
  execSync(containerId: string, command: readonly string[], timeoutSeconds: number): Promise<ExecResult>
  /** Prepares a streaming session for exec, attach or port-forward. */
  openStream(request: StreamRequest): Promise<StreamTarget>
  listContainerStats(): Promise<readonly ContainerStats[]>
  listImages(): Promise<readonly RuntimeImage[]>
  /** Undefined when the image is not there. */
  imageStatus(image: string): Promise<RuntimeImage | undefined>
  /** Returns the reference (digest or id) that containers should be created from. */
  pullImage(image: string, auth: RegistryAuth | undefined, sandbox: SandboxConfig | undefined): Promise<string>
  removeImage(image: string): Promise<void>
  imageFsInfo(): Promise<ImageFsInfo>
  /**
   * Tells of changes as they happen, with the uid of the pod. Absent when the runtime cannot: then the agent lists every second.
   * `onEnd` is called once when the subscription is lost.
   */
  subscribe?(onChange: (podUid: string) => void, onEnd: () => void): () => void
  /** Log text of a container, for runtimes that write no files. Absent: the agent reads the log path. */
  readLog?(containerId: string): Promise<string>
  close(): Promise<void>
}

export interface RuntimeFilter {
  readonly podUid?: string | undefined
}

export interface RuntimeVersion {
  /** `containerd` */
  readonly name: string
  /** `1.6.20` */
  readonly version: string
}

export interface RuntimeStatus {
  readonly ready: boolean
  readonly networkReady: boolean
  /** Why not ready, for the node's condition. */
  readonly message: string
  readonly handlers: readonly string[]
}

export interface SandboxSummary {
  readonly id: string
  readonly podUid: string
  readonly podName: string
  readonly podNamespace: string
  readonly attempt: number
  readonly ready: boolean
  readonly createdAtMs: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface SandboxDetail extends SandboxSummary {
  /** Primary address first; empty with the host's network. */
  readonly ips: readonly string[]
}

export type ContainerPhase = 'created' | 'running' | 'exited' | 'unknown'

export interface ContainerSummary {
  readonly id: string
  readonly sandboxId: string
  readonly podUid: string
  readonly name: string
  readonly attempt: number
  readonly phase: ContainerPhase
  readonly createdAtMs: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface ContainerDetail extends ContainerSummary {
  /** 0: not yet. */
  readonly startedAtMs: number
  /** 0: not yet. */
  readonly finishedAtMs: number
  readonly exitCode: number
  /** `OOMKilled`, `Error`, `Completed`, or the runtime's own. */
  readonly reason: string
  readonly message: string
  /** As a person would name it. */
  readonly image: string
  /** Digest reference, or the image id. */
  readonly imageId: string
  /** Absolute path of the log. */
  readonly logPath: string
  readonly user?:
    | { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] }
    | undefined
}

export interface ExecResult {
  readonly exitCode: number
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

export type StreamRequest =
  | {
      readonly kind: 'exec'
      readonly containerId: string
      readonly command: readonly string[]
      readonly tty: boolean
      readonly stdin: boolean
      readonly stdout: boolean
      readonly stderr: boolean
    }
  | {
      readonly kind: 'attach'
      readonly containerId: string
      readonly tty: boolean
      readonly stdin: boolean
      readonly stdout: boolean
      readonly stderr: boolean
    }
  | { readonly kind: 'portForward'; readonly sandboxId: string; readonly ports: readonly number[] }

/** `url`: proxy the client's connection there, upgrade and all. `serve`: the runtime answers itself. `unsupported`: say so. */
export type StreamTarget =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'serve'; readonly serve: (upgraded: UpgradedConnection) => Promise<void> }
  | { readonly kind: 'unsupported'; readonly message: string }

export interface ContainerStats {
  readonly containerId: string
  readonly podUid: string
  readonly name: string
  readonly timestampMs: number
  readonly cpuUsageCoreNanos: number
  /** Billionths of a core that it uses right now; absent where the runtime does not know. */
  readonly cpuUsageNanoCores?: number | undefined
  readonly memoryWorkingSetBytes: number
  readonly memoryUsageBytes: number
  readonly memoryRssBytes: number
  readonly writableLayerBytes: number
}

export interface RuntimeImage {
  readonly id: string
  readonly repoTags: readonly string[]
  readonly repoDigests: readonly string[]
  readonly sizeBytes: number
  /** Numeric user of the image's config; undefined when it names none or names a user by name. */
  readonly uid: number | undefined
  readonly username: string
  readonly pinned: boolean
}

export interface ImageFsInfo {
  /** Where the images live. */
  readonly mountpoint: string
  readonly usedBytes: number
}

export interface RegistryAuth {
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly auth?: string | undefined
  readonly serverAddress?: string | undefined
  readonly identityToken?: string | undefined
  readonly registryToken?: string | undefined
}

/** A command in a container ran longer than it may. */
export class ExecTimeoutError extends Error {
  override readonly name = 'ExecTimeoutError'
}

/** The runtime says no. `code` is gRPC's (5: not found, 14: unavailable …). */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError'
  readonly code: number
  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
