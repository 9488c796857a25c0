import { LOCAL_VOLUME_NODE_LABEL } from '@centaurus/api'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../access.ts'
import { SYSTEM_ROLES } from '../rbac/bootstrap/system-roles.ts'
import { parseRule } from '../rbac/bootstrap/role-data.ts'
import { compileRule, rulesAllow } from '../rbac/rule.ts'
import type { NodeGraph, RelatedResource } from './node-graph.ts'

const NODE_USER_PREFIX = 'system:node:'
const NODES_GROUP = 'system:nodes'
const LEASE_NAMESPACE = 'kube-node-lease'
const ALLOWED: AuthorizationDecision = Object.freeze({ allowed: true, reason: '' })
const NO_OPINION: AuthorizationDecision = Object.freeze({ allowed: false, reason: '' })

/** Name of the node that the user is; undefined when it is none. Source: pkg/auth/nodeidentifier/default.go. */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (user.tenant !== SYSTEM_TENANT) return undefined
  if (!user.name.startsWith(NODE_USER_PREFIX) || !user.groups.includes(NODES_GROUP)) return undefined
  return user.name.slice(NODE_USER_PREFIX.length)
}

/**
 * Lets node agents do what a node must, and read only what their pods use. What they write is checked again by node restriction,
 * which sees the objects. Source: plugin/pkg/auth/authorizer/node/node_authorizer.go (v1.37).
 */
export function createNodeAuthorizer(graphOf: (tenant: string) => NodeGraph | undefined): Authorizer {
  const rules = (SYSTEM_ROLES['system:node']?.rules ?? []).map((text) => compileRule(parseRule(text)))
  return {
    authorize(attributes) {
      const node = nodeNameOf(attributes.user)
      if (node === undefined) return NO_OPINION
      if (node === '') return refuse(`unknown node for user ${JSON.stringify(attributes.user.name)}`)
      const special = attributes.isResourceRequest ? SPECIAL[`${attributes.group}/${attributes.resource}`] : undefined
      if (special === undefined) return rulesAllow(rules, attributes) ? ALLOWED : NO_OPINION
      const graph = graphOf(attributes.tenant)
      return graph === undefined ? NO_OPINION : special({ node, attributes, graph })
    },
  }
}

interface Asked {
  readonly node: string
  readonly attributes: AuthorizationAttributes
  readonly graph: NodeGraph
}

/** Resources of which a node may have only its share. */
const SPECIAL: Readonly<Record<string, (asked: Asked) => AuthorizationDecision>> = {
  '/secrets': (asked) => authorizeRead(asked, 'secrets'),
  '/configmaps': (asked) => authorizeRead(asked, 'configmaps'),
  '/persistentvolumeclaims': (asked) =>
    asked.attributes.subresource === 'status'
      ? authorizeClaimStatus(asked)
      : authorizeGet(asked, 'persistentvolumeclaims'),
  '/persistentvolumes': authorizeVolume,
  'resource.k8s.io/resourceclaims': (asked) => authorizeGet(asked, 'resourceclaims'),
  'resource.k8s.io/resourceslices': authorizeResourceSlice,
  'storage.k8s.io/volumeattachments': (asked) => authorizeGet(asked, 'volumeattachments'),
  'storage.k8s.io/csinodes': authorizeCSINode,
  'coordination.k8s.io/leases': authorizeLease,
  'centaurus.io/networkreports': authorizeReport,
  '/serviceaccounts': authorizeServiceAccount,
  '/nodes': authorizeNode,
  '/pods': authorizePod,
}

const OWN_OBJECT_VERBS = ['get', 'create', 'update', 'patch', 'delete']

function authorizeRead(asked: Asked, resource: RelatedResource): AuthorizationDecision {
  const { verb, subresource, namespace } = asked.attributes
  if (!['get', 'list', 'watch'].includes(verb)) return refuse('can only read resources of this type')
  if (subresource !== '') return refuse('cannot read subresource')
  if (namespace === '') return refuse('can only read namespaced object of this type')
  return authorizeRelated(asked, resource)
}

function authorizeGet(asked: Asked, resource: RelatedResource): AuthorizationDecision {
  const { verb, subresource } = asked.attributes
  if (verb !== 'get') return refuse('can only get individual resources of this type')
  return subresource === '' ? authorizeRelated(asked, resource) : refuse('cannot get subresource')
}

/** Beyond upstream's get: an agent watches the folders of its node, and gives them up when it has removed them. */
function authorizeVolume(asked: Asked): AuthorizationDecision {
  const { node, attributes } = asked
  const { verb, subresource, labelSelector } = attributes
  if (subresource !== '' || verb === 'get') return authorizeGet(asked, 'persistentvolumes')
  if (verb === 'update' || verb === 'delete') return ALLOWED
  const isOwnShare = labelSelector === `${LOCAL_VOLUME_NODE_LABEL}=${node}`
  if ((verb === 'list' || verb === 'watch') && isOwnShare) return ALLOWED
  return authorizeGet(asked, 'persistentvolumes')
}

function authorizeClaimStatus(asked: Asked): AuthorizationDecision {
  const { verb } = asked.attributes
  if (verb !== 'update' && verb !== 'patch') return refuse('can only get/update/patch this type')
  return authorizeRelated(asked, 'persistentvolumeclaims')
}

function authorizeRelated({ node, attributes, graph }: Asked, resource: RelatedResource): AuthorizationDecision {
  if (attributes.name === '') return refuse('No Object name found')
  if (graph.isRelated(node, resource, attributes.namespace, attributes.name)) return ALLOWED
  return refuse(`no relationship found between node '${node}' and this object`)
}

function authorizeServiceAccount(asked: Asked): AuthorizationDecision {
  const { verb, subresource, name } = asked.attributes
  if (verb === 'get' && subresource === '') return authorizeRead(asked, 'serviceaccounts')
  if (verb !== 'create' || name === '') return refuse('can only create tokens for individual service accounts')
  if (subresource !== 'token') return refuse('can only create token subresource of serviceaccount')
  return authorizeRelated(asked, 'serviceaccounts')
}

/** The name is not known on create: node restriction looks at the object. */
function authorizeLease({ node, attributes }: Asked): AuthorizationDecision {
  const { verb, namespace, name } = attributes
  if (!OWN_OBJECT_VERBS.includes(verb)) return refuse('can only get, create, update, patch, or delete a node lease')
  if (namespace !== LEASE_NAMESPACE)
    return refuse(`can only access leases in the ${JSON.stringify(LEASE_NAMESPACE)} system namespace`)
  if (verb === 'create' || name === node) return ALLOWED
  return refuse('can only access node lease with the same name as the requesting node')
}

function authorizeCSINode({ node, attributes }: Asked): AuthorizationDecision {
  const { verb, subresource, name } = attributes
  if (subresource !== '') return refuse('cannot authorize CSINode subresources')
  if (!OWN_OBJECT_VERBS.includes(verb)) return refuse('can only get, create, update, patch, or delete a CSINode')
  if (verb === 'create' || name === node) return ALLOWED
  return refuse('can only access CSINode with the same name as the requesting node')
}

/** Ours. As with a CSINode, the name is looked at again by node restriction. */
function authorizeReport({ node, attributes: { verb, subresource, name } }: Asked): AuthorizationDecision {
  const isOwn = verb === 'create' || name === node
  if (subresource === '' && ['get', 'create', 'update'].includes(verb) && isOwn) return ALLOWED
  return refuse('can only get, create or update a NetworkReport with the same name as the requesting node')
}

function authorizeResourceSlice(asked: Asked): AuthorizationDecision {
  const { node, attributes } = asked
  if (attributes.subresource !== '') return refuse('cannot authorize ResourceSlice subresources')
  switch (attributes.verb) {
    case 'create':
      return ALLOWED
    case 'get':
    case 'update':
    case 'patch':
    case 'delete':
      return authorizeRelated(asked, 'resourceslices')
    case 'watch':
    case 'list':
    case 'deletecollection':
      if (selectsField(attributes, 'spec.nodeName', node)) return ALLOWED
      return refuse('can only list/watch/deletecollection resourceslices with nodeName field selector')
    default:
      return refuse(
        'only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection',
      )
  }
}

/** By name and not by the graph: a node reads its own object before it exists. */
function authorizeNode({ node, attributes }: Asked): AuthorizationDecision {
  const { verb, subresource, name } = attributes
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : NO_OPINION
  if (subresource !== '') return NO_OPINION
  if (['create', 'update', 'patch'].includes(verb)) return ALLOWED
  if (!['get', 'list', 'watch'].includes(verb)) return NO_OPINION
  if (name === node || (name === '' && selectsField(attributes, 'metadata.name', node))) return ALLOWED
  if (name === '') return refuse(`node '${node}' cannot read all nodes, only its own Node object`)
  return refuse(`node '${node}' cannot read '${name}', only its own Node object`)
}

function authorizePod(asked: Asked): AuthorizationDecision {
  const { node, attributes } = asked
  const { verb, subresource, name } = attributes
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOWED : NO_OPINION
  if (subresource === 'eviction') return verb === 'create' ? ALLOWED : NO_OPINION
  if (subresource !== '') return NO_OPINION
  if (verb === 'create' || verb === 'delete') return ALLOWED
  if (verb === 'get') return authorizeGet(asked, 'pods')
  if (verb !== 'list' && verb !== 'watch') return NO_OPINION
  if (selectsField(attributes, 'spec.nodeName', node)) return ALLOWED
  return name === ''
    ? refuse('can only list/watch pods with spec.nodeName field selector')
    : authorizeRelated(asked, 'pods')
}

/** True when the selector demands `field = value`. */
function selectsField({ fieldSelector = '' }: AuthorizationAttributes, field: string, value: string): boolean {
  return fieldSelector.split(',').some((term) => term === `${field}=${value}` || term === `${field}==${value}`)
}

function refuse(reason: string): AuthorizationDecision {
  return { allowed: false, reason }
}
