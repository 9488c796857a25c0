import {
  NAMESPACE_ANNOTATION,
  splitQualifiedName,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type KubeObject,
} from '@centaurus/api'

/** Label that every namespace has: its own name. Source: Kubernetes' NamespaceDefaultLabelName, which the server sets and guards. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name'

/** Whose object of the view over all tenants it is. */
export function tenantOf({ metadata }: Readonly<KubeObject>): string {
  return metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT
}

/** The namespace of an object as its tenant knows it. */
export function ownNamespaceOf({ metadata }: Readonly<KubeObject>): string {
  return metadata.annotations?.[NAMESPACE_ANNOTATION] ?? metadata.namespace ?? ''
}

/** The name of a namespace as its tenant knows it. The view's may be shortened; the label never is. */
export function nameOfNamespace({ metadata }: Readonly<KubeObject>): string {
  return metadata.labels?.[NAMESPACE_NAME_LABEL] ?? splitQualifiedName(metadata.name ?? '')?.name ?? metadata.name ?? ''
}

/** The name of an object without a namespace, such as a Vpc, as its tenant knows it. */
export function ownNameOf({ metadata }: Readonly<KubeObject>): string {
  return unqualify(metadata.name ?? '')
}

/** The tenant's own name of what a view names; not for namespaces, whose names may be shortened: no other name is long enough for that. */
export function unqualify(name: string): string {
  return splitQualifiedName(name)?.name ?? name
}
