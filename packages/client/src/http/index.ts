export type { ConnectionPool, LivenessOptions } from './connection.ts'
export {
  createConnectionPool,
  createFileTokenSource,
  createHttpClient,
  createRequesterClient,
  createSharedHttpClients,
  type HttpClientConfig,
  type SharedHttpClients,
} from './http-client.ts'
export { loadKubeconfig, parseKubeconfig, type Kubeconfig, type KubeconfigOptions } from './kubeconfig.ts'
export { createLineSplitter } from './line-splitter.ts'
export {
  createRequester,
  NotConnectedError,
  parseRefusal,
  readBody,
  type HttpCall,
  type OpenResponse,
  type Requester,
} from './request.ts'
