import {
  badRequest,
  internalError,
  notFound,
  RESOURCE_PARTITION_ANNOTATION,
  serviceUnavailable,
  type StatusError,
} from '@centaurus/api'
import { nodes, type Node, type Pod } from '@centaurus/api/core/v1'
import type { DialTls } from '@centaurus/streams'
import { DialRefusedError } from '@centaurus/streams'
import type { ObjectReader } from '../resource/object-reader.ts'
import { requireNode } from './pod-location.ts'

/** Source: upstream's KubeletPort. */
const KUBELET_PORT_DEFAULT = 10_250
/** Addresses of a node in the order in which they are tried: an IP needs no name service, which the API server may not have. */
const ADDRESS_TYPES = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalIP', 'ExternalDNS'] as const
/** An error answer is read up to here. Source: apiserver pkg/registry/generic/rest/response_checker.go. */
export const ERROR_BODY_BYTES_MAX = 50_000

/** How the API server proves itself to node agents, and knows them. PEM. */
export interface NodeTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface ProxyDeps {
  readonly reader: ObjectReader
  readonly tls: NodeTls
  readonly reach?: ReachPartition | undefined
}

/**
 * An API server of the partition, through whose `nodes/proxy` its nodes are reached. Undefined for this partition, whose nodes are reached
 * directly. Throws `StatusError` when there is no such partition.
 */
export type ReachPartition = (partition: string) => Backend | undefined

/** Something to dial. */
export interface Backend {
  readonly url: URL
  readonly tls: DialTls
}

/** Address of the agent of the pod's node for `path` (with its query), which may be another partition's. Throws NotFound, BadRequest, InternalError. */
export function locatePodNode(deps: ProxyDeps, pod: Readonly<Pod>, path: string): Backend {
  return locateAgent(deps, { node: requireNode(pod), partition: partitionOf(pod) }, path)
}

/** A node, and the partition that has it; undefined: this one. */
export interface NodePlace {
  readonly node: string
  readonly partition: string | undefined
}

/** The partition whose node runs the pod; undefined: this one. */
export function partitionOf(pod: Readonly<Pod>): string | undefined {
  return pod.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION]
}

/** Address of a node's agent for `path` (with its query), directly or through the node's partition. Throws NotFound, InternalError. */
export function locateAgent(deps: ProxyDeps, { node, partition }: NodePlace, path: string): Backend {
  const server = partition === undefined ? undefined : deps.reach?.(partition)
  if (server === undefined) return locateNode(deps, node, path)
  return { url: new URL(`/api/v1/nodes/${encodeURIComponent(node)}/proxy${path}`, server.url), tls: server.tls }
}

/** Address of a node's agent for `path` (with its query). Throws NotFound, or InternalError when it has told no address. */
export function locateNode({ reader, tls }: ProxyDeps, name: string, path: string): Backend {
  const node = reader.get(nodes, { name })
  if (node === undefined) throw notFound({ group: '', resource: 'nodes' }, name)
  return { url: new URL(path, nodeUrl(node)), tls }
}

/** `https://10.0.0.1:10250`. */
export function nodeUrl(node: Readonly<Node>): string {
  const addresses = node.status?.addresses ?? []
  const found = ADDRESS_TYPES.map((type) => addresses.find((entry) => entry.type === type)).find(
    (entry) => entry !== undefined,
  )
  if (found === undefined) {
    throw internalError(
      new Error(
        `no preferred addresses found; known addresses: [${addresses.map((entry) => entry.address).join(' ')}]`,
      ),
    )
  }
  const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? KUBELET_PORT_DEFAULT
  return `https://${found.address.includes(':') ? `[${found.address}]` : found.address}:${port}`
}

/** What the client is told when a backend can't be reached or will not upgrade. */
export function toDialStatus(error: unknown): StatusError {
  if (!(error instanceof DialRefusedError))
    return internalError(new Error(`error dialing backend: ${(error as Error).message}`, { cause: error }))
  return toAnswerStatus(error.code, error.body.toString('utf8'), '')
}

/** The API error for an error answer of a backend. Source: apiserver pkg/registry/generic/rest/response_checker.go (v0.37). */
export function toAnswerStatus(code: number, body: string, what: string): StatusError {
  if (code === 400) return badRequest(body)
  if (code === 404) return notFoundAnswer(body, what)
  if (code === 503) return serviceUnavailable(body)
  return internalError(new Error(body))
}

function notFoundAnswer(body: string, what: string): StatusError {
  const error = notFound({ group: '', resource: what }, '')
  const message = body === '' ? `the server could not find the requested resource (${what})` : body
  return Object.assign(error, { message })
}
