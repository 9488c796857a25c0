import { CONDITIONS_SCHEMA } from '@centaurus/api'
import type { CustomResourceDefinition, JSONSchemaProps } from '@centaurus/api/apiextensions/v1'

/** Rules of a direction, peers and protocols of a rule, networks of a peer. */
const ITEMS_MAX = 25
const PORT = { type: 'integer', format: 'int32', minimum: 1, maximum: 65_535 } as const

const SELECTOR: JSONSchemaProps = {
  type: 'object',
  'x-kubernetes-map-type': 'atomic',
  properties: {
    matchLabels: { type: 'object', additionalProperties: { type: 'string' } },
    matchExpressions: {
      type: 'array',
      'x-kubernetes-list-type': 'atomic',
      items: {
        type: 'object',
        required: ['key', 'operator'],
        properties: {
          key: { type: 'string' },
          operator: { type: 'string', description: 'In, NotIn, Exists or DoesNotExist.' },
          values: { type: 'array', 'x-kubernetes-list-type': 'atomic', items: { type: 'string' } },
        },
      },
    },
  },
}

const PODS_OF_NAMESPACES: Record<string, JSONSchemaProps> = {
  namespaces: { ...SELECTOR, description: 'All pods of these namespaces; empty: of every one.' },
  pods: {
    type: 'object',
    description: 'These pods of these namespaces.',
    required: ['podSelector'],
    properties: {
      namespaceSelector: { ...SELECTOR, description: 'Absent or empty: every namespace.' },
      podSelector: { ...SELECTOR, description: 'Empty: every pod.' },
    },
  },
}

const PORTS: JSONSchemaProps = {
  type: 'object',
  minProperties: 1,
  properties: {
    destinationPort: {
      type: 'object',
      minProperties: 1,
      maxProperties: 1,
      properties: {
        number: { ...PORT, description: 'One port.' },
        range: {
          type: 'object',
          description: 'Ports from start to end, both of them included.',
          required: ['start', 'end'],
          properties: { start: PORT, end: PORT },
          'x-kubernetes-validations': [
            { rule: 'self.start < self.end', message: 'Start port must be less than End port' },
          ],
        },
      },
    },
  },
}

const PROTOCOLS: JSONSchemaProps = {
  type: 'array',
  minItems: 1,
  maxItems: ITEMS_MAX,
  description: 'The rule is for this traffic; absent: for all.',
  items: {
    type: 'object',
    minProperties: 1,
    maxProperties: 1,
    properties: {
      tcp: PORTS,
      udp: PORTS,
      sctp: PORTS,
      destinationNamedPort: { type: 'string', description: "Name of a container's port." },
    },
  },
}

const NETWORKS: JSONSchemaProps = {
  type: 'array',
  'x-kubernetes-list-type': 'set',
  minItems: 1,
  maxItems: ITEMS_MAX,
  description: 'Blocks of addresses, such as 10.0.0.0/8. Addresses of pods count too.',
  items: {
    type: 'string',
    maxLength: 43,
    'x-kubernetes-validations': [{ rule: 'isCIDR(self)', message: 'Invalid CIDR format provided' }],
  },
}

const DOMAIN_NAMES: JSONSchemaProps = {
  type: 'array',
  'x-kubernetes-list-type': 'set',
  minItems: 1,
  maxItems: ITEMS_MAX,
  description: 'Not supported here: name networks.',
  items: {
    type: 'string',
    pattern: String.raw`^(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$`,
  },
}

const ONE_OF_THEM = { type: 'object', minProperties: 1, maxProperties: 1 } as const

function rules(direction: { readonly peers: 'from' | 'to'; readonly peer: JSONSchemaProps }): JSONSchemaProps {
  const { peers, peer } = direction
  return {
    type: 'array',
    maxItems: ITEMS_MAX,
    description: 'The first rule that matches decides. Without rules, this direction is left alone.',
    items: {
      type: 'object',
      required: ['action', peers],
      properties: {
        name: { type: 'string', maxLength: 100, description: 'Names the rule in explanations and counters.' },
        action: {
          type: 'string',
          enum: ['Accept', 'Deny', 'Pass'],
          description: 'Pass leaves the rest of the tier out, and asks the next one.',
        },
        [peers]: { type: 'array', minItems: 1, maxItems: ITEMS_MAX, items: peer },
        protocols: PROTOCOLS,
      },
      ...(peers === 'to' ? { 'x-kubernetes-validations': [NO_NAMED_PORTS_OUTSIDE] } : {}),
    },
  }
}

const NO_NAMED_PORTS_OUTSIDE = {
  rule: '!(self.to.exists(peer, has(peer.networks) || has(peer.nodes) || has(peer.domainNames)) && has(self.protocols) && self.protocols.exists(protocol, has(protocol.destinationNamedPort)))',
  message:
    'networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for networks/nodes/domainNames',
}

/** Source: kubernetes-sigs/network-policy-api apis/v1alpha2/clusternetworkpolicy_types.go with its experimental fields, v0.2. */
export const clusterNetworkPolicyDefinition: CustomResourceDefinition = {
  metadata: { name: 'clusternetworkpolicies.policy.networking.k8s.io' },
  spec: {
    group: 'policy.networking.k8s.io',
    scope: 'Cluster',
    names: {
      plural: 'clusternetworkpolicies',
      singular: 'clusternetworkpolicy',
      kind: 'ClusterNetworkPolicy',
      listKind: 'ClusterNetworkPolicyList',
      shortNames: ['cnp'],
    },
    versions: [
      {
        name: 'v1alpha2',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'What holds for traffic of pods of many namespaces, before or after their NetworkPolicies.',
            required: ['metadata', 'spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['tier', 'priority', 'subject'],
                properties: {
                  tier: {
                    type: 'string',
                    enum: ['Admin', 'Baseline'],
                    description:
                      'Admin is asked before NetworkPolicies, Baseline after them, about pods that none of them selects.',
                  },
                  priority: {
                    type: 'integer',
                    format: 'int32',
                    minimum: 0,
                    maximum: 1000,
                    description: 'Within the tier: lower ones are asked first.',
                  },
                  subject: {
                    ...ONE_OF_THEM,
                    description: 'The pods; those in the network of their host are never meant.',
                    properties: PODS_OF_NAMESPACES,
                  },
                  ingress: rules({ peers: 'from', peer: { ...ONE_OF_THEM, properties: PODS_OF_NAMESPACES } }),
                  egress: rules({
                    peers: 'to',
                    peer: {
                      ...ONE_OF_THEM,
                      properties: {
                        ...PODS_OF_NAMESPACES,
                        nodes: { ...SELECTOR, description: 'Addresses of these nodes; empty: of every one.' },
                        networks: NETWORKS,
                        domainNames: DOMAIN_NAMES,
                      },
                    },
                  }),
                },
              },
              status: {
                type: 'object',
                required: ['conditions'],
                properties: {
                  conditions: CONDITIONS_SCHEMA,
                },
              },
            },
          },
        },
        additionalPrinterColumns: [
          { name: 'Tier', type: 'string', jsonPath: '.spec.tier' },
          { name: 'Priority', type: 'string', jsonPath: '.spec.priority' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
      },
    ],
  },
}
