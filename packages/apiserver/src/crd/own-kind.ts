import type { CustomResourceDefinition, JSONSchemaProps } from '@centaurus/api/apiextensions/v1'

/** What differs between kinds of our own group. */
export interface OwnKind {
  readonly names: { plural: string; singular: string; kind: string; shortNames?: string[] }
  readonly scope: 'Cluster' | 'Namespaced'
  /** Whether it has a status of its own; default false. */
  readonly hasStatus?: boolean
  readonly schema: JSONSchemaProps
  readonly columns: { name: string; type: string; jsonPath: string; priority?: number }[]
}

/** A kind of `centaurus.io/v1`, described as custom resources are. */
export function describeOwnKind({ names, scope, hasStatus, schema, columns }: OwnKind): CustomResourceDefinition {
  return {
    metadata: { name: `${names.plural}.centaurus.io` },
    spec: {
      group: 'centaurus.io',
      scope,
      names: { ...names, listKind: `${names.kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', ...schema } },
          ...(hasStatus === true ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: columns,
        },
      ],
    },
  }
}
