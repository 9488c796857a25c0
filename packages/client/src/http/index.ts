export { createFileTokenSource, createHttpClient, type HttpClientConfig } from './http-client.ts'
export { loadKubeconfig, parseKubeconfig, type Kubeconfig, type KubeconfigOptions } from './kubeconfig.ts'
