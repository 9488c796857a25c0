export { NODE_AGENT_DEFAULTS, type NodeAgentConfig, type NodeAgentOptions } from './agent/config.ts'
export { createNodeAgent, type NodeAgent, type NodeAgentDeps } from './agent/node-agent.ts'
export { stopAllPods, type StopPodsDeps, type StopPodsOptions } from './agent/stop-pods.ts'
export { createCriRuntime, type CriRuntimeOptions } from './cri/cri-runtime.ts'
export {
  importImage,
  startContainerd,
  type Containerd,
  type PodNetworkSetup,
  type StartContainerdOptions,
} from './cri/containerd.ts'
export {
  containerdPaths,
  formatBridgeNetwork,
  formatContainerdConfig,
  type BridgeNetworkOptions,
  type ContainerdConfigOptions,
  type ContainerdPaths,
} from './cri/containerd-config.ts'
export type { Dialer, HostFacts, HostPressure, HttpRequest, NodeHost, PodFiles } from './host/node-host.ts'
export { DeviceManager, type DeviceManagerOptions } from './devices/device-manager.ts'
export { createSystemHost } from './host/system-host.ts'
export {
  ExecTimeoutError,
  RuntimeError,
  type ContainerDetail,
  type ContainerPhase,
  type ContainerRuntime,
  type ContainerStats,
  type ContainerSummary,
  type ExecResult,
  type ImageFsInfo,
  type RegistryAuth,
  type RuntimeFilter,
  type RuntimeImage,
  type RuntimeStatus,
  type RuntimeVersion,
  type SandboxDetail,
  type SandboxSummary,
  type StreamRequest,
  type StreamTarget,
} from './runtime/container-runtime.ts'
export {
  ANNOTATION_ROLE,
  LABEL_CONTAINER_NAME,
  LABEL_POD_NAME,
  LABEL_POD_NAMESPACE,
  LABEL_POD_UID,
} from './runtime/labels.ts'
export type { ContainerConfig, ContainerMount, LinuxResources, SandboxConfig } from './runtime/config.ts'
export { createDelegatedAccess, type KubeletAccess } from './server/access.ts'
export { startKubeletServer, type KubeletServer, type KubeletServerOptions } from './server/kubelet-server.ts'
export {
  removeServiceProxy,
  startServiceProxy,
  type ServiceProxy,
  type ServiceProxyDeps,
} from './service-proxy/service-proxy.ts'
export { systemMounter, type Mounter } from './volumes/mounts.ts'
