import type {
  ClusterNetworkPolicy,
  ClusterNetworkPolicyEgressPeer,
  ClusterNetworkPolicySubject,
} from '../../policy-networking/v1alpha2.ts'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { validateLabelSelector } from '../shared/selector.ts'

const path = new FieldPath('spec')

/**
 * What upstream's schema leaves to who implements it: selectors must mean something, and what would not be enforced is refused. The rest is in the schema that
 * the server has of it.
 */
export const clusterNetworkPolicyBehavior: KindBehavior<ClusterNetworkPolicy> = {
  validate({ spec }) {
    const { subject = {}, ingress = [], egress = [] } = spec ?? {}
    return [
      ...validateSelectors(subject, path.child('subject')),
      ...ingress.flatMap(({ from = [] }, i) =>
        from.flatMap((peer, j) => validateSelectors(peer, path.child('ingress').index(i).child('from').index(j))),
      ),
      ...egress.flatMap(({ to = [] }, i) =>
        to.flatMap((peer, j) => validateEgressPeer(peer, path.child('egress').index(i).child('to').index(j))),
      ),
    ]
  },
}

function validateSelectors({ namespaces, pods }: ClusterNetworkPolicySubject, at: FieldPath): FieldError[] {
  const podsPath = at.child('pods')
  return [
    ...validateLabelSelector(namespaces, at.child('namespaces')),
    ...validateLabelSelector(pods?.namespaceSelector, podsPath.child('namespaceSelector')),
    ...validateLabelSelector(pods?.podSelector, podsPath.child('podSelector')),
  ]
}

function validateEgressPeer(peer: ClusterNetworkPolicyEgressPeer, at: FieldPath): FieldError[] {
  const errors = [...validateSelectors(peer, at), ...validateLabelSelector(peer.nodes, at.child('nodes'))]
  if (peer.domainNames === undefined) return errors
  return [
    ...errors,
    forbiddenField(at.child('domainNames'), 'names of domains are not supported by this cluster; use `networks`'),
  ]
}
