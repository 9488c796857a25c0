import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Home } from './home.ts'

/** Files in the home's `pki` folder, each with `.crt` and `.key`. */
export const NODE_CLIENT_FILE = 'node'
export const NODE_SERVING_FILE = 'node-serving'
/** For what serves Services and names on a node: it may read what a node agent may not. Source: kubeadm's kube-proxy. */
export const NODE_PROXY_FILE = 'node-proxy'

/** What the node agent needs to know the API server and be known by it. PEM. */
export interface NodeIdentity {
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly proxyCert: string
  readonly proxyKey: string
  readonly servingCert: string
  readonly servingKey: string
}

/** This machine's name as a node. */
export function localNodeName(): string {
  return hostname().toLowerCase()
}

/** Reads what the control plane issued. Throws when it has not run yet. */
export function readNodeIdentity(home: Home): NodeIdentity {
  const read = (name: string): string => readFileSync(join(home.pkiDir, name), 'utf8')
  return {
    ca: read('ca.crt'),
    cert: read(`${NODE_CLIENT_FILE}.crt`),
    key: read(`${NODE_CLIENT_FILE}.key`),
    proxyCert: read(`${NODE_PROXY_FILE}.crt`),
    proxyKey: read(`${NODE_PROXY_FILE}.key`),
    servingCert: read(`${NODE_SERVING_FILE}.crt`),
    servingKey: read(`${NODE_SERVING_FILE}.key`),
  }
}
