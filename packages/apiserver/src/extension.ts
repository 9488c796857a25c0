import type { Registry } from 'prom-client'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { KubeObject } from '@centaurus/api'
import type { Client } from '@centaurus/client'
import type { Authenticator, Authorizer } from './access/access.ts'
import type { AdmissionStep } from './admission/admission.ts'
import type { Exchange } from './http/exchange.ts'
import type { RequestInfo, UserInfo } from './request/request-info.ts'
import type { ObjectReader } from './resource/object-reader.ts'
import type { StoredObjects } from './resource/stored-objects.ts'
import type { WriteForwarder } from './handlers/forward-write.ts'
import type { ResourceDefinition, ResourceRegistry } from './resource/registry.ts'
import type { TenantRegistries } from './resource/tenant-registries.ts'
import type { TenantDirectory } from './tenants/tenant-directory.ts'

/** What the core of the server offers to its extensions when it is made. Nothing is loaded yet: see {@link ApiServerExtension.start}. */
export interface ApiServerCore {
  /** What is served in `system`. */
  readonly registry: ResourceRegistry
  /** What is served in each tenant. */
  readonly registries: TenantRegistries
  readonly reader: ObjectReader
  /** The same of all tenants, as the store holds it. */
  readonly stored: StoredObjects
  /** Takes an exchange through the whole server, as a listener does. */
  handle(exchange: Exchange): void
  /** In-process client that acts as `system:apiserver` in group `system:masters`. */
  readonly client: Client
  /** The same inside a tenant. */
  clientOf(tenant: string): Client
  readonly tenants: TenantDirectory
  /** Served at `/metrics`. */
  readonly metrics: Registry
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** A part of the server that plugs into the core: authentication, authorization, discovery, proxying … All fields are optional. */
export interface ApiServerExtension {
  /** Asked in the order of the extensions until one knows the caller. */
  readonly authenticator?: Authenticator | undefined
  /** Asked in the order of the extensions until one allows. */
  readonly authorizer?: Authorizer | undefined
  readonly forward?: Forward | undefined
  /** Asked, in the order of the extensions, who keeps what is written through a view. */
  readonly writeForwarder?: WriteForwarder | undefined
  readonly followWatch?: FollowWatch | undefined
  readonly routes?: readonly NonResourceRoute[] | undefined
  readonly connectors?: readonly Connector[] | undefined
  readonly actions?: readonly ObjectAction[] | undefined
  readonly writeChecks?: readonly WriteCheck[] | undefined
  /** Run after the built-in steps, in the order of the extensions. */
  readonly admission?: readonly AdmissionStep[] | undefined
  /** Checks for `/readyz/<name>`; a thrown error's message is the reason. */
  readonly readiness?: Readonly<Record<string, () => void>> | undefined
  /** Makes what every tenant has, for one that is new. Safe to run again. */
  bootstrapTenant?(tenant: string): Promise<void>
  /** Runs after the cache is loaded and before requests are taken. */
  start?(): Promise<void>
  /** Ends answers that would go on for ever; the listeners close next, and wait for those that are under way. */
  drain?(): void
  close?(): Promise<void>
}

/**
 * Takes over a request of a tenant that another partition serves; false: this one does, or nobody. Asked for each request of a tenant that the
 * registry knows. Throws `StatusError` to refuse it.
 */
export type Forward = (
  exchange: Exchange,
  request: { readonly user: UserInfo; readonly tenant: string },
) => boolean | Promise<boolean>

/**
 * Goes on with the answer to a watch whose tenant has just left for another partition, with the events there after `resourceVersion`, up to which the
 * client has everything. False: it does not, and the watch ends here.
 */
export type FollowWatch = (
  exchange: Exchange,
  watch: { readonly user: UserInfo; readonly tenant: string; readonly resourceVersion: string },
) => Promise<boolean>

export type CreateExtension = (core: ApiServerCore) => ApiServerExtension

/** Who asks for what; authenticated and authorized. */
export interface RequestContext {
  readonly user: UserInfo
  readonly info: RequestInfo
}

/** A path that is not a resource: `/openapi/v2`, `/apis`, `/version`. */
export interface NonResourceRoute {
  /** Without the tenant's prefix. An exact path, or a prefix when it ends in `/`. The longest match wins; exact before prefix. */
  readonly path: string
  readonly methods: readonly string[]
  /** True when it may be asked for inside a tenant: it tells nothing of the partition or of other tenants. Default: false. */
  readonly forTenants?: boolean | undefined
  handle(exchange: Exchange, context: RequestContext): void | Promise<void>
}

/** A subresource that takes the exchange over: `pods/log`, `pods/exec`, `nodes/proxy`. Any method. */
export interface Connector {
  readonly group: string
  readonly resource: string
  readonly subresource: string
  connect(exchange: Exchange, context: ConnectorContext): void | Promise<void>
}

export interface ConnectorContext extends RequestContext {
  readonly definition: ResourceDefinition
}

/**
 * A POST whose answer is computed and not stored: `tokenreviews`, `subjectaccessreviews`, `serviceaccounts/token`. The core decodes,
 * defaults and validates the body, and encodes the answer.
 */
export interface ObjectAction {
  readonly group: string
  readonly resource: string
  /** `''` for the resource itself. */
  readonly subresource: string
  /** `body` is the caller's own; it may be changed and returned. Throws `StatusError`. */
  run(body: KubeObject, context: RequestContext): KubeObject | Promise<KubeObject>
}

/**
 * Looks at a write of one resource after validation and before it is stored, for rules that need more than the object: no
 * escalation by roles, nodes change only their own objects. Called for create, update, patch, delete and subresource writes.
 */
export interface WriteCheck {
  readonly group: string
  readonly resource: string
  /** Throws `StatusError` to refuse. Reads caches only. */
  check(write: CheckedWrite): void
}

export interface CheckedWrite extends RequestContext {
  readonly operation: 'create' | 'update' | 'delete'
  /** The new object, or undefined for a delete. For `pods/eviction` and `pods/binding`: the body. */
  readonly object: KubeObject | undefined
  /** The stored object; undefined for a create. For `pods/eviction` and `serviceaccounts/token`: the Pod or ServiceAccount. */
  readonly old: KubeObject | undefined
}
