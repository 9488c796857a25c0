import { CONDITIONS_SCHEMA, TENANT_NETWORK_SCHEMA } from '@centaurus/api'
import type { JSONSchemaProps } from '@centaurus/api/apiextensions/v1'
import { FIRST_IDENTITY, IDENTITY_MAX, REPORTED_CHANGES_MAX, VNI_MAX } from '@centaurus/api/centaurus/v1'
import { describeOwnKind } from '../crd/own-kind.ts'

/** More than one is for the time while a node is away. */
const EGRESS_ADDRESSES_MAX = 8
const AGE = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

export const vpcDefinition = describeOwnKind({
  scope: 'Cluster',
  names: { plural: 'vpcs', singular: 'vpc', kind: 'Vpc' },
  hasStatus: true,
  schema: {
    description: 'A network of a tenant: its pods reach each other, and no others.',
    properties: {
      spec: {
        type: 'object',
        properties: {
          cidr: {
            type: 'string',
            description:
              'Addresses of its pods, such as 10.20.0.0/16, with a prefix of 8 to 26 bits. They may overlap with those of any other network. Without it, pods have addresses of their nodes. Never changes.',
          },
          egressAddresses: {
            type: 'array',
            maxItems: EGRESS_ADDRESSES_MAX,
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['address'],
            description:
              'What the world sees its pods by, instead of the addresses of their nodes: the first one whose node is Ready. While there is none, nothing leaves. Written by operators.',
            items: {
              type: 'object',
              required: ['address', 'node'],
              properties: {
                address: { type: 'string', description: 'An IPv4 address.' },
                node: { type: 'string', minLength: 1, description: 'The node that has the address on a device.' },
              },
            },
          },
        },
      },
      status: {
        type: 'object',
        properties: {
          vni: {
            type: 'integer',
            format: 'int64',
            minimum: 1,
            maximum: VNI_MAX,
            description: 'Its number on the wire: unique in the cluster, and never given again.',
          },
          nextIdentity: {
            type: 'integer',
            format: 'int64',
            minimum: FIRST_IDENTITY,
            maximum: IDENTITY_MAX + 1,
            description: 'What the next NetworkIdentity may get; every smaller one may have been used.',
          },
          tenantNetwork: {
            ...TENANT_NETWORK_SCHEMA,
            description: 'What the operators say of the network use of all pods of the tenant.',
          },
          conditions: CONDITIONS_SCHEMA,
        },
      },
    },
  },
  columns: [
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidr' },
    { name: 'Egress', type: 'string', jsonPath: '.spec.egressAddresses[*].address', priority: 1 },
    { name: 'VNI', type: 'integer', jsonPath: '.status.vni' },
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    AGE,
  ],
})

export const subnetDefinition = describeOwnKind({
  scope: 'Cluster',
  names: { plural: 'subnets', singular: 'subnet', kind: 'Subnet' },
  schema: {
    description: "A block of a network's own addresses that a node has.",
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['vpc', 'cidr', 'node'],
        properties: {
          vpc: { type: 'string', minLength: 1, description: 'The Vpc.' },
          cidr: { type: 'string', format: 'cidr', description: 'The block, such as 10.20.3.64/26.' },
          node: { type: 'string', minLength: 1, description: 'The node that gives its addresses to pods.' },
          released: { type: 'boolean', description: 'Nobody may get an address of it any more.' },
        },
      },
    },
  },
  columns: [
    { name: 'Vpc', type: 'string', jsonPath: '.spec.vpc' },
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidr' },
    { name: 'Node', type: 'string', jsonPath: '.spec.node' },
    AGE,
  ],
})

export const identityDefinition = describeOwnKind({
  scope: 'Cluster',
  names: { plural: 'networkidentities', singular: 'networkidentity', kind: 'NetworkIdentity', shortNames: ['netid'] },
  schema: {
    description: 'What policies can tell of who sends a packet. Pods that are alike share one. Made by the cluster.',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['id', 'vpc', 'namespace', 'labels', 'keys'],
        properties: {
          id: {
            type: 'integer',
            format: 'int64',
            minimum: FIRST_IDENTITY,
            maximum: IDENTITY_MAX,
            description: 'What packets carry: unique in its network, and never given again.',
          },
          vpc: { type: 'string', minLength: 1, description: 'The Vpc.' },
          namespace: { type: 'string', minLength: 1, description: 'Namespace of the pods.' },
          labels: {
            type: 'object',
            additionalProperties: { type: 'string' },
            description: 'Labels of the pods, as far as policies look at them.',
          },
          keys: {
            type: 'array',
            items: { type: 'string' },
            'x-kubernetes-list-type': 'set',
            description: 'Keys of labels that it knows of; of others it does not say whether the pods have them.',
          },
        },
        'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'an identity never changes' }],
      },
    },
  },
  columns: [
    { name: 'ID', type: 'integer', jsonPath: '.spec.id' },
    { name: 'Vpc', type: 'string', jsonPath: '.spec.vpc' },
    { name: 'Namespace', type: 'string', jsonPath: '.spec.namespace' },
    { name: 'Labels', type: 'string', jsonPath: '.spec.labels' },
    AGE,
  ],
})

export const remoteNodeDefinition = describeOwnKind({
  scope: 'Cluster',
  names: { plural: 'remotenodes', singular: 'remotenode', kind: 'RemoteNode' },
  schema: {
    description: "What nodes of this partition know of another partition's node. Made by the cluster.",
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['partition'],
        properties: {
          partition: { type: 'string', minLength: 1, description: 'Whose node it is.' },
          podCIDR: { type: 'string', description: 'Addresses of its pods.' },
          podCIDRs: { type: 'array', items: { type: 'string' } },
        },
      },
      status: {
        type: 'object',
        properties: {
          addresses: {
            type: 'array',
            items: {
              type: 'object',
              required: ['type', 'address'],
              properties: { type: { type: 'string' }, address: { type: 'string' } },
            },
          },
          conditions: {
            type: 'array',
            items: {
              type: 'object',
              required: ['type', 'status'],
              properties: { type: { type: 'string' }, status: { type: 'string' } },
            },
          },
        },
      },
    },
  },
  columns: [
    { name: 'Partition', type: 'string', jsonPath: '.spec.partition' },
    { name: 'Pods', type: 'string', jsonPath: '.spec.podCIDR' },
    { name: 'Address', type: 'string', jsonPath: '.status.addresses[0].address' },
    AGE,
  ],
})

const POLICY_REPORT: JSONSchemaProps = {
  type: 'object',
  required: ['revision', 'recent'],
  properties: {
    revision: { type: 'integer', format: 'int64', description: 'Packets see every policy up to this resourceVersion.' },
    recent: {
      type: 'array',
      maxItems: REPORTED_CHANGES_MAX,
      items: {
        type: 'object',
        required: ['revision', 'afterMs'],
        properties: {
          revision: { type: 'integer', format: 'int64' },
          afterMs: { type: 'integer', description: 'From when the node heard of it until packets saw it.' },
        },
      },
    },
  },
}

export const networkReportDefinition = describeOwnKind({
  scope: 'Cluster',
  names: { plural: 'networkreports', singular: 'networkreport', kind: 'NetworkReport' },
  schema: {
    description: 'Which policies of each tenant with pods on a node its packets see. Written by the node.',
    required: ['spec'],
    properties: {
      spec: {
        type: 'object',
        required: ['tenants'],
        properties: {
          tenants: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['tenant'],
            items: {
              type: 'object',
              required: ['tenant'],
              properties: {
                tenant: { type: 'string', minLength: 1 },
                networkPolicies: POLICY_REPORT,
                clusterNetworkPolicies: POLICY_REPORT,
              },
            },
          },
        },
      },
    },
  },
  columns: [AGE],
})
