import { CONDITIONS_SCHEMA, TENANT_NETWORK_SCHEMA } from '@centaurus/api'
import type { CustomResourceDefinition, JSONSchemaProps } from '@centaurus/api/apiextensions/v1'
import { VNI_MAX } from '@centaurus/api/centaurus/v1'

/** The kinds of the registry, in the words of a CustomResourceDefinition: what validates them, and what `kubectl get` shows. */
export const registryDefinitions: readonly CustomResourceDefinition[] = [
  define({
    names: { plural: 'partitions', singular: 'partition', kind: 'Partition', shortNames: ['part'] },
    spec: {
      type: 'object',
      required: ['roles', 'endpoints'],
      properties: {
        roles: { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string', enum: ['Tenant', 'Resource'] } },
        endpoints: {
          type: 'array',
          maxItems: 64,
          items: { type: 'string', pattern: '^https://[^/?#]+$' },
        },
        home: { type: 'boolean' },
        draining: { type: 'boolean' },
        serviceCIDR: { type: 'string', format: 'cidr' },
        nodePorts: { type: 'array', maxItems: 1024, items: { type: 'string', pattern: '^[0-9]{1,5}-[0-9]{1,5}$' } },
        podCIDRs: { type: 'array', maxItems: 4096, items: { type: 'string', format: 'cidr' } },
        podBlocks: {
          type: 'array',
          maxItems: 4096,
          items: {
            type: 'object',
            required: ['cidr', 'partition', 'uid'],
            properties: {
              cidr: { type: 'string', format: 'cidr' },
              partition: { type: 'string', minLength: 1 },
              uid: { type: 'string', minLength: 1 },
              releasedAt: { type: 'string', format: 'date-time' },
            },
          },
        },
        podNetwork: {
          type: 'object',
          properties: {
            cidr: { type: 'string', format: 'cidr' },
            first: { type: 'string', format: 'cidr' },
            except: { type: 'array', maxItems: 64, items: { type: 'string', format: 'cidr' } },
            blockPrefix: { type: 'integer', minimum: 8, maximum: 28 },
            nodePrefix: { type: 'integer', minimum: 16, maximum: 28 },
          },
          'x-kubernetes-validations': [
            {
              rule: '(has(self.nodePrefix) ? self.nodePrefix : 24) >= (has(self.blockPrefix) ? self.blockPrefix : 16)',
              message: 'a node has at most a whole block: nodePrefix must not be less than blockPrefix',
            },
          ],
        },
        nextVni: { type: 'integer', minimum: 1, maximum: VNI_MAX + 1 },
      },
      'x-kubernetes-validations': [
        {
          rule: 'has(self.home) == has(oldSelf.home) && (!has(self.home) || self.home == oldSelf.home)',
          message: 'home may not change: the registry stays where it is',
        },
        {
          rule: '!has(oldSelf.nextVni) || (has(self.nextVni) && self.nextVni >= oldSelf.nextVni)',
          message: 'nextVni may not go down: networks never get a number that was given before',
        },
      ],
    },
    status: {
      tenants: { type: 'integer' },
      nodes: { type: 'integer' },
    },
    columns: [
      { name: 'Roles', type: 'string', jsonPath: '.spec.roles' },
      { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
      { name: 'Tenants', type: 'integer', jsonPath: '.status.tenants' },
      { name: 'Nodes', type: 'integer', jsonPath: '.status.nodes' },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
  }),
  define({
    names: { plural: 'tenants', singular: 'tenant', kind: 'Tenant' },
    spec: {
      type: 'object',
      properties: {
        partition: { type: 'string', minLength: 1 },
        quota: {
          type: 'object',
          additionalProperties: {
            'x-kubernetes-int-or-string': true,
            pattern: '^[+]?([0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$',
          },
        },
        admin: { type: 'string', minLength: 1, maxLength: 253 },
        maxPriority: { type: 'integer', minimum: 0, maximum: 1_000_000_000 },
        network: TENANT_NETWORK_SCHEMA,
      },
    },
    status: {
      phase: { type: 'string', enum: ['Pending', 'Active', 'Moving', 'Terminating'] },
      partition: { type: 'string' },
      epoch: { type: 'integer' },
      used: { type: 'object', additionalProperties: { type: 'string' } },
    },
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
      { name: 'Partition', type: 'string', jsonPath: '.status.partition' },
      { name: 'Max Class', type: 'string', jsonPath: '.spec.network.max.class', priority: 1 },
      { name: 'Max Egress', type: 'string', jsonPath: '.spec.network.max.egressBandwidth', priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
  }),
]

interface DefinitionParts {
  readonly names: { plural: string; singular: string; kind: string; shortNames?: string[] }
  readonly spec: JSONSchemaProps
  /** Fields beside `conditions`. */
  readonly status: Record<string, JSONSchemaProps>
  readonly columns: { name: string; type: string; jsonPath: string; priority?: number }[]
}

function define({ names, spec, status, columns }: DefinitionParts): CustomResourceDefinition {
  const properties = { spec, status: { type: 'object', properties: { conditions: CONDITIONS_SCHEMA, ...status } } }
  return {
    metadata: { name: `${names.plural}.centaurus.io` },
    spec: {
      group: 'centaurus.io',
      scope: 'Cluster',
      names: { ...names, listKind: `${names.kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties } },
          subresources: { status: {} },
          additionalPrinterColumns: columns,
        },
      ],
    },
  }
}
