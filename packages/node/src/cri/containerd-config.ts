/** Configuration files that the agent writes for a containerd of its own, and for the standard CNI plugins. Pure. */

export interface ContainerdConfigOptions {
  /** Holds root, state, socket and the CNI folders. */
  readonly dir: string
  readonly sandboxImage: string
  readonly cniBinDir: string
  readonly snapshotter: 'overlayfs' | 'native'
  /** Set where the process may not lower oom_score_adj (no CAP_SYS_RESOURCE). */
  readonly restrictOomScoreAdj: boolean
  readonly disableApparmor: boolean
  /** Runtime handlers beside `runc`: handler name to binary. */
  readonly runtimes: Readonly<Record<string, string>>
}

export interface ContainerdPaths {
  readonly config: string
  readonly root: string
  readonly state: string
  readonly socket: string
  readonly log: string
  readonly pid: string
  readonly cniConfDir: string
}

/** Where a containerd of ours keeps what, below its folder. */
export function containerdPaths(dir: string): ContainerdPaths {
  return {
    config: `${dir}/config.toml`,
    root: `${dir}/root`,
    state: `${dir}/state`,
    socket: `${dir}/containerd.sock`,
    log: `${dir}/containerd.log`,
    pid: `${dir}/containerd.pid`,
    cniConfDir: `${dir}/cni/net.d`,
  }
}

/** The TOML of containerd 1.6's format (version 2), which 1.7 and 2.x migrate by themselves. */
export function formatContainerdConfig(options: ContainerdConfigOptions): string {
  const paths = containerdPaths(options.dir)
  const runtimes = Object.entries({ runc: 'runc', ...options.runtimes }).flatMap(([handler, binary]) => [
    `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${quote(handler)}]`,
    'runtime_type = "io.containerd.runc.v2"',
    // A handler's own annotations of pods reach its binary.
    ...(handler === 'runc' ? [] : [`pod_annotations = [${quote(`${handler}.centaurus.io/*`)}]`]),
    `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${quote(handler)}.options]`,
    `BinaryName = ${quote(binary)}`,
  ])
  return [
    'version = 2',
    `root = ${quote(paths.root)}`,
    `state = ${quote(paths.state)}`,
    'oom_score = 0',
    'disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]',
    '[grpc]',
    `address = ${quote(paths.socket)}`,
    '[plugins."io.containerd.grpc.v1.cri"]',
    `sandbox_image = ${quote(options.sandboxImage)}`,
    `restrict_oom_score_adj = ${options.restrictOomScoreAdj}`,
    `disable_apparmor = ${options.disableApparmor}`,
    'enable_cdi = true', // of 1.7; 1.6 has no devices by the Container Device Interface
    'netns_mounts_under_state_dir = true', // else a killed cluster leaves them in the machine's /run/netns
    'stream_server_address = "127.0.0.1"',
    'stream_server_port = "0"',
    '[plugins."io.containerd.grpc.v1.cri".cni]',
    `bin_dir = ${quote(options.cniBinDir)}`,
    `conf_dir = ${quote(paths.cniConfDir)}`,
    '[plugins."io.containerd.grpc.v1.cri".registry]',
    `config_path = ${quote(`${options.dir}/certs.d`)}`,
    '[plugins."io.containerd.grpc.v1.cri".containerd]',
    `snapshotter = ${quote(options.snapshotter)}`,
    'default_runtime_name = "runc"',
    ...runtimes,
    '',
  ].join('\n')
}

export interface BridgeNetworkOptions {
  readonly podCIDR: string
  /** Name of the bridge device on the host; at most 15 characters. */
  readonly bridge: string
  /** Where host-local keeps its leases. */
  readonly dataDir: string
  readonly mtu?: number | undefined
}

/** A CNI network list of the standard plugins: bridge as gateway, host-local addresses, port mappings. */
export function formatBridgeNetwork({ podCIDR, bridge, dataDir, mtu }: BridgeNetworkOptions): string {
  const network = {
    cniVersion: '0.4.0',
    name: 'centaurus',
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ...(mtu === undefined ? {} : { mtu }),
        ipam: { type: 'host-local', dataDir, ranges: [[{ subnet: podCIDR }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
    ],
  }
  return `${JSON.stringify(network, undefined, 2)}\n`
}

/** TOML's basic strings share JSON's escapes. */
function quote(text: string): string {
  return JSON.stringify(text)
}
