import type { AdmissionStep } from './admission/admission.ts'
import type { Authenticator, Authorizer } from './access/access.ts'
import type {
  ApiServerCore,
  Connector,
  CreateExtension,
  FollowWatch,
  Forward,
  ObjectAction,
  WriteCheck,
} from './extension.ts'
import type { WriteForwarder } from './handlers/forward-write.ts'
import { RouteTable } from './request/routes.ts'

/** What the extensions bring, in the order of the extensions. */
export interface ExtensionParts {
  readonly authenticators: Authenticator[]
  readonly authorizers: Authorizer[]
  readonly forwarders: Forward[]
  readonly writeForwarders: WriteForwarder[]
  readonly watchFollowers: FollowWatch[]
  readonly tenantBootstraps: ((tenant: string) => Promise<void>)[]
  readonly routes: RouteTable
  readonly connectors: Connector[]
  readonly actions: ObjectAction[]
  readonly writeChecks: WriteCheck[]
  readonly admission: AdmissionStep[]
  readonly readiness: Record<string, () => void>
  readonly starts: (() => Promise<void>)[]
  readonly drains: (() => void)[]
  readonly closes: (() => Promise<void>)[]
}

/** What there is before any extension: the built-in steps of admission. */
export function emptyParts(admission: readonly AdmissionStep[]): ExtensionParts {
  return {
    admission: [...admission],
    authenticators: [],
    authorizers: [],
    forwarders: [],
    writeForwarders: [],
    watchFollowers: [],
    tenantBootstraps: [],
    routes: new RouteTable(),
    connectors: [],
    actions: [],
    writeChecks: [],
    readiness: {},
    starts: [],
    drains: [],
    closes: [],
  }
}

/** Sets the extensions up and takes what they bring. */
export function addExtensions(
  parts: ExtensionParts,
  extensions: readonly CreateExtension[],
  core: ApiServerCore,
): void {
  for (const create of extensions) {
    const extension = create(core)
    if (extension.authenticator !== undefined) parts.authenticators.push(extension.authenticator)
    if (extension.authorizer !== undefined) parts.authorizers.push(extension.authorizer)
    if (extension.forward !== undefined) parts.forwarders.push(extension.forward)
    if (extension.writeForwarder !== undefined) parts.writeForwarders.push(extension.writeForwarder)
    if (extension.followWatch !== undefined) parts.watchFollowers.push(extension.followWatch)
    if (extension.bootstrapTenant !== undefined)
      parts.tenantBootstraps.push((tenant) => extension.bootstrapTenant!(tenant))
    parts.routes.add(extension.routes ?? [])
    parts.connectors.push(...(extension.connectors ?? []))
    parts.actions.push(...(extension.actions ?? []))
    parts.writeChecks.push(...(extension.writeChecks ?? []))
    parts.admission.push(...(extension.admission ?? []))
    Object.assign(parts.readiness, extension.readiness)
    if (extension.start !== undefined) parts.starts.push(() => extension.start!())
    if (extension.drain !== undefined) parts.drains.push(() => extension.drain!())
    if (extension.close !== undefined) parts.closes.push(() => extension.close!())
  }
}
