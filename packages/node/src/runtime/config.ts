/** What a sandbox and a container are made from. Field names and meaning follow CRI v1 (k8s.io/cri-api v0.37 api.proto). */

export interface SandboxConfig {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly namespace: string
    readonly attempt: number
  }
  /** Empty: the host's own. */
  readonly hostname: string
  readonly logDirectory: string
  readonly dnsConfig?: DnsConfig | undefined
  readonly portMappings: readonly PortMapping[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly linux: {
    readonly cgroupParent: string
    readonly securityContext: SandboxSecurityContext
    readonly sysctls: Readonly<Record<string, string>>
  }
}

export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly containerPort: number
  readonly hostPort: number
  readonly hostIp: string
}

export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE' | 'TARGET'

export interface NamespaceOption {
  readonly network: NamespaceMode
  readonly pid: NamespaceMode
  readonly ipc: NamespaceMode
  readonly targetId?: string | undefined
}

export interface SecurityProfile {
  readonly profileType: 'RuntimeDefault' | 'Unconfined' | 'Localhost'
  readonly localhostRef: string
}

export interface SandboxSecurityContext {
  readonly namespaceOptions: NamespaceOption
  readonly runAsUser?: { readonly value: number } | undefined
  readonly runAsGroup?: { readonly value: number } | undefined
  readonly supplementalGroups: readonly number[]
  readonly privileged: boolean
  readonly seccomp?: SecurityProfile | undefined
}

export interface ContainerConfig {
  readonly metadata: { readonly name: string; readonly attempt: number }
  readonly image: { readonly image: string; readonly userSpecifiedImage: string }
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly envs: readonly { readonly key: string; readonly value: string }[]
  readonly mounts: readonly ContainerMount[]
  readonly devices: readonly {
    readonly containerPath: string
    readonly hostPath: string
    readonly permissions: string
  }[]
  /** Devices that the runtime finds in descriptions of the Container Device Interface. */
  readonly cdiDevices: readonly { readonly name: string }[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Below the sandbox's log directory. */
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  readonly linux: { readonly resources: LinuxResources; readonly securityContext: ContainerSecurityContext }
}

export interface ContainerMount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readonly: boolean
  readonly propagation: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER' | 'PROPAGATION_BIDIRECTIONAL'
}

export interface LinuxResources {
  readonly cpuPeriod?: number | undefined
  /** Microseconds a period; absent: no limit. */
  readonly cpuQuota?: number | undefined
  readonly cpuShares?: number | undefined
  /** Bytes; absent: no limit. */
  readonly memoryLimitInBytes?: number | undefined
  readonly oomScoreAdj?: number | undefined
}

export interface ContainerSecurityContext {
  readonly capabilities: { readonly addCapabilities: readonly string[]; readonly dropCapabilities: readonly string[] }
  readonly privileged: boolean
  readonly namespaceOptions: NamespaceOption
  readonly runAsUser?: { readonly value: number } | undefined
  readonly runAsGroup?: { readonly value: number } | undefined
  readonly runAsUsername?: string | undefined
  readonly readonlyRootfs: boolean
  readonly supplementalGroups: readonly number[]
  readonly noNewPrivs: boolean
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  readonly seccomp?: SecurityProfile | undefined
}
